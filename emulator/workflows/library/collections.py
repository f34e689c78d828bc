"""`list`, `map` and `math`: every function returns a copy."""

from __future__ import annotations

import math
from typing import Any

from emulator.workflows.errors import type_error, value_error
from emulator.workflows.library import expecting
from emulator.workflows.library.table import LibraryFunction, declare
from emulator.workflows.values import INT_MAX, INT_MIN, shown_type


def concat(objs: Any, val: Any) -> list[Any]:
    """The list with one more element at its end."""
    return [*expecting.sequence("list.concat", "objs", objs), val]


def prepend(objs: Any, val: Any) -> list[Any]:
    """The list with one more element at its beginning."""
    return [val, *expecting.sequence("list.prepend", "objs", objs)]


def get(map: Any, keys: Any) -> Any:
    """The value at a key, or along a list of keys; null when there is none, or no map to look in."""
    if type(keys) is str:
        path = [keys]
    elif type(keys) is list and all(type(key) is str for key in keys):
        path = keys
    else:
        raise type_error(f"map.get: argument 'keys' must be a string or a list of strings, got {shown_type(keys)}")
    value = map
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def delete(map: Any, key: Any) -> dict[str, Any]:
    """The map without a key."""
    content = expecting.mapping("map.delete", "map", map)
    gone = expecting.string("map.delete", "key", key)
    return {name: value for name, value in content.items() if name != gone}


def merge(first: Any, second: Any) -> dict[str, Any]:
    """Both maps' entries; the second wins."""
    return {
        **expecting.mapping("map.merge", "first", first),
        **expecting.mapping("map.merge", "second", second),
    }


def merge_nested(first: Any, second: Any) -> dict[str, Any]:
    """Both maps' entries; maps under the same key are merged too."""
    return _merge(
        expecting.mapping("map.merge_nested", "first", first),
        expecting.mapping("map.merge_nested", "second", second),
    )


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        both = type(value) is dict and type(merged.get(key)) is dict
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def absolute(x: Any) -> Any:
    """The absolute value, of the same type."""
    number = expecting.number("math.abs", "x", x)
    if number == INT_MIN and type(number) is int:
        raise value_error("math.abs: integer overflow")
    return abs(number)


def floor(x: Any) -> int:
    """The greatest integer that is not larger."""
    number = expecting.number("math.floor", "x", x)
    if not math.isfinite(number) or not INT_MIN <= math.floor(number) <= INT_MAX:
        raise value_error("math.floor: the result is no 64-bit integer")
    return math.floor(number)


def greatest(x: Any, y: Any) -> Any:
    """The larger of two numbers."""
    return max(expecting.number("math.max", "x", x), expecting.number("math.max", "y", y))


def least(x: Any, y: Any) -> Any:
    """The smaller of two numbers."""
    return min(expecting.number("math.min", "x", x), expecting.number("math.min", "y", y))


FUNCTIONS: list[LibraryFunction] = [
    *declare("list", {"concat": ("objs val", concat), "prepend": ("objs val", prepend)}),
    *declare(
        "map",
        {
            "get": ("map keys", get),
            "delete": ("map key", delete),
            "merge": ("first second", merge),
            "merge_nested": ("first second", merge_nested),
        },
    ),
    *declare(
        "math",
        {"abs": ("x", absolute), "floor": ("x", floor), "max": ("x y", greatest), "min": ("x y", least)},
    ),
]
