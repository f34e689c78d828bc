"""A shard's lines: reads an instance and what is carried past the model, and writes the outcome."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import asdict

from gpu_service.errors import InstanceError, ServiceError
from gpu_service.serving.predictions import Failure, Outcome
from gpu_service.shards.shard import Dialect, Format
from gpu_service.tasks.predictions import Prediction, cell

Id = str | int | float
CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)
FORMULA = re.compile(r"[=+@\t\r-]")
NUMBER = re.compile(r"[+-][\d.,' ]*\d ?%?")  # also a telephone number

MORE_COLUMNS = ("error", "truncated")  # of every table, after those of the task

PLAIN = Dialect()

_decode = msgspec.json.Decoder().decode
_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True, slots=True)
class Line:
    """`instance` is for the model, or the error that the record already has; the rest is carried to the output."""

    instance: Any
    id: Id | None = None
    uri: str | None = None
    row: Sequence[str] = ()


def columns(kinds: Iterable[type[Prediction]]) -> list[str]:
    """The columns that a table of these predictions adds to its rows."""
    return [*dict.fromkeys(column for kind in kinds for column in kind.columns), *MORE_COLUMNS]


def parse(data: bytes) -> Line:
    """Never raises: a line that cannot be read has an error as its instance."""
    try:
        value = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Line(InstanceError(f"The line cannot be decoded as JSON: {error}.", "invalid_json"))
    except RecursionError:
        return Line(InstanceError("The line has too many levels of nesting.", "invalid_json"))
    if not isinstance(value, dict):
        return Line(value)
    uri = value.get("uri") if "text" not in value and "image" not in value else None
    uri = uri if isinstance(uri, str) else None
    row = value.get("row", [])
    if not isinstance(row, list) or not all(isinstance(cell, str) for cell in row):
        return Line(InstanceError("row must be a list of strings."), _id(value), uri)
    return Line(_known_error(value["error"]) if "error" in value else value, _id(value), uri, row)


def _id(value: dict[str, Any]) -> Id | None:
    identifier = value.get("id")
    return identifier if isinstance(identifier, Id) and not isinstance(identifier, bool) else None


def _known_error(error: object) -> InstanceError:
    """The error that an earlier step found in the record."""
    match error:
        case {"code": str(code), "message": str(message)} if CODE.fullmatch(code):
            return InstanceError(message, code)
    return InstanceError('error must be {"code": "…", "message": "…"}.')


def as_jsonl(start: int, lines: Iterable[Line], outcomes: Iterable[Outcome], *_: Any) -> bytes:
    """A JSON line for each outcome; `start` is the index of the first."""
    return _encode_lines(
        [
            _output_line(index, line, outcome)
            for index, (line, outcome) in enumerate(zip(lines, outcomes, strict=True), start)
        ]
    )


def _output_line(index: int, line: Line, outcome: Outcome) -> dict[str, Any]:
    """What was carried, then the fields of a prediction or the error."""
    fields: dict[str, Any] = {"index": index}
    if line.id is not None:
        fields["id"] = line.id
    if line.uri is not None:
        fields["uri"] = line.uri
    if isinstance(outcome, ServiceError):
        fields["error"] = Failure.of(outcome).error
        return fields
    fields |= asdict(outcome)
    if not outcome.truncated:
        del fields["truncated"]
    return fields


def as_csv(
    _: int,
    lines: Iterable[Line],
    outcomes: Iterable[Outcome],
    columns: Sequence[str],
    labels: Sequence[str] = (),
    dialect: Dialect = PLAIN,
) -> bytes:
    """The cells of each row, those of the columns (fields of predictions or MORE_COLUMNS), and the labels' scores."""
    output = _Output(dialect.newline)
    # With \n alone it would not quote carriage returns.
    write = csv.writer(output, delimiter=dialect.delimiter, lineterminator="\r\n").writerow
    is_plain = not dialect.safe and dialect.decimal == "."
    for line, outcome in zip(lines, outcomes, strict=True):
        row = [*line.row, *_cells(outcome, columns), *_score_cells(outcome, labels)]
        write(row if is_plain else [_formed(value, dialect) for value in row])
    return "".join(output.lines).encode()


def _formed(value: float | str, dialect: Dialect) -> float | str:
    if isinstance(value, float) and dialect.decimal == ",":
        return str(value).replace(".", ",")
    if dialect.safe and isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _cells(outcome: Outcome, columns: Sequence[str]) -> list[float | str]:
    """The error's code, or `true` for a text that was cut; a field that a prediction lacks is empty."""
    if isinstance(outcome, ServiceError):
        return [outcome.code if column == "error" else "" for column in columns]
    truncated = "true" if outcome.truncated else ""
    return [truncated if column == "truncated" else cell(getattr(outcome, column, "")) for column in columns]


def _score_cells(outcome: Outcome, labels: Sequence[str]) -> Sequence[float | str]:
    scores = getattr(outcome, "scores", {})
    return [scores.get(label, "") for label in labels]


class _Output:
    """Takes a csv.writer's rows and ends them as the dialect does."""

    def __init__(self, newline: str) -> None:
        self.newline = newline
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line[:-2] + self.newline)


WRITERS: dict[Format, Callable[..., bytes]] = {
    "jsonl": as_jsonl,
    "csv": as_csv,
}
