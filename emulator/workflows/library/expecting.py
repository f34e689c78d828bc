"""Argument checks that library functions share: the right type, or the service's TypeError."""

from __future__ import annotations

from typing import Any

from emulator.workflows.errors import type_error
from emulator.workflows.values import is_number, shown_type


def string(function: str, name: str, value: Any) -> str:
    """The argument, if it is a string."""
    if type(value) is str:
        return value
    raise type_error(f"{function}: argument '{name}' must be a string, got {shown_type(value)}")


def integer(function: str, name: str, value: Any) -> int:
    """The argument, if it is an integer."""
    if type(value) is int:
        return value
    raise type_error(f"{function}: argument '{name}' must be an integer, got {shown_type(value)}")


def number(function: str, name: str, value: Any) -> float:
    """The argument, if it is an integer or a double."""
    if is_number(value):
        return value  # type: ignore[no-any-return]
    raise type_error(f"{function}: argument '{name}' must be a number, got {shown_type(value)}")


def boolean(function: str, name: str, value: Any) -> bool:
    """The argument, if it is a boolean."""
    if type(value) is bool:
        return value
    raise type_error(f"{function}: argument '{name}' must be a boolean, got {shown_type(value)}")


def mapping(function: str, name: str, value: Any) -> dict[str, Any]:
    """The argument, if it is a map."""
    if type(value) is dict:
        return value
    raise type_error(f"{function}: argument '{name}' must be a map, got {shown_type(value)}")


def sequence(function: str, name: str, value: Any) -> list[Any]:
    """The argument, if it is a list."""
    if type(value) is list:
        return value
    raise type_error(f"{function}: argument '{name}' must be a list, got {shown_type(value)}")


def binary(function: str, name: str, value: Any) -> bytes:
    """The argument, if it is bytes."""
    if type(value) is bytes:
        return value
    raise type_error(f"{function}: argument '{name}' must be bytes, got {shown_type(value)}")
