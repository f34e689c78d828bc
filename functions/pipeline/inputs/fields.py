"""Chooses the field of JSON records that holds their texts, as that of a table's columns is chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import RejectedError
from pipeline.formats.json_text import FIELDS
from pipeline.tabular import columns, selection
from pipeline.tabular.request import Request
from pipeline.tabular.selection import NONE, Choice

Record = Mapping[str, Any]


def chosen(records: Sequence[Record], requested: str | None) -> Choice:
    """What the records' fields are for; no choice if they have those that every model knows, or nothing shows.

    Args:
        records: the first of the input; one that lacks the chosen field is refused later, by itself.
        requested: the parameter text_column.

    Raises:
        RejectedError: `no_usable_column`.
    """
    if not records or (requested is None and any(FIELDS & record.keys() for record in records)):
        return NONE
    names = list(dict.fromkeys(name for record in records for name in record))
    if requested is not None and requested not in names:
        raise _missing(f"The records have no field {requested!r:.300}.", names)
    rows = [[_cell(record.get(name)) for name in names] for record in records]
    described = columns.describe(names, rows)
    if requested is not None:
        payload = next(column for column in described if column.name == requested)
        return Choice("table", payload=payload)
    choice = selection.choose(described, len(rows), Request())
    if choice.payload is None:
        advice = "The parameter text_column names the field with the text."
        raise _missing(
            "The records have neither a field text, image or uri, nor another one with texts.", names, advice
        )
    return choice


def description(choice: Choice) -> dict[str, Any]:
    """How the records were read, for the document."""
    assert choice.payload is not None
    name, others = choice.payload.name, list(choice.considered)
    notes = [f"The field {name!r:.300} was read: the records have no text, image or uri."]
    if others:
        notes.append(f"The parameter text_column selects another ({', '.join(others):.200}).")
    return {"text_column": name, "considered": others, "notes": notes}


def missing(record: Record) -> RejectedError:
    """The refusal of one record without a field that a model reads."""
    return _missing("The record has no field text, image or uri.", record)


def without(record: Record, name: str) -> RejectedError:
    """The refusal of one record without the field that was chosen."""
    return _missing(f"The record has no field {name!r:.300}.", record)


def _missing(problem: str, names: Sequence[str] | Record, advice: str = "") -> RejectedError:
    listed = f"{', '.join(names) or 'none':.600}"
    whose = "Its" if problem.startswith("The record has") else "Their"
    return RejectedError("no_usable_column", f"{problem} {whose} fields are {listed}. {advice}".rstrip(), "records")


def _cell(value: object) -> str:
    """A value as a table has it; nested ones are no cells."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)
