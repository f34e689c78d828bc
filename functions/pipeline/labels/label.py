"""A label: the input that it is of, what is true of it, and how the input came to be labelled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipeline.errors import RejectedError

Source = Literal["audit", "annotation", "correction"]
SOURCES: tuple[Source, ...] = get_args(Source)
UNSELECTED: tuple[Source, ...] = ("audit", "annotation")
"""Chosen without regard to the answer, so that they may measure accuracy."""

Target = Literal["name", "job", "document"]
TARGETS: tuple[Target, ...] = get_args(Target)
MAX_LABEL = 500  # characters
MAX_TARGET = 1100


@dataclass(frozen=True, slots=True)
class Label:
    """What is true of an input, which `by` names.

    Args:
        source: `audit` for inputs drawn at random, `annotation` for those labelled as a whole, `correction` for answers
            that a user corrected.
    """

    by: Target
    target: str
    label: str
    source: Source

    def __str__(self) -> str:
        return f"{self.by} {self.target!r}"


def parse(value: object) -> Label:
    """Checks `{"name" | "job" | "document", "label", "source"}`.

    Raises:
        RejectedError: `invalid_label`.
    """
    if not isinstance(value, Mapping) or value.keys() - {*TARGETS, "label", "source"}:
        raise _invalid("A label must be an object with label, source, and one of name, job and document.")
    targets = [by for by in TARGETS if by in value]
    if len(targets) != 1:
        raise _invalid("A label needs exactly one of name, job and document.")
    target, label = _text(value, targets[0], MAX_TARGET), _text(value, "label", MAX_LABEL)
    if value.get("source") not in SOURCES:
        raise _invalid(f"source must be one of {', '.join(SOURCES)}, not {value.get('source')!r:.100}.")
    return Label(targets[0], target, label, value["source"])


def _text(value: Mapping[str, Any], name: str, limit: int) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not text.strip() or len(text) > limit:
        raise _invalid(f"{name} must be a text of 1 to {limit} characters.")
    return text.strip() if name == "label" else text


def _invalid(message: str) -> RejectedError:
    return RejectedError("invalid_label", message)
