"""The single answers of a result: those of its instances, or of a batch's records, which lie in a CSV or JSONL."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from event_inference.outcomes.documents import Json, Result

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

_CHUNK = 1 << 20
_MAX_CELL = 2 << 20  # characters; a row of a CSV may have half of them
_ADDED = re.compile(r"(label|score|error|truncated)(?:_\d+)?")  # numbered if the input has a column of the name


@dataclass(frozen=True, slots=True)
class Record:
    """One answer.

    Attributes:
        input: the object that a manifest names, or else the input that the record is part of.
        index: the record's place, from 0.
        id: its own, if it has one.
        code, message: of its error.
    """

    input: str
    index: int
    id: str | None = None
    label: str | None = None
    score: float | None = None
    code: str | None = None
    message: str | None = None


def of_result(output: "Bucket", result: Result) -> Iterator[Record]:
    """The answers in order, read as a stream; none for a forecast.

    Raises:
        google.api_core.exceptions.NotFound: the data are gone.
    """
    if result.kind == "timeseries":
        return
    if result.data_name is None:
        yield from (_of_prediction(result, index, found) for index, found in enumerate(result.predictions))
        return
    with output.blob(result.data_name).open("rb", chunk_size=_CHUNK) as stream:
        lines = TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        if result.data_name.endswith(".csv"):
            yield from _of_csv(result, lines)
        else:
            for line in lines:
                found = json.loads(line)
                yield _of_prediction(result, found["index"], found)


def _of_prediction(result: Result, index: int, found: Json) -> Record:
    error = found.get("error") or {}
    identifier = found.get("id")
    return Record(
        _input(result, found.get("uri")),
        index,
        None if identifier is None else str(identifier),
        found.get("label"),
        found.get("score"),
        error.get("code"),
        error.get("message"),
    )


def _of_csv(result: Result, lines: Iterator[str]) -> Iterator[Record]:
    csv.field_size_limit(_MAX_CELL)
    delimiter = (result.content.get("table") or {}).get("delimiter") or ","
    rows = csv.reader(lines, delimiter=delimiter)
    header = next(rows, [])
    places = _places(header)
    for index, row in enumerate(rows):
        cells: dict[str, Any] = {name: row[place] for name, place in places.items() if place < len(row)}
        score = cells.get("score")
        yield Record(
            _input(result, row[0] if result.kind == "manifest" else None),
            index,
            label=cells.get("label") or None,
            score=float(score.replace(",", ".")) if score else None,
            code=cells.get("error") or None,
        )


def _places(header: list[str]) -> dict[str, int]:
    """Where the columns are that the pipeline added: the last of each name, for the input's own come first.

    Behind `truncated` there are only those with the score of each label.
    """
    matches = [(match[1], place) for place, name in enumerate(header) if (match := _ADDED.fullmatch(name))]
    end = max((place for name, place in matches if name == "truncated"), default=-1)
    return {name: place for name, place in matches if place <= end}


def _input(result: Result, uri: str | None) -> str:
    """The name of the object that a manifest's record refers to, or of the input itself."""
    return uri.split("/", 3)[-1] if uri and result.kind == "manifest" else result.input
