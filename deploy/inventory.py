"""The inventory as plain values: with a deployment's variables filled in, as rows for a shell, as tables for the docs.

PROJECT_ID=… python deploy/inventory.py rows functions memory cpu     one line per entry, fields split by \\x1f
PROJECT_ID=… python deploy/inventory.py environment on-upload         JSON, as --env-vars-file takes it
PROJECT_ID=… python deploy/inventory.py get gpu_service.memory        one value
python deploy/inventory.py tables                                     the tables of docs/deployment.md
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

FOLDER = Path(__file__).parent
SEPARATOR = "\x1f"  # unlike a tab, a shell keeps empty fields between two of these

Inventory = dict[str, Any]


class VariableError(Exception):
    """A variable is missing or has a value that no deployment accepts."""


def variables() -> dict[str, dict[str, Any]]:
    """`{name: {description, default?, pattern?}}`."""
    return dict(yaml.safe_load((FOLDER / "variables.yaml").read_text(encoding="utf-8")))


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every variable: as given, else its default.

    Raises:
        VariableError: one without a default is missing, or a value does not match its pattern.
    """
    chosen = {}
    for name, variable in variables().items():
        value = _typed(given.get(name), variable.get("default"))
        pattern = variable.get("pattern", "")
        if value is None:
            raise VariableError(f"{name} is not set: {variable['description']}")
        if isinstance(variable.get("default"), bool) and not isinstance(value, bool):
            raise VariableError(f"{name} is {value!r}, neither true nor false: {variable['description']}")
        for part in value if isinstance(value, list) else [value]:
            if not re.search(pattern, str(part)):
                raise VariableError(f"{name} is {part!r}, which does not match {pattern}: {variable['description']}")
        chosen[name] = value
    chosen["gpu_regions"] = chosen["gpu_regions"] or [chosen["region"]]
    if not chosen["gpu_image"]:
        chosen["gpu_image"] = Template(
            "${region}-docker.pkg.dev/${project_id}/${service_prefix}/gpu-service:latest"
        ).substitute(chosen)
    return chosen


def _typed(value: Any, default: Any) -> Any:
    """A value as given; from an environment, lists are split by commas and switches are true or false."""
    if value is None:
        return default
    if isinstance(default, list) and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value == "true" if isinstance(default, bool) and value in ("true", "false") else value


def load(given: Mapping[str, Any]) -> Inventory:
    """The inventory of one deployment; its variables are under `settings`, and under `off` what they leave out."""
    chosen = settings(given)
    marks = {name: json.dumps(value) if isinstance(value, list) else value for name, value in chosen.items()}
    marks["gpu_region"] = chosen["gpu_regions"][0]
    text = Template((FOLDER / "inventory.yaml").read_text(encoding="utf-8")).substitute(marks)
    written = yaml.safe_load(text)
    wanted = {section: _those(entries, True) for section, entries in written.items()}
    return {
        **wanted,
        "off": {section: _those(entries, False) for section, entries in written.items()},
        "settings": chosen,
    }


def _those(entries: Any, there: bool) -> Any:
    """The entries of a section that the variables want there, or those that they don't."""
    if isinstance(entries, dict):
        return {name: entry for name, entry in entries.items() if _wanted(entry) == there}
    return [entry for entry in entries if _wanted(entry) == there] if isinstance(entries, list) else entries


def _wanted(entry: Any) -> bool:
    return not isinstance(entry, dict) or (entry.get("when", True) and not entry.get("unless", False))


def environment(inventory: Inventory, name: str) -> dict[str, str]:
    """The environment variables of a function, the GPU service, the GPU job or the workflow, without addresses."""
    env = (inventory["functions"].get(name) or inventory[name.replace("-", "_")])["env"]
    if isinstance(env, dict):
        return dict(env)
    return {key: value for chosen in env for key, value in inventory["env"][chosen].items()}


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that an environment sets, by their names in capitals."""
    return {name: environ[name.upper()] for name in variables() if environ.get(name.upper())}


def rows(inventory: Inventory, section: str, fields: list[str]) -> Iterator[list[str]]:
    """The entries of a section: their name where they have one, then the fields asked for."""
    entries = _field(inventory, section)
    named = entries.items() if isinstance(entries, dict) else ((None, entry) for entry in entries)
    for name, entry in named:
        values = [_field(entry, field) for field in fields] if isinstance(entry, dict) else [entry]
        yield [_text(value) for value in ([name] if name else []) + values]


def tables(inventory: Inventory) -> str:
    """The inventory's tables in Markdown."""
    return "\n\n".join(f"### {title}\n\n{_table(inventory, section, fields)}" for title, section, fields in TABLES)


def document(page: str) -> str:
    """A page with the tables in place of what is between its marks."""
    before, start, rest = page.partition("<!-- inventory -->\n")
    _, end, after = rest.partition("<!-- /inventory -->")
    return f"{before}{start}{tables(load({'project_id': 'my-project'}))}\n{end}{after}"


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
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    system = given(environ)
    match arguments:
        case ["rows", section, *fields]:
            sys.stdout.writelines(SEPARATOR.join(row) + "\n" for row in rows(load(system), section, fields))
        case ["environment", name]:
            print(json.dumps(environment(load(system), name), indent=2))
        case ["get", path]:
            print(_text(_field(load(system), path)))
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
