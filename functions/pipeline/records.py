"""Streams inputs of many records: CSV rows, JSON lines, or the instances of one JSON document."""

import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from pipeline import clients, inputs, shapes, tabular
from pipeline.delimited import MAX_COLUMNS, MAX_RECORD_CHARS
from pipeline.errors import RejectedError
from pipeline.jobs import Input, Job
from pipeline.objects import content_type
from pipeline.settings import Settings
from pipeline.stamps import stamp
from pipeline.text import decode, decode_head, encoding

MAX_DOCUMENT = 32 << 20  # bytes of a JSON document, which has to be read whole
MAX_LINE_CHARS = 8 << 20
FIELDS = ("text", "image", "uri")

Row = list[str]


@dataclass(frozen=True, slots=True)
class Rows:
    """A CSV being read: what its head says it is, and its rows one by one."""

    table: tabular.Table
    header: Row
    rows: Iterator[Row]


def shard(settings: Settings, job: Job) -> dict[str, Any]:
    """Writes the records as JSON lines of instances to the work bucket, one line per record.

    Raises:
        RejectedError: the records cannot be read to the end, or there are none.
    """
    name = f"shards/{job.id}/00000"
    blob = clients.bucket(settings.work_bucket).blob(f"{name}.jsonl")
    blob.metadata = stamp(job.id)
    count = 0
    with blob.open("wb", content_type=content_type(blob.name), chunk_size=inputs.CHUNK_BYTES) as out:
        for line in _instances(settings, job):
            out.write(line.encode("utf-8", "replace") + b"\n")
            count += 1
        if not count:
            raise RejectedError("empty", "The input has no records.")
    uri = f"gs://{settings.work_bucket}/{name}"
    return {
        "mode": "batch",
        "shards": [{"input": f"{uri}.jsonl", "output": f"{uri}.out.jsonl", "offset": 0}],
        "count": count,
    }


@contextmanager
def table_rows(settings: Settings, source: Input) -> Iterator[Rows]:
    """Opens a CSV; titles above the table and blank lines are left out, ragged rows are not."""
    head = inputs.head(source)
    whole = source.size <= len(head)
    table = tabular.sniff(decode_head(head, whole=whole), whole)
    with inputs.reader(source, settings.max_bytes["table"]) as stream:
        records = _parsed(_text(stream, encoding(head, whole=whole)), table.delimiter or ",")
        above = list(itertools.islice(_without_comments(records), table.skip))
        header = above[-1] if table.header else [column.name for column in table.columns]
        yield Rows(table, header, records)


def _instances(settings: Settings, job: Job) -> Iterator[str]:
    if job.kind == "table":
        return _of_table(settings, job)
    source = job.object_input()
    head = inputs.head(source)
    whole = source.size <= len(head)
    if shapes.is_lines(decode_head(head, whole=whole), whole=whole):
        return _of_lines(settings, job, encoding(head, whole=whole))
    return _of_document(source, job)


def _of_table(settings: Settings, job: Job) -> Iterator[str]:
    with table_rows(settings, job.object_input()) as opened:
        column = _payload(opened.table, job.parameters)
        field = "uri" if column.type == "image" else "text"
        for row in opened.rows:
            cell = row[column.index].strip() if column.index < len(row) else ""
            yield json.dumps({field: cell})


def _payload(table: tabular.Table, parameters: dict[str, Any]) -> tabular.Column:
    wanted = parameters.get("image_column") or parameters.get("text_column")
    if wanted is None and table.payload is not None:
        return table.payload
    for column in table.columns:
        if wanted is not None and column.name.casefold() == wanted.strip().casefold():
            return column
    names = ", ".join(column.name for column in table.columns)
    asked = f"no column {wanted!r}" if wanted else "no column of texts or of gs:// images"
    raise RejectedError("no_usable_column", f"The CSV has {asked}; its columns are {names}."[:1000], "table")


def _of_lines(settings: Settings, job: Job, codec: str) -> Iterator[str]:
    """A line that is no JSON goes on as it is, to come back with its own error."""
    with inputs.reader(job.object_input(), settings.max_bytes["records"]) as stream:
        for line in _lines(_text(stream, codec), MAX_LINE_CHARS):
            if not line.strip():
                continue
            try:
                record = shapes.parse(line)
            except RejectedError:
                yield line.strip()
            else:
                yield _instance(record, job.parameters)


def _of_document(source: Input, job: Job) -> Iterator[str]:
    document = shapes.parse(decode(inputs.read(source, MAX_DOCUMENT)))
    for record in document["instances"]:
        yield _instance(record, job.parameters)


def _instance(record: Any, parameters: dict[str, Any]) -> str:
    """A record with nothing but what a model reads; one without any of that stays as it is."""
    if isinstance(record, str):
        record = {"text": record}
    if isinstance(record, dict):
        wanted = parameters.get("text_column")
        if wanted is not None:
            record = {"text": record.get(wanted)}
        field = next((field for field in FIELDS if field in record), None)
        record = record if field is None else {field: record[field]}
    return json.dumps(record)


def _parsed(stream: IO[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(_lines(stream, MAX_RECORD_CHARS), delimiter=delimiter)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            message = f"The CSV cannot be parsed: {error}, in line {reader.line_num}."
            raise RejectedError("invalid_csv", message, "table") from error
        if row is None:
            return
        if len(row) > MAX_COLUMNS:
            raise RejectedError("invalid_csv", f"A row has more than {MAX_COLUMNS} columns.", "table")
        if any(cell.strip() for cell in row):
            yield row


def _without_comments(records: Iterable[Row]) -> Iterator[Row]:
    """What stands above the data, counted as the sniffing counts it."""
    for index, row in enumerate(records):
        is_separator = index == 0 and row[0].casefold().startswith("sep=")
        if not row[0].startswith("#") and not is_separator:
            yield row


def _text(stream: IO[bytes], codec: str) -> IO[str]:
    return io.TextIOWrapper(stream, encoding=codec, newline="")


def _lines(stream: IO[str], limit: int) -> Iterator[str]:
    while True:
        try:
            line = stream.readline(limit)
        except UnicodeError as error:
            raise RejectedError("undecodable", "The text changes its encoding, or is damaged, further on.") from error
        if not line:
            return
        if len(line) == limit and not line.endswith(("\n", "\r")):
            raise RejectedError("too_large", f"A line has more than {limit:,} characters.")
        yield line
