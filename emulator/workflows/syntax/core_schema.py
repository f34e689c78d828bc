"""The values of plain scalars, by the core schema of YAML 1.2."""

import re
from typing import Any

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*|[0-9]+)\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z")
_NOT_A_NUMBER = (".nan", ".NaN", ".NAN")
_CONSTANTS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def resolve(text: str) -> Any:
    """A null, boolean or number (integers beyond 64 bits become doubles); any other text is a string."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        number = int(text)
        return number if -(2**63) <= number < 2**63 else float(number)
    if _HEX.match(text):
        return int(text, 16)
    if _OCTAL.match(text):
        return int(text[2:], 8)
    if _FLOAT.match(text):
        return float(text)
    if _INFINITE.match(text):
        return float("-inf") if text.startswith("-") else float("inf")
    return float("nan") if text in _NOT_A_NUMBER else text
