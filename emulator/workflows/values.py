"""The values of the language: their types, sizes, text and JSON."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.workflows import assumptions, limits
from emulator.workflows.errors import limit_error, value_error

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Function:
    """A function as a value: a retry predicate, from the library or a subworkflow."""

    name: str
    call: Callable[..., Any]


_TYPES: dict[type, str] = {
    bool: "boolean", bytes: "bytes", float: "double", int: "integer",
    list: "list", dict: "map", str: "string", type(None): "null", Function: "function",
}  # fmt: skip
# The names of types in the service's messages.
_MESSAGE_TYPES: dict[type, str] = {
    bool: "bool", bytes: "bytes", float: "float", int: "int",
    list: "list", dict: "dict", str: "string", type(None): "null", Function: "function",
}  # fmt: skip


def type_name(value: Any) -> str:
    """What `get_type` returns."""
    return _TYPES[type(value)]


def shown_type(value: Any) -> str:
    """The name of the type in error messages."""
    return f"'{_MESSAGE_TYPES[type(value)]}'"


def is_number(value: Any) -> bool:
    """Integer or double, not boolean."""
    kind = type(value)
    return kind is int or kind is float


def size(value: Any) -> int:
    """Bytes that count against the memory limit; raises LimitError when a string is too long."""
    kind = type(value)
    if kind is str:
        return _string_size(value)
    if kind is int or kind is float:
        return assumptions.NUMBER_BYTES
    if kind is dict:
        return sum(_string_size(key) + size(item) for key, item in value.items())
    if kind is list:
        return sum(map(size, value))
    return len(value) if kind is bytes else assumptions.FLAG_BYTES


def _string_size(text: str) -> int:
    length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if length > limits.STRING_BYTES:
        raise limit_error(f"String length limit exceeded: {length} bytes, at most {limits.STRING_BYTES}")
    return length


def number_text(value: float) -> str:
    """A double as text: `2`, `1.5`, `1e+30`, `Infinity`."""
    if math.isfinite(value):
        plain = _without_point(value)
        return repr(value) if plain is None else str(plain)
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _without_point(value: float) -> int | None:
    """The integer to write for a double without a fraction, else None."""
    if assumptions.INTEGRAL_DOUBLE_KEEPS_POINT or abs(value) >= assumptions.EXPONENT_FROM:
        return None
    return int(value) if value.is_integer() else None


def to_text(value: Any) -> str:
    """A string, number or boolean as text, as in `+` and `string()`."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    return number_text(value) if kind is float else str(value)


def encode_json(value: Any, indent: str | None = None, prefix: str = "") -> str:
    """JSON text with sorted keys, as the service writes it.

    Raises:
        RaisedError: ValueError for bytes, functions, NaN and Infinity.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(jsonable(value), ensure_ascii=False, indent=indent, separators=separators, sort_keys=True)
    return text.replace("\n", "\n" + prefix) if prefix else text


def jsonable(value: Any) -> Any:
    """A copy of the value that `json.dumps` can encode."""
    kind = type(value)
    if kind is dict:
        return {key: jsonable(item) for key, item in value.items()}
    if kind is list:
        return [jsonable(item) for item in value]
    if kind is float:
        if not math.isfinite(value):
            raise value_error("NaN and Infinity cannot be encoded as JSON")
        plain = _without_point(value)
        return value if plain is None else plain
    if kind is bytes or kind is Function:
        raise value_error(f"unsupported type for JSON encoding: {shown_type(value)}")
    return value


def decode_json(text: str | bytes) -> Any:
    """JSON text to a value.

    Raises:
        ValueError: the text is not JSON, or a number in it is too large for a double.
    """
    return json.loads(text, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_no_constant)


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large for a double")
    return number


def _parse_int(text: str) -> int | float:
    if len(text) > 20:
        return _parse_float(text)
    number = int(text)
    return number if INT_MIN <= number <= INT_MAX else float(number)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def normal(value: Any) -> Any:
    """A Python value as one of the language: tuples become lists, keys strings, large integers doubles."""
    return decode_json(json.dumps(value))


def safe_json(value: Any) -> str:
    """JSON for a report: bytes and functions, which JSON cannot express, become their type's name."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_placeholder)


def _placeholder(value: Any) -> str:
    return f"<{type_name(value)}>"
