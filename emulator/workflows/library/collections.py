"""`list`, `map` and `math`: every function returns a copy."""

import math
from typing import Any

from emulator.workflows.errors import type_error, value_error
from emulator.workflows.library.builtin import declare
from emulator.workflows.values import INT_MAX, INT_MIN, shown_type


def concat(objs: list[Any], val: Any) -> list[Any]:
    return [*objs, val]


def prepend(objs: list[Any], val: Any) -> list[Any]:
    return [val, *objs]


def get(map: Any, keys: Any) -> Any:
    """The value at a key or along a list of keys; null when a key is missing or a value on the way is not a map."""
    path = [keys] if type(keys) is str else keys
    if type(path) is not list or any(type(key) is not str for key in path):
        raise type_error(f"map.get: argument 'keys' must be a string or a list of strings, got {shown_type(keys)}")
    value = map
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def delete(map: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in map.items() if name != key}


def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The entries of both maps; `second` takes precedence."""
    return {**first, **second}


def merge_nested(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Like `merge`, but maps under the same key are merged too."""
    merged = dict(first)
    for key, value in second.items():
        both = type(value) is dict and type(merged.get(key)) is dict
        merged[key] = merge_nested(merged[key], value) if both else value
    return merged


def absolute(x: float) -> float:
    if x == INT_MIN and type(x) is int:
        raise value_error("math.abs: integer overflow")
    return abs(x)


def floor(x: float) -> int:
    if not math.isfinite(x) or not INT_MIN <= math.floor(x) <= INT_MAX:
        raise value_error("math.floor: the result does not fit into 64 bits")
    return math.floor(x)


def greatest(x: float, y: float) -> float:
    return max(x, y)


def least(x: float, y: float) -> float:
    return min(x, y)


FUNCTIONS = [
    *declare("list", {"concat": concat, "prepend": prepend}),
    *declare("map", {"get": get, "delete": delete, "merge": merge, "merge_nested": merge_nested}),
    *declare("math", {"abs": absolute, "floor": floor, "max": greatest, "min": least}),
]
