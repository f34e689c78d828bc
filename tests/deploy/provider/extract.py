"""Extracts the schema of the resources in deploy/terraform from the classes that CDKTF generated from the providers.

    pip download --no-deps cdktf-cdktf-provider-google==16.12.1 cdktf-cdktf-provider-google-beta==16.12.1 \
        cdktf-cdktf-provider-archive==11.0.1 cdktf-cdktf-provider-time==11.0.1 && unzip -q '*.whl' -d FOLDER
    python tests/deploy/provider/extract.py FOLDER > tests/deploy/provider/schema.json

A block is `{attributes: {name: [type, how]}, blocks: {name: [max, block]}}`, where `how` is required, optional or
computed; max is 1, or 0 for any number. The classes do not distinguish sets from lists.
"""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

PACKAGES = {
    "google": "cdktf_cdktf_provider_google",
    "google-beta": "cdktf_cdktf_provider_google_beta",
    "archive": "cdktf_cdktf_provider_archive",
    "time": "cdktf_cdktf_provider_time",
}
WANTED = {
    "google": [
        "artifact_registry_repository",
        "artifact_registry_repository_iam_member",
        "bigquery_dataset",
        "bigquery_dataset_iam_member",
        "billing_budget",
        "cloud_run_v2_job",
        "cloud_run_v2_job_iam_member",
        "cloud_run_v2_service",
        "cloud_run_v2_service_iam_member",
        "cloud_scheduler_job",
        "cloudfunctions2_function",
        "eventarc_trigger",
        "logging_metric",
        "logging_project_sink",
        "monitoring_alert_policy",
        "monitoring_custom_service",
        "monitoring_dashboard",
        "monitoring_slo",
        "project_iam_audit_config",
        "project_iam_member",
        "project_service",
        "pubsub_subscription",
        "pubsub_subscription_iam_member",
        "pubsub_topic",
        "pubsub_topic_iam_member",
        "secret_manager_secret_iam_member",
        "service_account",
        "service_account_iam_member",
        "storage_bucket",
        "storage_bucket_iam_member",
        "storage_bucket_object",
        "storage_notification",
        "workflows_workflow",
        "data_google_cloud_run_v2_service",
        "data_google_project",
        "data_google_storage_project_service_account",
    ],
    "google-beta": ["google_project_service_identity"],
    "archive": ["data_archive_file"],
    "time": ["sleep"],
}
META = {
    "connection",
    "count",
    "depends_on",
    "for_each",
    "lifecycle",
    "provider",
    "provisioners",
    "id",
    "timeouts",
}
INHERITED = re.compile(r"(_input|^internal_value|^fqn|^cdktf_.*|^friendly_unique_id|^terraform_.*)$")

Block = dict[str, Any]


class Module:
    """A generated module: the classes of a resource and of its blocks."""

    def __init__(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.version = re.search(r"docs: .*?/([\d.]+)/docs/", ast.get_docstring(tree) or "")

    def main(self) -> str:
        return next(
            name.removesuffix("Config")
            for name in self.classes
            if name.endswith("Config") and name[:-6] in self.classes
        )

    def block(self, struct: str, reader: str) -> Block:
        """The block that a configuration class writes and a reader class reads."""
        attributes: dict[str, list[Any]] = {}
        blocks: dict[str, list[Any]] = {}
        if struct in self.classes:
            for name, hint, required in self.parameters(struct):
                nested = self.nested(hint)
                if name in META:
                    continue
                if nested:
                    many = "Sequence" in hint
                    blocks[name] = [0 if many else 1, self.block(nested, f"{nested}OutputReference")]
                else:
                    attributes[name] = [kind(hint), "required" if required else "optional"]
        for name, hint in self.properties(reader):
            if name not in attributes and name not in blocks and name not in META | {"timeouts"}:
                listed = re.search(r"(\w+)List\b", hint)
                if listed and f"{listed[1]}OutputReference" in self.classes:
                    inner = self.block("", f"{listed[1]}OutputReference")
                    attributes[name] = [["list", object_type(inner)], "computed"]
                else:
                    attributes[name] = [kind(hint), "computed"]
        if struct.endswith("Config"):
            attributes["id"] = ["string", "computed"]
        return {"attributes": attributes, "blocks": blocks}

    def parameters(self, struct: str) -> list[tuple[str, str, bool]]:
        init = next(
            node for node in self.classes[struct].body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        )
        documented = dict(
            re.findall(r":param (\w+):.*?registry\.terraform\.io[^#]*#(\w+)", (ast.get_docstring(init) or "") + " ")
        )
        pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        return [
            (
                documented.get(argument.arg, argument.arg),
                ast.unparse(argument.annotation or ast.Constant(None)),
                default is None,
            )
            for argument, default in pairs
        ]

    def properties(self, reader: str) -> list[tuple[str, str]]:
        body = self.classes[reader].body if reader in self.classes else []
        attributes = [
            (node.name, ast.unparse(node.returns))
            for node in body
            if isinstance(node, ast.FunctionDef)
            and node.returns
            and any(ast.unparse(decorator) == "builtins.property" for decorator in node.decorator_list)
        ]
        return [(name, hint) for name, hint in attributes if not INHERITED.search(name)]

    def nested(self, hint: str) -> str | None:
        names = [name for name in re.findall(r"\w+", hint) if name in self.classes]
        return names[0] if names else None


def kind(hint: str) -> Any:
    if "Sequence" in hint or "List" in hint:
        return ["list", "number" if "Number" in hint else "string"]
    if "Mapping" in hint or "StringMap" in hint or "Map" in hint:
        return ["map", "string"]
    if "bool" in hint or "IResolvable" in hint:
        return "bool"
    return "number" if "Number" in hint else "string"


def object_type(block: Block) -> list[Any]:
    return ["object", {name: attribute[0] for name, attribute in block["attributes"].items()}]


def extract(folder: Path) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for provider, package in PACKAGES.items():
        resources: dict[str, Block] = {}
        data: dict[str, Block] = {}
        version = ""
        for name in WANTED[provider]:
            module = Module(folder / package / name / "__init__.py")
            main = module.main()
            version = module.version[1] if module.version else version
            block = module.block(f"{main}Config", main)
            short = name.removeprefix("data_").removeprefix("google_")
            kind_of = {"archive": short, "time": f"time_{short}"}.get(provider, f"google_{short}")
            (data if name.startswith("data_") else resources)[kind_of] = block
        schema[provider] = {"version": version, "resources": resources, "data": data}
    return schema


if __name__ == "__main__":
    lines = json.dumps(extract(Path(sys.argv[1])), separators=(",", ":"), sort_keys=True)
    # One resource per line keeps the file reviewable.
    print(re.sub(r'("(?:google|archive|time)_\w+":\{"attributes")', r"\n\1", lines))
