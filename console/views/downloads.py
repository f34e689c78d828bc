"""Downloads: the list as one table, and the data of a batch or a forecast, for a spreadsheet or for a program."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from console.index.selection import SORTS, Filters
from console.index.store import Row
from console.web import console as shared
from console.web import wording
from console.web.console import Console
from event_inference.access.clients import translated
from event_inference.outcomes import reading

if TYPE_CHECKING:
    from google.cloud.storage import Blob

_COLUMNS = (
    "name", "state", "kind", "answer", "label", "confidence", "model", "version", "latency_seconds", "cost_usd",
    "device_usd", "records", "failed_records", "code", "reason", "received_at", "finished_at", "job", "document",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?")
_BATCH = 500  # rows
_CHUNK = 1 << 20
_MAX_CELL = 2 << 20  # characters, as much as the pipeline accepts
_MARK = "\ufeff"  # by which spreadsheets know UTF-8


def export(request: Request) -> Response:
    """All inputs that the filters select as CSV, in the order in which they came in unless sorted otherwise."""
    console = shared.of(request)
    filters = Filters.of({"sort": "oldest", **request.query_params, "page": "1"})
    folder = filters.prefix.strip("/").replace("/", "-")
    return _attachment(_table(console, filters), f"{folder or 'inputs'}.csv", "text/csv; charset=utf-8")


def data(request: Request) -> Response:
    """The data beside a document: a table as it came in with the answers as columns, records, or a forecast.

    A CSV is made safe for spreadsheets unless the parameter `raw` asks for the very file.
    """
    console, name = shared.of(request), request.query_params.get("document", "")
    with translated(console.client.target):
        document = reading.document_of(console.client.connection.output, name)
        data_name = document and document.data_name
        blob = console.client.connection.output.get_blob(data_name) if data_name else None
    if document is None or blob is None:
        raise HTTPException(404, "There are no such data. They may have been deleted.")
    stem, _, ending = document.input.rpartition("/")[2].partition(".")
    ending = blob.name.rpartition(".")[2]
    file, is_csv = f"{stem or 'data'}-answers.{ending}", ending == "csv"
    if not is_csv or "raw" in request.query_params:
        media_type = "text/csv; charset=utf-8" if is_csv else "application/x-ndjson"
        return _attachment(_chunks(blob), file, media_type)
    delimiter = (document.content.get("table") or {}).get("delimiter") or ","
    return _attachment(_safe(blob, delimiter), file, "text/csv; charset=utf-8")


def _attachment(content: Iterable[str | bytes], file: str, media_type: str) -> Response:
    headers = {"content-disposition": f"attachment; filename*=utf-8''{quote(file, safe='')}"}
    return StreamingResponse(content, media_type=media_type, headers=headers)


def _table(console: Console, filters: Filters) -> Iterator[str]:
    condition, values = filters.where()
    query = f"SELECT * FROM inputs {f'WHERE {condition}' if condition else ''} ORDER BY {SORTS[filters.sort]}"  # noqa: S608
    with console.index.read() as connection:
        rows = (_cells(dict(row)) for row in connection.execute(query, values))
        yield from _written([list(_COLUMNS)], ",")
        yield from _written(rows, ",", mark="")


def _safe(blob: "Blob", delimiter: str) -> Iterator[str]:
    """A CSV whose cells no spreadsheet takes for formulas."""
    csv.field_size_limit(_MAX_CELL)
    with blob.open("rb", chunk_size=_CHUNK) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
        yield from _written(csv.reader(text, delimiter=delimiter), delimiter)


def _chunks(blob: "Blob") -> Iterator[bytes]:
    with blob.open("rb", chunk_size=_CHUNK) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _written(rows: Iterable[list[Any]], delimiter: str, *, mark: str = _MARK) -> Iterator[str]:
    """Rows as pieces of a CSV."""
    text = io.StringIO(mark, newline="")
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text, delimiter=delimiter)
    for number, row in enumerate(rows, 1):
        writer.writerow([defused(value) for value in row])
        if number % _BATCH == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _cells(row: Row) -> list[Any]:
    extra = {
        "latency_seconds": row["latency"],
        "cost_usd": row["usd"],
        "reason": wording.reason(row),
        "received_at": datetime.fromtimestamp(row["received"], UTC).isoformat(),
        "finished_at": datetime.fromtimestamp(row["changed"], UTC).isoformat() if row["folder"] else "",
    }
    return [extra[column] if column in extra else row[column] for column in _COLUMNS]


def defused(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if not isinstance(value, str) or not value.startswith(_FORMULA) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"
