"""The schema, the model and the documentation of stack files agree."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from emulator.stack import loader
from emulator.stack.model import (
    Backoff,
    Bucket,
    ContainerImage,
    Grant,
    Job,
    Notification,
    Ports,
    Retention,
    Service,
    Stack,
    Subscription,
    Trigger,
    WorkflowFile,
)
from emulator.stack.problems import schema

PAGE = Path(__file__).resolve().parents[3] / "docs" / "emulator.md"
SCHEMA = schema()
SECTIONS = SCHEMA["properties"]
ENTRIES = SCHEMA["$defs"]


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("definition", "model"),
    [
        (SCHEMA, Stack),
        (SECTIONS["ports"], Ports),
        (SECTIONS["retention"], Retention),
        (ENTRIES["bucket"], Bucket),
        (ENTRIES["subscription"], Subscription),
        (ENTRIES["service"], Service),
        (ENTRIES["job"], Job),
        (ENTRIES["container"], ContainerImage),
        (ENTRIES["trigger"], Trigger),
        (ENTRIES["trigger"]["properties"]["backoff"], Backoff),
        (ENTRIES["notification"], Notification),
        (ENTRIES["workflow"], WorkflowFile),
        (ENTRIES["grant"], Grant),
    ],
)
def test_the_model_has_the_keys_and_defaults_of_the_schema(definition: dict[str, Any], model: Any) -> None:
    attributes = {field.name: field for field in fields(model) if field.name != "name"}
    if model is Stack:
        del attributes["path"]
    assert set(attributes) == set(definition["properties"])
    for key, rule in definition["properties"].items():
        if "default" in rule and key != "root":
            field = attributes[key]
            default = field.default if field.default_factory is MISSING else field.default_factory()
            assert (list(default) if isinstance(default, tuple) else default) == rule["default"], key


def test_the_examples_in_the_documentation_are_a_valid_stack_together(tmp_path: Path) -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "stack.yaml"
    file.write_text("".join(examples))
    described = loader.load(file)
    assert described.triggers
    assert described.iam


def test_every_key_is_documented() -> None:
    """Fails with the table that docs/emulator.md should contain."""
    table = "\n".join(["| key | default | meaning |", "|---|---|---|", *rows(SECTIONS, [], ""), ""])
    assert table in PAGE.read_text(), table


def rows(properties: dict[str, Any], required: list[str], prefix: str) -> Iterator[str]:
    for key, rule in properties.items():
        entry = rule.get("additionalProperties")
        if "description" in rule:
            value = rule.get("default")
            shown = str(value).lower() if isinstance(value, bool) else value
            default = "" if value in (None, "", [], {}) else f"`{shown}`"
            yield f"| `{prefix}{key}` | {'required' if key in required else default} | {rule['description']} |"
        elif "properties" in rule:
            yield from rows(rule["properties"], rule.get("required", []), f"{prefix}{key}.")
        else:
            definition = ENTRIES[entry["$ref"].rpartition("/")[2]]
            yield from rows(definition["properties"], definition.get("required", []), f"{prefix}{key}.NAME.")
