"""Puts the data beside a result together, in the work bucket, from where it is copied once the job is decided."""

import csv
import io
import itertools
import json
import uuid
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from pipeline import clients, inputs
from pipeline.jobs import Job
from pipeline.objects import content_type, put
from pipeline.records import table_rows
from pipeline.settings import Settings
from pipeline.stamps import stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob

FORECAST_COLUMNS = ("date", "prediction", "lower", "upper")
MAX_SOURCES = 32  # of one compose request


def forecast(settings: Settings, job: Job, rows: list[dict[str, Any]]) -> str:
    """Writes a forecast as CSV and returns the staged object's name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FORECAST_COLUMNS)
    writer.writerows([row[column] for column in FORECAST_COLUMNS] for row in rows)
    blob = _target(settings, job, "csv")
    put(blob, text.getvalue(), stamp(job.id), generation=None)
    return str(blob.name)


def batch(settings: Settings, job: Job, outputs: list[str]) -> str:
    """Joins the shards' outputs in their order and returns the staged object's name.

    A CSV comes back as CSV, its columns beside `label`, `score` and `error`; other records as JSON lines.
    """
    bucket = clients.bucket(settings.work_bucket)
    blobs = [bucket.blob(uri.removeprefix(f"gs://{settings.work_bucket}/")) for uri in outputs]
    if job.kind == "table":
        return _table(settings, job, blobs)
    if len(blobs) == 1:
        return str(blobs[0].name)
    return _composed(settings, job, blobs)


def _composed(settings: Settings, job: Job, blobs: list["Blob"]) -> str:
    target = _target(settings, job, "jsonl")
    target.content_type = content_type(target.name)
    target.metadata = stamp(job.id)
    target.compose(blobs[:MAX_SOURCES])
    rest = iter(blobs[MAX_SOURCES:])
    while more := list(itertools.islice(rest, MAX_SOURCES - 1)):
        target.compose([target, *more])
    return str(target.name)


def _table(settings: Settings, job: Job, blobs: list["Blob"]) -> str:
    target = _target(settings, job, "csv")
    target.metadata = stamp(job.id)
    options = {"content_type": content_type(target.name), "chunk_size": inputs.CHUNK_BYTES}
    with (
        table_rows(settings, job.object_input()) as opened,
        target.open("wt", encoding="utf-8", newline="", **options) as text,
    ):
        _write_rows(text, opened.header, opened.rows, _answers(blobs))
    return str(target.name)


def _write_rows(text: IO[str], header: list[str], rows: Iterator[list[str]], answers: Iterator[dict[str, Any]]) -> None:
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, "label", "score", "error"])
    for row, answer in zip(rows, answers, strict=True):
        padding = [""] * (len(header) - len(row))
        error = (answer.get("error") or {}).get("code", "")
        writer.writerow([*row, *padding, answer.get("label", ""), answer.get("score", ""), error])


def _answers(blobs: list["Blob"]) -> Iterator[dict[str, Any]]:
    for blob in blobs:
        with blob.open("rb", chunk_size=inputs.CHUNK_BYTES) as stream:
            for line in stream:
                yield json.loads(line)


def _target(settings: Settings, job: Job, extension: str) -> "Blob":
    """A name of its own for each attempt: two executions of a job never write over each other's data."""
    blob: Blob = clients.bucket(settings.work_bucket).blob(f"merged/{job.id}/{uuid.uuid4().hex}.{extension}")
    return blob
