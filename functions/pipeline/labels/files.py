"""Files of labels: CSV under labels/ of the input bucket with the columns name, job or document, label, and source."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

from pipeline.deployment import Deployment
from pipeline.errors import InProgressError, RejectedError
from pipeline.formats.text import decode, decode_head
from pipeline.inputs import objects
from pipeline.inputs.objects import Head
from pipeline.jobs.documents import Document, Lineage, timing
from pipeline.jobs.job import Input, Job
from pipeline.labels import keeping
from pipeline.labels.label import TARGETS, parse

FOLDER = "labels/"
KIND = "labels"
MAX_ROWS = 2000  # a function has a minute
MAX_BYTES = 4 << 20
MAX_REASONS = 20
CONCURRENCY = 16
COLUMNS = "A file of labels needs the columns label, source, and one of name, job and document."

Reason = dict[str, Any]


def is_labels(name: str) -> bool:
    return name.startswith(FOLDER) and name.lower().endswith((".csv", ".csv.gz"))


def check(source: Input, head: Head) -> None:
    """Raises RejectedError if a file cannot hold labels, by its size and by what it begins with."""
    objects.check_extent(source, MAX_BYTES)
    _columns(_reader(decode_head(head.data, whole=head.whole)))


def take_in(deployment: Deployment, job: Job) -> Document:
    """Keeps the labels of a file, and returns the file's document, which names the rows that could not be used.

    Raises:
        RejectedError: the file cannot be read, has other columns or too many rows.
        InProgressError: an input has no document yet; what was kept is known when the file is delivered again.
    """
    source = objects.measured(job.object_input())
    rows = list(_rows(decode(objects.read(source, MAX_BYTES))))
    if not rows:
        raise RejectedError("empty", "The file has no labels.", KIND)
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        outcomes = list(pool.map(lambda row: _keep(deployment, row), rows))
    if waiting := [outcome for outcome in outcomes if isinstance(outcome, InProgressError)]:
        raise waiting[0]
    return _document(replace(job, input=source), outcomes)


def _keep(deployment: Deployment, row: dict[str, Any]) -> str | RejectedError | InProgressError:
    try:
        return keeping.keep(deployment, parse(row))
    except (RejectedError, InProgressError) as error:
        return error


def _rows(text: str) -> Iterator[dict[str, Any]]:
    """The rows as labels are described in messages; empty cells are missing."""
    reader = _reader(text)
    columns = _columns(reader)
    wanted = {*TARGETS, "label", "source"}
    try:
        for number, row in enumerate(reader):
            if number >= MAX_ROWS:
                raise RejectedError("too_large", f"A file may have {MAX_ROWS:,} labels; send several files.", KIND)
            cells = {columns[name]: value for name, value in row.items() if name in columns}
            yield {name: value for name, value in cells.items() if name in wanted and value}
    except csv.Error as error:
        raise _unreadable(error) from error


def _reader(text: str) -> "csv.DictReader[str]":
    head = text.partition("\n")[0]
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))


def _columns(reader: "csv.DictReader[str]") -> dict[str, str]:
    """The names of the columns in small letters, by the names in the file."""
    try:
        columns = {name: (name or "").strip().lower() for name in reader.fieldnames or ()}
    except csv.Error as error:
        raise _unreadable(error) from error
    if not {"label", "source"} <= set(columns.values()) or not set(TARGETS) & set(columns.values()):
        raise RejectedError("invalid_label", COLUMNS, KIND)
    return columns


def _unreadable(error: csv.Error) -> RejectedError:
    return RejectedError("invalid_csv", f"The CSV cannot be read: {error}.", KIND)


def _document(job: Job, outcomes: list[Any]) -> Document:
    reasons: list[Reason] = [
        {"row": number, "code": error.code, "message": error.message}
        for number, error in enumerate(outcomes)
        if isinstance(error, RejectedError)
    ]
    counts = Counter(outcome for outcome in outcomes if isinstance(outcome, str))
    labels = {
        "rows": len(outcomes),
        "kept": counts["kept"],
        "known": counts["known"],
        "failed": len(reasons),
        "errors": dict(Counter(reason["code"] for reason in reasons)),
        **({"reasons": reasons[:MAX_REASONS]} if reasons else {}),
    }
    status = "succeeded" if not reasons else "partial" if len(reasons) < len(outcomes) else "unsuccessful"
    lineage = Lineage()
    content = {
        "schema": "labels/v1",
        "status": status,
        "job": job.id,
        "input": job.input.json(),
        "kind": KIND,
        "labels": labels,
        "timing": timing(job, lineage),
        "lineage": lineage.json(job),
    }
    return cast(Document, content)
