"""A shard's lines: what a model reads of each, what is carried past it, and how its outcome is written."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from gpu_service.errors import InstanceError

Format = Literal["jsonl", "csv"]
Prediction = dict[str, Any]
CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)

_decode = msgspec.json.Decoder().decode
_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True, slots=True)
class Line:
    """`instance` is what a model reads, or the error that the record has already; the others are the sender's."""

    instance: Any
    id: str | int | float | None = None
    uri: str | None = None
    row: Sequence[str] = ()


def parse(data: bytes) -> Line:
    """Any bytes make a line: what cannot be read has an error for its instance."""
    try:
        value = _decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return Line(InstanceError("The line is not JSON.", "invalid_json"))
    if not isinstance(value, dict):
        return Line(value)
    uri = value.get("uri") if "text" not in value and "image" not in value else None
    uri = uri if isinstance(uri, str) else None
    row = value.get("row", [])
    if not isinstance(row, list) or not all(isinstance(cell, str) for cell in row):
        return Line(InstanceError("row must be a list of strings."), _id(value), uri)
    return Line(_failure(value["error"]) if "error" in value else value, _id(value), uri, row)


def _id(value: dict[str, Any]) -> str | int | float | None:
    found = value.get("id")
    return found if isinstance(found, str | int | float) and not isinstance(found, bool) else None


def _failure(error: object) -> InstanceError:
    """What was found wrong with the record before it came here."""
    match error:
        case {"code": str(code), "message": str(message)} if CODE.fullmatch(code):
            return InstanceError(message, code)
    return InstanceError('error must be {"code": "…", "message": "…"}.')


def as_jsonl(start: int, lines: Iterable[Line], predictions: Iterable[Prediction]) -> bytes:
    """A JSON line for each, `start` being the first one's index."""
    return _encode_lines(
        [
            {"index": index, **_carried(line), **prediction}
            for index, (line, prediction) in enumerate(zip(lines, predictions, strict=True), start)
        ]
    )


def _carried(line: Line) -> dict[str, Any]:
    carried: dict[str, Any] = {}
    if line.id is not None:
        carried["id"] = line.id
    if line.uri is not None:
        carried["uri"] = line.uri
    return carried


def as_csv(_: int, lines: Iterable[Line], predictions: Iterable[Prediction]) -> bytes:
    """The cells of each row, then label, score, and the error's code."""
    written = _Written()
    write = csv.writer(written, lineterminator="\r\n").writerow  # a lone carriage return is quoted only so
    for line, prediction in zip(lines, predictions, strict=True):
        write([*line.row, *_cells(prediction)])
    return "".join(written).encode()


def _cells(prediction: Prediction) -> tuple[str, float | str, str]:
    if "error" in prediction:
        return "", "", prediction["error"]["code"]
    return prediction["label"], prediction["score"], ""


class _Written(list[str]):
    def write(self, line: str) -> None:
        self.append(line[:-2] + "\n")


WRITERS: dict[Format, Callable[[int, Iterable[Line], Iterable[Prediction]], bytes]] = {
    "jsonl": as_jsonl,
    "csv": as_csv,
}
