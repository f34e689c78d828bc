"""The operators, by the types of their operands."""

import operator
from collections.abc import Callable
from typing import Any

from emulator.workflows.errors import RaisedError, failure, index_error, key_error, type_error, value_error
from emulator.workflows.values import INT_MAX, INT_MIN, is_number, shown_type, to_text

_JOINABLE = frozenset({str, int, float, bool})


def add(left: Any, right: Any) -> Any:
    """The sum of numbers; the concatenation when one operand is a string."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return _bounded(left + right)
    if kind is str and other is str:
        return left + right
    if is_number(left) and is_number(right):
        return left + right
    if (kind is str or other is str) and kind in _JOINABLE and other in _JOINABLE:
        return to_text(left) + to_text(right)
    raise _unsupported("+", left, right)


def _bounded(number: int) -> int:
    if INT_MIN <= number <= INT_MAX:
        return number
    raise value_error("integer overflow")


def _arithmetic(symbol: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(left: Any, right: Any) -> Any:
        if not (is_number(left) and is_number(right)):
            raise _unsupported(symbol, left, right)
        try:
            result = apply(left, right)
        except ZeroDivisionError:
            raise failure("ZeroDivisionError", "division by zero") from None
        except OverflowError:
            raise value_error("number overflow") from None
        return _bounded(result) if type(result) is int else result

    return calculate


def _ordering(symbol: str, apply: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        kind = type(left)
        if (is_number(left) and is_number(right)) or (kind is type(right) and kind in (str, bytes)):
            return apply(left, right)
        raise _unsupported(symbol, left, right)

    return compare


def _unsupported(symbol: str, left: Any, right: Any) -> RaisedError:
    return type_error(f"unsupported operand types for {symbol}: {shown_type(left)} and {shown_type(right)}")


def equal(left: Any, right: Any) -> bool:
    """Equality by value; values of different types differ, except an integer and the double of equal value."""
    kind, other = type(left), type(right)
    if kind is not other:
        return is_number(left) and is_number(right) and bool(left == right)
    if kind is list:
        return len(left) == len(right) and all(map(equal, left, right))
    if kind is dict:
        return left.keys() == right.keys() and all(equal(item, right[key]) for key, item in left.items())
    return bool(left == right)


def unequal(left: Any, right: Any) -> bool:
    """The opposite of `==`."""
    return not equal(left, right)


def contains(value: Any, container: Any) -> bool:
    """`value in container`: whether it is a key of a map, or an element of a list."""
    if type(container) is dict:
        return type(value) is str and value in container
    if type(container) is list:
        return any(equal(value, item) for item in container)
    kind = "null" if container is None else shown_type(container).strip("'")
    raise type_error(f"The argument of 'in' must be a dict or an array; got: {kind}")


def lacks(value: Any, container: Any) -> bool:
    """`value not in container`"""
    return not contains(value, container)


def negate(value: Any) -> Any:
    """`-value`"""
    if not is_number(value):
        raise type_error(f"unsupported operand type for -: {shown_type(value)}")
    return _bounded(-value) if type(value) is int else -value


def invert(value: Any) -> bool:
    """`not value`"""
    return not boolean(value, "not")


def boolean(value: Any, place: str) -> bool:
    """The value, if it is a boolean; nothing else is true or false."""
    if value is True or value is False:
        return bool(value)
    raise type_error(f"unsupported operand type for {place}: {shown_type(value)} (expecting boolean)")


def member(value: Any, name: str) -> Any:
    """`value.name`"""
    if type(value) is not dict:
        raise type_error(f"{shown_type(value)} has no member '{name}': only a map has")
    try:
        return value[name]
    except KeyError:
        raise key_error(name) from None


def item(value: Any, index: Any) -> Any:
    """`value[index]`"""
    if type(value) is dict:
        if type(index) is not str:
            raise type_error(f"a map's key must be a string, got {shown_type(index)}")
        return member(value, index)
    if type(value) is list:
        return value[position(value, index)]
    raise type_error(f"{shown_type(value)} cannot be indexed: only a map or a list can")


def position(value: list[Any], index: Any) -> int:
    """The index, if it is in the range of the list."""
    if type(index) is not int:
        raise type_error(f"a list's index must be an integer, got {shown_type(index)}")
    if not 0 <= index < len(value):
        raise index_error(index, len(value))
    return index


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": add,
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", operator.mul),
    "/": _arithmetic("/", operator.truediv),
    "//": _arithmetic("//", operator.floordiv),
    "%": _arithmetic("%", operator.mod),
    "==": equal,
    "!=": unequal,
    "<": _ordering("<", operator.lt),
    "<=": _ordering("<=", operator.le),
    ">": _ordering(">", operator.gt),
    ">=": _ordering(">=", operator.ge),
    "in": contains,
    "not in": lacks,
}
UNARY: dict[str, Callable[[Any], Any]] = {"not": invert, "-": negate}
