"""The Terraform root, under the real terraform with the providers' real schema and a stand-in for the cloud."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from deploy import inventory
from tests.deploy import shape
from tests.deploy.provider import server
from tests.deploy.provider.rules import Rules
from tests.deploy.stand_in.new_project import API_DELAY, NewProject
from tests.deploy.terraform import terraformed
from tests.deploy.test_inventory import NEW_PROJECT, needs

FOLDER = Path(__file__).parents[3] / "deploy/terraform"
REQUIRED = {"project_id": "my-project", "gpu_image": shape.IMAGE}
EXAMPLES = sorted(FOLDER.glob("*.tfvars"))
needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None,
    reason="terraform is not installed, so the root was not validated, planned or applied",
)

needs_terraform_long = [needs_terraform, pytest.mark.long]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[terraformed.Root]:
    with server.serving() as env:
        made = terraformed.Root(tmp_path_factory.mktemp("terraform"), env)
        run = made.run("init", "-input=false")
        assert run.returncode == 0, run.stderr
        yield made


@pytest.fixture(scope="module")
def applied(root: terraformed.Root) -> terraformed.Found:
    run = root.run("apply", "-auto-approve", "-input=false", "-var=project_id=my-project")
    assert run.returncode == 0, run.stderr
    return terraformed.resources(root.show()["values"])


@needs_terraform
def test_it_is_valid_and_formatted(root: terraformed.Root):
    assert root.run("validate").returncode == 0
    assert root.run("fmt", "-check", "-diff").stdout == ""


@needs_terraform
def test_it_creates_exactly_the_inventory(applied: terraformed.Found):
    system = inventory.load(REQUIRED)
    assert terraformed.shape_of(applied) == shape.plain(shape.expected(system))


@needs_terraform
def test_another_run_changes_nothing(root: terraformed.Root, applied: terraformed.Found):
    run = root.run("plan", "-detailed-exitcode", "-input=false", "-var=project_id=my-project")
    assert run.returncode == 0, run.stdout[-2000:]


class TestWaits:
    """What was made is not known everywhere at once, so that what needs it waits."""

    pytestmark = needs_terraform

    def after(self, applied: terraformed.Found, wait: str) -> set[str]:
        """The types of the resources that are made after a wait."""
        return {resource["type"] for resource in applied if f"time_sleep.{wait}" in resource.get("depends_on", [])}

    def before(self, applied: terraformed.Found, wait: str) -> set[str]:
        (found,) = [r for r in applied if r["type"] == "time_sleep" and r["name"] == wait]
        return {name.removeprefix("data.").partition(".")[0] for name in found["depends_on"]}

    def test_they_last_as_long_as_the_inventory_says(self, applied: terraformed.Found):
        waits = {r["name"]: r["values"]["create_duration"] for r in applied if r["type"] == "time_sleep"}
        assert waits == {name: f"{seconds}s" for name, seconds in inventory.load(REQUIRED)["waits"].items()}

    def test_agents_exist_before_roles_are_granted_to_them(self, applied: terraformed.Found):
        made = {r["values"]["service"] for r in applied if r["type"] == "google_project_service_identity"}
        assert made == set(inventory.load(REQUIRED)["identities"])
        assert "google_project_service_identity" in self.before(applied, "agents")
        grants = {"project", "service_account", "pubsub_topic", "pubsub_subscription"}
        assert self.after(applied, "agents") >= {f"google_{kind}_iam_member" for kind in grants}

    def test_roles_have_an_effect_before_anything_builds_or_runs_with_them(self, applied: terraformed.Found):
        grants = {"project", "storage_bucket", "service_account"}
        assert self.before(applied, "permissions") >= {f"google_{kind}_iam_member" for kind in grants}
        assert self.after(applied, "permissions") >= {
            "google_cloudfunctions2_function",
            "google_cloud_run_v2_service",
            "google_cloud_run_v2_job",
            "google_workflows_workflow",
            "google_eventarc_trigger",
        }

    def test_metrics_exist_before_the_objective_on_them(self, applied: terraformed.Found):
        assert "google_logging_metric" in self.before(applied, "metrics")
        assert self.after(applied, "metrics") == {"google_monitoring_slo"}

    def test_another_permission_waits_again(self, root: terraformed.Root, applied: terraformed.Found, tmp_path: Path):
        flags = ["-input=false", "-var=project_id=my-project", "-var=hub_token_secret=hf-token"]
        assert root.run("plan", *flags, f"-out={tmp_path}/plan").returncode == 0
        changes = {c["address"]: c["change"]["actions"] for c in root.show(f"{tmp_path}/plan")["resource_changes"]}
        assert len(changes["time_sleep.permissions"]) == 2 or changes["time_sleep.permissions"] == ["update"]
        assert changes["time_sleep.agents"] == ["no-op"]


FIRST = ["cloudresourcemanager", "serviceusage", "config", "iam", "cloudbuild", "storage"]  # the first instruction


class TestANewProject:
    """Applied to a project that lacks APIs, agents, roles and data, where what is made takes effect after a while."""

    pytestmark = needs_terraform_long

    @pytest.fixture
    def project(self) -> NewProject:
        made = NewProject()
        made.enable(f"{name}.googleapis.com" for name in FIRST)
        made.pass_time(API_DELAY)
        return made

    def apply(
        self, folder: Path, project: NewProject, *variables: str, edit: Callable[[Path], None] | None = None
    ) -> tuple[terraformed.Root, subprocess.CompletedProcess[str]]:
        """Applies the root, after an edit of its copy; the providers go when the test ends."""
        with server.serving(Rules(project)) as env:
            root = terraformed.Root(folder, env)
            if edit:
                edit(root.path)
            assert root.run("init", "-input=false").returncode == 0
            flags = ["-input=false", "-var=project_id=my-project", *(f"-var={each}" for each in variables)]
            run = root.run("apply", "-auto-approve", *flags)
            if run.returncode == 0:
                assert root.run("plan", "-detailed-exitcode", *flags).returncode == 0, "another run changes nothing"
        return root, run

    def test_one_apply_makes_everything(self, tmp_path: Path, project: NewProject):
        _, run = self.apply(tmp_path, project)
        assert run.returncode == 0, run.stderr
        waits = inventory.load(REQUIRED)["waits"]
        assert project.now == API_DELAY + waits["agents"] + waits["permissions"], "the wait for metrics is no longer"

    def test_notifications_too(self, tmp_path: Path, project: NewProject):
        _, run = self.apply(tmp_path, project, "micro_batching=true")
        assert run.returncode == 0, run.stderr

    def test_notifications_in_place_of_the_trigger_later(self, tmp_path: Path, project: NewProject):
        root, _ = self.apply(tmp_path, project)
        with server.serving(Rules(project)) as env:
            root.env |= env
            flags = ["-input=false", "-auto-approve", "-var=project_id=my-project", "-var=micro_batching=true"]
            run = root.run("apply", *flags)
        assert run.returncode == 0, run.stderr

    def test_without_the_first_command_the_project_cannot_be_read(self, tmp_path: Path):
        _, run = self.apply(tmp_path, NewProject())
        assert run.returncode == 1
        assert "cloudresourcemanager API has not been used" in flat(run.stderr)

    @pytest.mark.parametrize(
        ("wait", "message"),
        [
            ("agents", "gcp-sa-pubsub.iam.gserviceaccount.com does not exist"),
            ("permissions", "missing permission on the build service account"),
            ("metrics", "Cannot find metric(s) that match type"),
        ],
    )
    def test_each_wait_is_needed(self, tmp_path: Path, project: NewProject, wait: str, message: str):
        def no_wait(path: Path) -> None:
            inventory_file = path.parent / "inventory.yaml"
            text = inventory_file.read_text()
            inventory_file.write_text(re.sub(rf"^  {wait}: \d+", f"  {wait}: 0", text, flags=re.MULTILINE))

        _, run = self.apply(tmp_path, project, edit=no_wait)
        assert run.returncode == 1
        assert message in flat(run.stderr)

    def test_alerts_whose_metrics_are_validated_are_refused(self, tmp_path: Path, project: NewProject):
        def validate(path: Path) -> None:
            file = path / "monitoring.tf"
            file.write_text(
                re.sub(r"disable_metric_validation = true", "disable_metric_validation = false", file.read_text())
            )

        _, run = self.apply(tmp_path, project, edit=validate)
        assert run.returncode == 1
        assert "names a metric that does not exist" in flat(run.stderr)

    def test_more_instances_than_the_quotas_are_refused(self, tmp_path: Path, project: NewProject):
        _, run = self.apply(tmp_path, project, "max_instances=3")
        assert run.returncode == 1
        assert "Quota violated" in flat(run.stderr)


def flat(text: str) -> str:
    """Terraform's messages without its margin and line breaks."""
    return re.sub(r"[\s│]+", " ", text)


@needs_terraform
@pytest.mark.long
def test_what_holds_data_is_destroyed_once_keep_data_is_false(tmp_path: Path):
    with server.serving() as env:
        root = terraformed.Root(tmp_path, env)
        assert root.run("init", "-input=false").returncode == 0
        flags = ["-auto-approve", "-input=false", "-var=project_id=my-project"]
        assert root.run("apply", *flags).returncode == 0
        refused = root.run("destroy", *flags)
        assert refused.returncode == 1
        assert "Dataset my-project:inference_logs is still in use" in flat(refused.stderr)
        assert "my-project-inference-input containing objects" in flat(refused.stderr)
        assert "my-project-inference-work" not in refused.stderr
        assert root.run("apply", *flags, "-var=keep_data=false").returncode == 0
        destroyed = root.run("destroy", *flags, "-var=keep_data=false")
        assert destroyed.returncode == 0, destroyed.stderr
        assert "values" not in root.show()


@needs_terraform
def test_the_outputs_list_the_remaining_steps(root: terraformed.Root, applied: terraformed.Found):
    outputs = {name: output["value"] for name, output in root.show()["values"]["outputs"].items()}
    assert outputs["buckets"]["input"] == "my-project-inference-input"
    assert outputs["workflow"] == "projects/my-project/locations/us-central1/workflows/inference"
    trigger = inventory.load(REQUIRED)["triggers"]["on-upload"]
    assert outputs["dead_letters"] == [
        "gcloud pubsub subscriptions update eventarc-us-central1-inference-on-upload-sub-001 --project=my-project "
        f"--dead-letter-topic=inference-{trigger['dead_letter']} --max-delivery-attempts={trigger['attempts']}"
    ]
    assert "ds.ds0.datasetId=inference_logs" in outputs["report"]


@pytest.mark.long
@needs_terraform
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_creates_exactly_the_inventory(root: terraformed.Root, tmp_path: Path, example: Path):
    values = {name: literal(value) for name, value in load(example).items()}
    plan = root.run(
        "plan", "-input=false", f"-var-file={example.name}", f"-out={tmp_path}/plan", f"-state={tmp_path}/s"
    )
    assert plan.returncode == 0, plan.stderr
    planned = terraformed.resources(root.show(f"{tmp_path}/plan")["planned_values"])
    functions = {v["name"]: v for r in planned if r["type"].endswith("2_function") and (v := r["values"])}
    system = inventory.load(values)
    for name, function in system["functions"].items():
        config = functions[f"inference-{name}"]["service_config"][0]
        assert config["available_memory"] == function["memory"]
    service = next(r["values"]["template"][0] for r in planned if r["type"] == "google_cloud_run_v2_service")
    assert service["scaling"][0]["max_instance_count"] == system["gpu_service"]["max_instances"]
    assert service["containers"][0]["resources"][0]["limits"]["memory"] == system["gpu_service"]["memory"]
    kept = {r["index"]: not r["values"]["force_destroy"] for r in planned if r["type"] == "google_storage_bucket"}
    keep = values.get("keep_data", True)
    assert kept == {name: bucket["keep"] and keep for name, bucket in system["buckets"].items()}


def check_all_that_is_created(root: terraformed.Root, folder: Path, values: dict[str, Any]) -> None:
    """Applies the root with these variables; the state stays in the folder, for another call."""
    given = {"project_id": "my-project", **values}
    flags = [f"-var={name}={each if isinstance(each, str) else json.dumps(each)}" for name, each in given.items()]
    run = root.run("apply", "-auto-approve", "-input=false", *flags, f"-state={folder}/s")
    assert run.returncode == 0, run.stderr
    resources = terraformed.resources(root.show(f"{folder}/s")["values"])
    system = inventory.load({**REQUIRED, **values})
    assert terraformed.shape_of(resources) == shape.plain(shape.expected(system))


@pytest.mark.long
@needs_terraform
def test_every_region_has_the_service_and_the_job(root: terraformed.Root, tmp_path: Path):
    regions: dict[str, Any] = {"gpu_regions": ["europe-west4", "us-central1"], "gpu_region_weights": ["3", "1"]}
    check_all_that_is_created(root, tmp_path, {**regions, "keep_latest": False})


@pytest.mark.long
@needs_terraform
def test_micro_batching_collects_the_buckets_notifications_every_minute(root: terraformed.Root, tmp_path: Path):
    check_all_that_is_created(root, tmp_path, {"micro_batching": True})


@pytest.mark.long
@needs_terraform
def test_tracked_objects_reach_a_bucket(root: terraformed.Root, tmp_path: Path):
    check_all_that_is_created(root, tmp_path, {"track_objects": True})


@pytest.mark.long
@needs_terraform
def test_notifications_come_with_the_secret_that_configures_them(root: terraformed.Root, tmp_path: Path):
    check_all_that_is_created(root, tmp_path, {"notifications_secret": "endpoints"})
    check_all_that_is_created(root, tmp_path, {})


@pytest.mark.long
@needs_terraform
def test_own_models_a_token_and_an_existing_bucket_reach_the_service_and_the_job(
    root: terraformed.Root, tmp_path: Path
):
    values = {"models": "gs://my-models/models.json", "models_profile": "mine", "hub_token_secret": "hf-token"}
    values |= {"existing_input_bucket": "uploads", "existing_input_location": "us", "output_storage_class": "NEARLINE"}
    values |= {"noncurrent_delete_after": "30", "soft_delete_days": "14", "report_days": "90"}
    values |= {"vertex_predict_role": "projects/my-project/roles/vertexPredict"}
    values |= {"vertex_registry_role": "projects/my-project/roles/vertexRegistry", "model_memory_bytes": "8589934592"}
    values |= {"load_wait_seconds": "90", "models_refresh_seconds": "5"}
    values |= {"max_collections": "5", "tenants": "folder", "tenant_share": "0.05"}
    check_all_that_is_created(root, tmp_path, values)


@pytest.mark.long
@needs_terraform
def test_without_a_gpu_the_same_system_runs_on_cpus_also_with_another_prefix(root: terraformed.Root, tmp_path: Path):
    values = {"gpu_type": "none", "service_prefix": "dev-eu", "gpu_revision": "dev-eu-gpu-service-00001"}
    check_all_that_is_created(root, tmp_path, values)


@pytest.mark.long
@needs_terraform
@pytest.mark.parametrize("reports", [True, False])
def test_a_companys_keys_networks_and_ingress_reach_everything(root: terraformed.Root, tmp_path: Path, reports: bool):
    check_all_that_is_created(root, tmp_path, {**shape.COMPANY, "reports": str(reports).lower()})


@needs_terraform
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ['-var=gpu_regions=["us-central1","europe-west4"]', "-var=gpu_revision=r"],
            "gpu_revision names a revision of one",
        ),
        (["-var=output_delete_after=30"], "output_delete_after is 30: documents must be kept at least 7 days longer"),
        (["-var=vpc_network=projects/p/global/networks/n"], "vpc_network and vpc_subnetwork go together"),
        (
            ["-var=kms_key=projects/p/locations/eu/keyRings/r/cryptoKeys/k"],
            "kms_key must lie in the region us-central1",
        ),
        (["-var=gpu_cpu=2"], "gpu_cpu is 2; with gpu_type nvidia-l4 it must be one of [4,6,8]."),
        (
            ["-var=gpu_type=none", "-var=gpu_memory=1Gi"],
            "gpu_memory is 1Gi; with gpu_type none it must be at least 2Gi.",
        ),
        (["-var=tenants=folder", "-var=max_executions_per_hour=0"], "tenants needs a max_executions_per_hour above 0"),
        (["-var=max_collections=6"], "max_collections is 6, but on-message handles 6 messages at the same time"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(root: terraformed.Root, flags: list[str], message: str):
    run = root.run("plan", "-input=false", "-var=project_id=my-project", *flags)
    assert run.returncode == 1
    assert message in " ".join(run.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    "example", [path for path in EXAMPLES if path.stem != "high-performance"], ids=lambda path: path.stem
)
def test_an_example_fits_into_a_new_projects_quotas_unless_it_says_what_it_needs(example: Path):
    system = inventory.load({name: literal(value) for name, value in load(example).items()})
    for quota, limit in NEW_PROJECT.items():
        assert sum(need[quota] for name, need in needs(system).items() if name != "gpu-job") <= limit
    assert "quotas of 16 L4 GPUs, 140 CPUs and 540 GiB" in (FOLDER / "high-performance.tfvars").read_text()


def test_the_documentation_names_every_example():
    assert [path.stem for path in EXAMPLES] == ["cost-optimised", "development", "high-performance"]


@needs_terraform
@pytest.mark.parametrize(
    "variable",
    [
        "timeout_seconds=5",
        "gpu_type=nvidia-h100",
        "service_prefix=Big",
        "gpu_memory=16",
        "ingress=none",
        'gpu_regions=["x"]',
        "max_collections=0",
        "tenants=a/b",
        "tenant_share=2",
    ],
)
def test_an_invalid_value_is_refused(root: terraformed.Root, variable: str):
    run = root.run("plan", "-input=false", "-var=project_id=my-project", f"-var={variable}")
    assert run.returncode == 1
    assert f"{variable.partition('=')[0]} must match" in run.stderr


@needs_terraform
def test_an_image_is_required_since_the_deployments_registry_is_empty(root: terraformed.Root):
    flags = ["-input=false", "-var=project_id=my-project"]
    refused = [root.run("plan", *flags, "-var=gpu_image=")]
    image = root.env.pop("TF_VAR_gpu_image")
    refused.append(root.run("plan", *flags))
    root.env["TF_VAR_gpu_image"] = image
    assert [run.returncode for run in refused] == [1, 1]
    assert "build the image first" in refused[0].stderr
    assert "No value for required variable" in refused[1].stderr


@needs_terraform
def test_an_unknown_attribute_or_block_is_detected(tmp_path: Path):
    with server.serving() as env:
        made = terraformed.Root(tmp_path, env)
        (made.path / "more.tf").write_text(
            'resource "google_cloud_run_v2_service" "x" {\n  name = "x"\n  location = "y"\n  template {\n'
            '    gpu {\n      type = "nvidia-l4"\n    }\n  }\n}\n'
        )
        made.run("init", "-input=false")
        run = made.run("validate")
    assert run.returncode == 1
    assert "Unsupported block type" in run.stderr


@needs_terraform
def test_options_add_their_resources(root: terraformed.Root, tmp_path: Path):
    connector = "projects/my-project/locations/us-central1/connectors/c"
    options = {"audit_logs": "true", "billing_account": "012345-6789AB-CDEF01", "ingress": "internal"}
    flags = [f"-var={name}={value}" for name, value in {**options, "vpc_connector": connector}.items()]
    plan = root.run(
        "plan", "-input=false", "-var=project_id=my-project", *flags, f"-out={tmp_path}/p", f"-state={tmp_path}/s"
    )
    assert plan.returncode == 0, plan.stderr
    planned = terraformed.resources(root.show(f"{tmp_path}/p")["planned_values"])
    kinds = {resource["type"] for resource in planned}
    assert {"google_project_iam_audit_config", "google_billing_budget"} <= kinds
    functions = [r["values"]["service_config"][0] for r in planned if r["type"] == "google_cloudfunctions2_function"]
    assert {f["ingress_settings"] for f in functions} == {"ALLOW_INTERNAL_ONLY"}
    assert {f["vpc_connector"] for f in functions} == {connector}


def load(path: Path) -> dict[str, Any]:
    with path.open() as file:
        parsed: dict[str, Any] = hcl2.load(file)
    return parsed


def literal(value: Any) -> Any:
    """A value as python-hcl2 reads it: strings keep their quotes."""
    return json.loads(value) if isinstance(value, str) and value.startswith('"') else value


def test_the_variables_are_those_of_all_routes():
    declared = {
        name.strip('"'): body for entry in load(FOLDER / "variables.tf")["variable"] for name, body in entry.items()
    }
    del declared["sources"]
    known = inventory.variables()
    assert list(declared) == list(known)
    for name, variable in known.items():
        assert literal(declared[name]["description"]) == variable["description"]
        default = None if name == "gpu_image" else variable.get("default")  # only deploy.sh builds the image
        assert literal(declared[name].get("default")) == default, name
        rules = list(declared[name].get("validation", []))
        assert bool(rules) == ("pattern" in variable), name
        assert all(variable["pattern"] in rule["condition"] for rule in rules), name


def test_every_type_attribute_and_block_is_in_the_providers_schema():
    """Parses the files and compares each block with the schema, so it needs no terraform."""
    checked = 0
    for path in FOLDER.glob("*.tf"):
        for section, key in (("resource", "resources"), ("data", "data")):
            for entry in load(path).get(section, []):
                for kind, blocks in entry.items():
                    kind = kind.strip('"')
                    schema = next(p[key][kind] for p in server.SCHEMA.values() if kind in p[key])
                    for body in blocks.values():
                        assert unknown_names(body, schema) == [], f"{path.name}: {kind}"
                        checked += 1
    assert checked >= 25


META = {"for_each", "count", "provider", "depends_on", "lifecycle"}


def unknown_names(body: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    bad: list[str] = []
    for name, value in body.items():
        if name.startswith("__") or name in META:
            continue
        if name == "dynamic":
            for entry in value:
                for inner, dynamic in entry.items():
                    blocks = schema["blocks"].get(inner.strip('"'))
                    contents = dynamic["content"]
                    bad += [inner] if blocks is None else unknown_names(contents[0], blocks[1])
        elif name in schema["blocks"]:
            for inner in value:
                bad += unknown_names(inner, schema["blocks"][name][1])
        elif schema["attributes"].get(name, [None, "computed"])[1] == "computed":
            bad.append(name)
    return bad


def test_infrastructure_manager_supports_the_language_version():
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.tf"))
    newer = (
        r"\b(removed|ephemeral|check|import)\s*[\"{]|provider::|templatestring|issensitive|backend\s+\"|mock_provider"
    )
    assert re.findall(newer, text) == []
    assert 'required_version = ">= 1.5"' in text


def test_every_exception_of_the_policy_scan_has_a_reason():
    listed = (FOLDER / ".checkov.yaml").read_text().partition("skip-check:\n")[2].splitlines()
    assert listed
    assert all(re.fullmatch(r"  - CKV_GCP_\d+ +# \w.+", line) for line in listed)


CHECKOV = os.environ.get("CHECKOV") or shutil.which("checkov")


@pytest.mark.rehearsal
@pytest.mark.skipif(
    CHECKOV is None, reason="checkov is not installed, so the root was not scanned (pip install checkov==3.3.30)"
)
def test_checkov_finds_nothing_else():
    command = [str(CHECKOV), "-d", str(FOLDER), "--config-file", str(FOLDER / ".checkov.yaml"), "--output", "json"]
    run = subprocess.run(
        command, env={**os.environ, "BC_SKIP_MAPPING": "1"}, capture_output=True, text=True, timeout=110
    )
    summary = json.loads(run.stdout)["summary"]
    assert summary["passed"] > 5
    assert (run.returncode, summary["failed"], summary["parsing_errors"]) == (0, 0, 0)


class TestPolicies:
    """Rules for a cloud account, applied to every resource."""

    pytestmark = needs_terraform

    def of(self, applied: terraformed.Found, *kinds: str) -> list[dict[str, Any]]:
        values = [resource["values"] for resource in applied if resource["type"] in kinds]
        assert values, kinds
        return values

    def test_nothing_is_public(self, applied: terraformed.Found):
        members = [r["values"]["member"] for r in applied if r["type"].endswith("_iam_member")]
        assert members
        assert not [member for member in members if member in ("allUsers", "allAuthenticatedUsers")]
        assert not [r for r in applied if r["values"].get("invoker_iam_disabled")]

    def test_every_bucket_refuses_acls_and_the_public(self, applied: terraformed.Found):
        for bucket in self.of(applied, "google_storage_bucket"):
            assert bucket["uniform_bucket_level_access"]
            assert bucket["public_access_prevention"] == "enforced"

    def test_no_project_wide_storage_role_lacks_a_condition(self, applied: terraformed.Found):
        bindings = self.of(applied, "google_project_iam_member")
        conditions = [row["condition"] for row in bindings if row["role"].startswith("roles/storage.")]
        assert conditions
        assert all(conditions)

    def test_no_account_can_impersonate_another(self, applied: terraformed.Found):
        rows = [r["values"]["role"] for r in applied if r["type"].endswith("_iam_member")]
        powerful = {
            "roles/iam.serviceAccountTokenCreator",
            "roles/iam.serviceAccountUser",
            "roles/iam.serviceAccountKeyAdmin",
        }
        assert not powerful & set(rows)
        assert not [r for r in applied if r["type"] == "google_service_account_key"]

    def test_no_service_runs_as_the_projects_default_account(self, applied: terraformed.Found):
        accounts = [
            f["service_config"][0]["service_account_email"] for f in self.of(applied, "google_cloudfunctions2_function")
        ]
        accounts += [s["template"][0]["service_account"] for s in self.of(applied, "google_cloud_run_v2_service")]
        accounts += [
            j["template"][0]["template"][0]["service_account"] for j in self.of(applied, "google_cloud_run_v2_job")
        ]
        accounts += [w["service_account"] for w in self.of(applied, "google_workflows_workflow")]
        assert len(accounts) == len(set(accounts))
        assert all("inference-" in account for account in accounts)

    def test_everything_that_scales_has_a_maximum(self, applied: terraformed.Found):
        for function in self.of(applied, "google_cloudfunctions2_function"):
            assert 0 < function["service_config"][0]["max_instance_count"] <= 100
        for job in self.of(applied, "google_cloud_run_v2_job"):
            assert 0 < job["template"][0]["parallelism"] <= 100
            longest = "3600s" if job["name"].endswith("-gpu-job") else "86400s"
            assert job["template"][0]["template"][0]["timeout"] == longest
        for service in self.of(applied, "google_cloud_run_v2_service"):
            assert 0 < service["template"][0]["scaling"][0]["max_instance_count"] <= 100

    def test_every_push_carries_a_token(self, applied: terraformed.Found):
        pushes = [s["push_config"][0] for s in self.of(applied, "google_pubsub_subscription") if s["push_config"]]
        assert pushes
        assert all(push["oidc_token"] and push["push_endpoint"].startswith("https://") for push in pushes)
