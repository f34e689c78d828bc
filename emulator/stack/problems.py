"""Checks a stack file against schema.json, and says of each problem where it is and what to write instead."""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend

_SCHEMA = Path(__file__).with_name("schema.json")
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping",
    "string": "a string (quote numbers, true and false)",
}


def schema() -> dict[str, Any]:
    """The JSON Schema of stack files."""
    document: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return document


def problems(document: object) -> list[str]:
    """Every problem of a parsed stack file, such as `services.a.prot: unknown key; did you mean 'port'?`."""
    return _problems(document, schema())


def grant_problems(document: object) -> list[str]:
    """Every problem of a parsed file of grants, which is a list as `iam.grants` is."""
    whole = schema()
    return _problems(document, {**whole["properties"]["iam"]["properties"]["grants"], "$defs": whole["$defs"]})


def _problems(document: object, rules: dict[str, Any]) -> list[str]:
    # JSON Schema takes 2.0 for an integer, the code that counts with it does not.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole)
    validator = extend(Draft202012Validator, type_checker=types)(rules)  # type: ignore[no-untyped-call]
    by_place: dict[str, str] = {}
    for error in validator.iter_errors(document):
        for place, text in _described(error):
            by_place.setdefault(place, text)
    return [f"{place}: {text}" if place else text for place, text in by_place.items()]


def _is_whole(_: TypeChecker, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _described(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Places, and what is wrong there."""
    path = list(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        path.append(str(error.instance))
    rule, value = cast(dict[str, Any], error.schema), cast(Any, error.instance)
    match error.validator:
        case _ if "hint" in rule:
            yield _place(*path), rule["hint"]
        case "additionalProperties":
            for key in value:
                if key not in rule["properties"]:
                    yield _place(*path, str(key)), _unknown(str(key), list(rule["properties"]))
        case "required" | "dependentRequired":
            for key in _missing(rule, value):
                yield _place(*path, key), "missing, but required"
        case "minItems" | "minLength":
            yield _place(*path), "must not be empty"
        case "enum":
            yield _place(*path), f"must be one of {', '.join(rule['enum'])}"
        case _:
            yield _place(*path), f"must be {_expected(rule)}"


def _missing(rule: dict[str, Any], value: dict[str, Any]) -> list[str]:
    required = list(rule.get("required", []))
    for key, others in rule.get("dependentRequired", {}).items():
        required += others if key in value else []
    return [key for key in required if key not in value]


def _unknown(key: str, known: list[str]) -> str:
    nearest = get_close_matches(key, known, 1)
    question = f"did you mean {nearest[0]!r}? Known" if nearest else "known"
    return f"unknown key; {question} keys: {', '.join(known)}"


def _expected(rule: dict[str, Any]) -> str:
    types = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    expected = _TYPES[types[0]]
    if types[0] == "object" and "properties" not in rule:
        expected += " from names"
    return f"{expected} from {rule['minimum']} to {rule['maximum']}" if "minimum" in rule else expected


def _place(*path: object) -> str:
    """Such as `services.a.command[1]`; empty for the whole file."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
