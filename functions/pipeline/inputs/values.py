"""Checks of a parameter's value: each converts a valid one, and describes which are valid."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline import times

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
MAX_DIGITS = 32  # of a number in a string
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # categories: controls, surrogates, separators of lines; not joiners and spaces


@dataclass(frozen=True, slots=True)
class Check:
    """`convert` raises ValueError or TypeError; `description` completes the sentence "NAME must be …"."""

    convert: Callable[[Any], Any]
    description: str


def whole(low: int, high: int) -> Check:
    """A whole number, which may be a double such as 3.0, or a string, as all object metadata are."""

    def convert(value: object) -> int:
        number = _number(value)
        if not low <= number <= high or number != int(number):
            raise ValueError
        return int(number)

    return Check(convert, f"a whole number from {low} to {high}")


def number(low: float, high: float) -> Check:
    def convert(value: object) -> float:
        number = _number(value)
        if not low <= number <= high:  # also true of NaN
            raise ValueError
        return float(number) + 0.0  # without the sign of -0.0

    return Check(convert, f"a number from {low} to {high}")


def flag() -> Check:
    def convert(value: object) -> bool:
        text = value.strip().lower() if isinstance(value, str) else value
        if text is True or text == "true":
            return True
        if text is False or text == "false":
            return False
        raise ValueError

    return Check(convert, "true or false")


def matching(pattern: str, description: str) -> Check:
    """A string without the white space around it."""
    compiled = re.compile(pattern)

    def convert(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value.strip()):
            raise ValueError
        return value.strip()

    return Check(convert, description)


def duration(longest: int) -> Check:
    """Seconds as a whole number, or a text such as 15m."""

    def convert(value: object) -> int:
        seconds = times.seconds(value) if isinstance(value, str) else whole(0, longest).convert(value)
        if seconds > longest:
            raise ValueError
        return int(seconds)

    return Check(convert, f"seconds from 0 to {longest}, or a duration such as 90s, 15m or 1h")


def short(length: int, description: str) -> Check:
    """A string of at most `length` characters, kept as it is."""

    def convert(value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= length:
            raise ValueError
        if any(unicodedata.category(character) in UNPRINTABLE for character in value):
            raise ValueError
        return value

    return Check(convert, description)


def words(most: int, length: int) -> Check:
    """A list of strings, or one string in which commas separate them, as in object metadata."""
    word = short(length, "").convert

    def convert(value: object) -> list[str]:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(parts, list) or not 1 <= len(parts) <= most:
            raise ValueError
        return [word(part) for part in parts]

    return Check(convert, f"a list of 1 to {most} labels of up to {length} characters")


def _number(value: object) -> int | float:
    """A number, or one written as in JSON; no Boolean, and no digits of other scripts."""
    if isinstance(value, str):
        text = value.strip()
        if len(text) > MAX_DIGITS or not NUMBER.fullmatch(text):
            raise ValueError
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value
