"""Reads the inventory with a deployment's variables filled in, and prints it as rows for shells or tables for docs.

PROJECT_ID=… python deploy/inventory.py rows functions memory cpu     one line per entry, fields separated by \\x1f
PROJECT_ID=… python deploy/inventory.py environment on-upload         JSON, as --env-vars-file takes it
PROJECT_ID=… python deploy/inventory.py get gpu_service.memory        one value
python deploy/inventory.py check my.tfvars                            refuses names in it that are no variables
python deploy/inventory.py document                                   updates the tables of docs/deployment.md
"""

import difflib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploy import machines
from deploy.contradictions import contradictions, overloads

FOLDER = Path(__file__).parent
SIMILAR = 0.85  # difflib's ratio of a variable and its misspelling by a letter or two
SEPARATOR = "\x1f"  # unlike tabs, which shells collapse around empty fields

Inventory = dict[str, Any]


class VariableError(Exception):
    """A variable is missing or has an invalid value."""


def variables() -> dict[str, dict[str, Any]]:
    """`{name: {description, default?, pattern?}}`."""
    return dict(yaml.safe_load((FOLDER / "variables.yaml").read_text(encoding="utf-8")))


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every variable's value: from `values`, else its default.

    Raises:
        VariableError: a variable without a default is missing, a value does not match its pattern, or values contradict
            each other.
    """
    chosen = {}
    for name, variable in variables().items():
        value = _typed(values.get(name), variable.get("default"))
        pattern = variable.get("pattern", "")
        if value is None:
            raise VariableError(f"{name} is not set: {variable['description']}")
        if isinstance(variable.get("default"), bool) and not isinstance(value, bool):
            raise VariableError(f"{name} is {value!r}, neither true nor false: {variable['description']}")
        for part in value if isinstance(value, list) else [value]:
            if not re.search(pattern, str(part)):
                raise VariableError(f"{name} is {part!r}, which does not match {pattern}: {variable['description']}")
        chosen[name] = value
    try:
        chosen |= machines.complete(chosen)
    except machines.MachineError as error:
        raise VariableError(str(error)) from error
    chosen["gpu_regions"] = chosen["gpu_regions"] or [chosen["region"]]
    for contradiction in contradictions(chosen):
        raise VariableError(contradiction)
    chosen["build_region"] = chosen["build_region"] or chosen["region"]
    chosen["own_input"] = not chosen["existing_input_bucket"]
    own = f"{chosen['project_id']}-{chosen['service_prefix']}-input"
    chosen["input_bucket"] = chosen["existing_input_bucket"] or own
    chosen["input_location"] = chosen["existing_input_location"] or chosen["region"]
    chosen["served_profile"] = chosen["models_profile"] if chosen["models"] else chosen["gpu_profile"]
    chosen["metric_prefix"] = chosen["service_prefix"].replace("-", "_")  # names of metrics in PromQL have no hyphens
    chosen["hub_token"] = bool(chosen["hub_token_secret"])
    chosen["notifications"] = bool(chosen["notifications_secret"])
    chosen["notifications_with_micro_batching"] = chosen["notifications"] and chosen["micro_batching"]
    chosen["vertex"] = bool(chosen["vertex_predict_role"])
    chosen["vertex_registered"] = bool(chosen["vertex_registry_role"])
    place = f"projects/{chosen['project_id']}/locations/{chosen['region']}"
    chosen["vertex_registry"] = place if chosen["vertex_registered"] else ""
    chosen["hub_offline"] = "0" if chosen["models"] or chosen["hub_token"] else "1"
    return chosen


def _typed(value: Any, default: Any) -> Any:
    """The value with the type of the default: strings of the environment are split at commas or read as booleans."""
    if value is None:
        return default
    if isinstance(default, list) and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value == "true" if isinstance(default, bool) and value in ("true", "false") else value


def load(values: Mapping[str, Any]) -> Inventory:
    """The inventory of a deployment: its variables are under `settings`, entries that they disable under `off`.

    Raises:
        VariableError: as `settings`, or the functions have no room for what a variable asks of them.
    """
    chosen = settings(values)
    placeholders = {
        name: json.dumps(value) if isinstance(value, list | bool) else value for name, value in chosen.items()
    }
    placeholders["gpu_region_list"] = ",".join(chosen["gpu_regions"])
    placeholders["gpu_region_weight_list"] = ",".join(map(str, chosen["gpu_region_weights"]))
    placeholders["gpu_jobs"] = ",".join(
        f"projects/{chosen['project_id']}/locations/{region}/jobs/{chosen['service_prefix']}-gpu-job"
        for region in chosen["gpu_regions"]
    )
    placeholders["sweep_order"] = json.dumps({"uploads": False} if chosen["track_objects"] else {})
    text = Template((FOLDER / "inventory.yaml").read_text(encoding="utf-8")).substitute(placeholders)
    sections = yaml.safe_load(text)
    for overload in overloads(sections):
        raise VariableError(overload)
    return {
        **{section: _entries(entries, enabled=True) for section, entries in sections.items()},
        "off": {section: _entries(entries, enabled=False) for section, entries in sections.items()},
        "settings": chosen,
    }


def _entries(entries: Any, *, enabled: bool) -> Any:
    """The entries of a section that the variables enable, or those that they disable."""
    if isinstance(entries, dict):
        return {name: entry for name, entry in entries.items() if _enabled(entry) == enabled}
    return [entry for entry in entries if _enabled(entry) == enabled] if isinstance(entries, list) else entries


def _enabled(entry: Any) -> bool:
    return not isinstance(entry, dict) or (entry.get("when", True) and not entry.get("unless", False))


def environment(inventory: Inventory, name: str) -> dict[str, str]:
    """The environment variables of a function, the GPU service, the GPU job or the workflow, without service URLs."""
    env = (inventory["functions"].get(name) or inventory[name.replace("-", "_")])["env"]
    if isinstance(env, dict):
        return dict(env)
    return {key: value for group in env for key, value in inventory["env"][group].items()}


def secrets(inventory: Inventory) -> dict[str, str]:
    """The environment variables of the GPU service and job that come from secrets: variable to secret."""
    return {name: entry["secret"] for name, entry in inventory["secrets"].items() if "file" not in entry}


def secret_file(inventory: Inventory, function: str) -> dict[str, str]:
    """The secret that a function reads as a file: `{secret, folder, file}`; empty if it reads none."""
    name = inventory["functions"][function].get("secret")
    return inventory["secrets"][name] if name else {}


def check_names(names: Iterable[str]) -> None:
    """Refuses names that are no variables.

    Raises:
        VariableError: a name is not a variable.
    """
    known = list(variables())
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise VariableError(f"{name} is not a variable of the deployment; deploy/variables.yaml lists them.{meant}")


def assigned(tfvars: str) -> list[str]:
    """The names that a file of Terraform's variables assigns at its top level."""
    depth, names = 0, []
    for line in tfvars.splitlines():
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line).partition("#")[0]
        found = re.match(r"\s*([A-Za-z_][\w-]*)\s*=", code)
        if found and depth == 0:
            names.append(found[1])
        depth += sum(map(code.count, "[{(")) - sum(map(code.count, "]})"))
    return names


def from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that an environment sets in capitals.

    Raises:
        VariableError: the environment sets what looks like a misspelt variable.
    """
    known = variables()
    for name in sorted(environ):
        meant = _meant(name, [known_name.upper() for known_name in known])
        if meant:
            raise VariableError(f"{name} is not a variable of the deployment. Set {meant}, or unset {name}.")
    return {name: environ[name.upper()] for name in known if environ.get(name.upper())}


def _meant(name: str, known: list[str]) -> str | None:
    """The variable that a name in capitals misspells, if any."""
    if name in known or name != name.upper():
        return None
    transposed = [variable for variable in known if sorted(variable) == sorted(name)]
    return next(iter(transposed or difflib.get_close_matches(name, known, 1, SIMILAR)), None)


def rows(inventory: Inventory, section: str, fields: list[str]) -> Iterator[list[str]]:
    """Each entry of a section: its name, if it has one, then the requested fields."""
    entries = _field(inventory, section)
    pairs = entries.items() if isinstance(entries, dict) else ((None, entry) for entry in entries)
    for name, entry in pairs:
        values = [_field(entry, field) for field in fields] if isinstance(entry, dict) else [entry]
        yield [_text(value) for value in ([name] if name else []) + values]


def tables(inventory: Inventory) -> str:
    """The inventory's tables in Markdown."""
    return "\n\n".join(f"### {title}\n\n{_table(inventory, section, fields)}" for title, section, fields in TABLES)


def document(page: str) -> str:
    """The page with the text between its markers replaced by the tables."""
    before, start, rest = page.partition("<!-- inventory -->\n")
    _, end, after = rest.partition("<!-- /inventory -->")
    system = load({"project_id": "my-project", "notifications_secret": "endpoints"})  # every function
    return f"{before}{start}{tables(system)}\n{end}{after}"


TABLES: list[tuple[str, str, list[str]]] = [
    ("Buckets", "buckets", ["holds", "delete_after", "versioning", "soft_delete", "keep"]),
    ("Functions", "functions", ["cpu", "memory", "concurrency", "timeout", "max_instances", "env"]),
    ("Service accounts", "accounts", []),
    ("Who may do what, and why", "iam", ["who", "role", "target", "why"]),
    ("Alerts", "alerts", ["about"]),
    ("Metrics from logs", "log_metrics", ["about"]),
]


def _table(inventory: Inventory, section: str, fields: list[str]) -> str:
    entries = inventory[section]
    heads = fields if isinstance(entries, list) else ["name", *(fields or ["what for"])]
    lines = list(rows(inventory, section, fields))
    return "\n".join(
        f"| {' | '.join(cells)} |"
        for cells in [[head.replace("_", " ") for head in heads], ["---"] * len(heads), *lines]
    )


def _field(entry: Mapping[str, Any], path: str) -> Any:
    value: Any = entry
    for name in path.split("."):
        if isinstance(value, list) and name.isdecimal():
            value = value[int(name)]
        else:
            value = value.get(name, "") if isinstance(value, Mapping) else ""
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    values = from_environ(environ)
    match arguments:
        case ["rows", section, *fields]:
            sys.stdout.writelines(SEPARATOR.join(row) + "\n" for row in rows(load(values), section, fields))
        case ["environment", name]:
            print(json.dumps(environment(load(values), name), indent=2))
        case ["get", path]:
            print(_text(_field(load(values), path)))
        case ["check", path]:
            check_names(name for name in assigned(Path(path).read_text(encoding="utf-8")) if name != "sources")
        case ["document"]:
            page = FOLDER.parent / "docs" / "deployment.md"
            page.write_text(document(page.read_text(encoding="utf-8")), encoding="utf-8")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except VariableError as error:
        sys.exit(str(error))
