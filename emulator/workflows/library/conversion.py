"""Functions without a module: conversions, `default`, `if`, `keys`, `len`, `get_type`."""

import math
import re
from typing import Any

from emulator.workflows.errors import type_error, value_error
from emulator.workflows.library.builtin import declare
from emulator.workflows.values import INT_MAX, INT_MIN, shown_type, to_text, type_name

_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


def to_integer(x: Any) -> int:
    """An integer from a string or number; a double is truncated."""
    kind = type(x)
    if kind is int:
        return int(x)
    if kind is float:
        if not math.isfinite(x):
            raise value_error(f"int(): cannot convert {to_text(x)}")
        return _in_range(int(x))
    if kind is str:
        if not _INTEGER.match(x):
            raise value_error(f'int(): invalid integer "{x}"')
        return _in_range(int(x))
    raise type_error(f"unsupported operand type for int(): {shown_type(x)} (expecting number or string)")


def _in_range(number: int) -> int:
    if INT_MIN <= number <= INT_MAX:
        return number
    raise value_error("int(): integer overflow")


def to_double(x: Any) -> float:
    """A double from a string or number."""
    if type(x) is int or type(x) is float:
        return float(x)
    if type(x) is str:
        if not _DOUBLE.match(x):
            raise value_error(f'double(): invalid number "{x}"')
        return float(x)
    raise type_error(f"unsupported operand type for double(): {shown_type(x)} (expecting number or string)")


def to_string(x: Any) -> str:
    """Text of a number, boolean or string."""
    if type(x) in (str, int, float, bool):
        return to_text(x)
    raise type_error(f"unsupported operand type for string(): {shown_type(x)} (expecting number, string, or boolean)")


def default(val: Any, defaultVal: Any) -> Any:  # noqa: N803 - the documented name
    """The value, or the default when it is null."""
    return defaultVal if val is None else val


def choose(condition: Any, ifTrue: Any, ifFalse: Any) -> Any:  # noqa: N803 - the documented names
    """One of two values; null counts as false."""
    if condition is None:
        return ifFalse
    if type(condition) is not bool:
        raise type_error(f"if(): condition must be a boolean, got {shown_type(condition)}")
    return ifTrue if condition else ifFalse


def keys(map: dict[str, Any]) -> list[str]:
    return list(map)


def length(value: Any) -> int:
    """The number of elements of a list, entries of a map or characters of a string."""
    if type(value) in (str, list, dict):
        return len(value)
    raise type_error(f"unsupported operand type for len(): {shown_type(value)} (expecting list, map, or string)")


FUNCTIONS = declare(
    "",
    {
        "int": to_integer,
        "double": to_double,
        "string": to_string,
        "default": default,
        "if": choose,
        "keys": keys,
        "len": length,
        "get_type": type_name,
    },
)
