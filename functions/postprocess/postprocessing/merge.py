"""Stages a result's data in the work bucket, from where it is copied once the job's outcome is settled."""

import csv
import io
import itertools
import json
import threading
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Any, cast

from pipeline.inputs.objects import CHUNK_BYTES
from pipeline.jobs import batches
from pipeline.jobs.batches import ADDED_COLUMNS, Batch
from pipeline.jobs.job import Job
from pipeline.storage import content_type, put, stamp
from pipeline.tabular import writer
from pipeline.tabular.writer import Dialect

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FORECAST_COLUMNS = ("date", "prediction", "lower", "upper")
MAX_SOURCES = 32  # of one compose request
CONCURRENCY = 8
PASSED_ON = ("id", "uri")  # from a record to its line
LARGE_BYTES = 1 << 20  # of a record's line

_large = threading.Lock()  # one large record at a time: it may take 600 MB

Error = dict[str, str]


def forecast(work: "Bucket", job: Job, points: list[dict[str, Any]], dialect: Dialect) -> str:
    """Writes a forecast as CSV and returns the staged object's name."""
    rows = ([point[column] for column in FORECAST_COLUMNS] for point in points)
    text = writer.header(FORECAST_COLUMNS, dialect) + "".join(writer.line(row, dialect) for row in rows)
    name = f"{_folder(job)}.csv"
    put(work.blob(name), text, stamp(job.id), generation=None)
    return name


def batch(
    work: "Bucket", job: Job, batch: Batch, lost: Collection[int], error: Error, columns: Sequence[str]
) -> tuple[str, dict[str, int]]:
    """Joins the shards' outputs in their order, without reading them.

    Args:
        lost: the shards without an output; each of their records gets the error.
        columns: those that a CSV result has after the input's.

    Returns:
        The staged object's name, and the number of records of the lost shards by error code.
    """
    return _Merge(work, job, batch, columns).run(lost, error)


class _Merge:
    """One merge under names of its own: concurrent executions of a job never overwrite each other's data."""

    def __init__(self, work: "Bucket", job: Job, batch: Batch, columns: Sequence[str]) -> None:
        self._work = work
        self._added = tuple(columns)
        self._job = job
        self._batch = batch
        self._folder = _folder(job)
        self._labels: list[str] = []
        self._dialect = Dialect.parse(batch.dialect)

    def run(self, lost: Collection[int], error: Error) -> tuple[str, dict[str, int]]:
        if self._batch.has_score_columns:
            self._labels = json.loads(self._work.blob(self._batch.names.labels).download_as_bytes())
        names = {shard: self._batch.output(shard) for shard in range(self._batch.shards)}
        errors: Counter[str] = Counter()
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            for shard, (name, codes) in zip(
                lost, pool.map(lambda shard: self._stand_in(shard, error), lost), strict=True
            ):
                names[shard] = name
                errors += codes
            header = [self._header()] if self._batch.format == "csv" else []
            sources = [*header, *names.values()]
            while len(sources) > 1:
                groups = [sources[start : start + MAX_SOURCES] for start in range(0, len(sources), MAX_SOURCES)]
                sources = list(pool.map(self._composed, groups))
        return sources[0], dict(errors)

    def _composed(self, names: list[str]) -> str:
        if len(names) == 1:
            return names[0]
        target = self._blob()
        target.compose([self._work.blob(name) for name in names])
        return str(target.name)

    def _stand_in(self, shard: int, error: Error) -> tuple[str, Counter[str]]:
        """Writes the output of a lost shard: the error for each record."""
        source, target = self._work.blob(self._batch.names.input(shard)), self._blob()
        codes: Counter[str] = Counter()
        with target.open("wb", content_type=target.content_type, chunk_size=CHUNK_BYTES) as out:
            if source.exists():
                # The client's own reader splits lines without a buffer.
                reader = cast(io.RawIOBase, source.open("rb", chunk_size=CHUNK_BYTES))
                self._replace(io.BufferedReader(reader, CHUNK_BYTES), shard, out, error, codes)
            else:
                row = [""] * len(self._columns()) if self._batch.format == "csv" else []
                for index in self._batch.span(shard):
                    out.write(self._line(index, {"row": row}, error))
                    codes[error["code"]] += 1
        return str(target.name), codes

    def _replace(self, lines: IO[bytes], shard: int, out: IO[bytes], error: Error, codes: Counter[str]) -> None:
        """Writes the error for each of the shard's lines."""
        for index in itertools.count(self._batch.span(shard).start):
            start = lines.readline(LARGE_BYTES)
            if not start:
                return
            is_large = len(start) == LARGE_BYTES and not start.endswith(b"\n")
            with _large if is_large else nullcontext():
                codes[self._pass_on(start, lines if is_large else None, index, out, error)] += 1

    def _pass_on(self, start: bytes, lines: IO[bytes] | None, index: int, out: IO[bytes], error: Error) -> str:
        """Writes the error for one record, whose line may continue in `lines`, and returns the error's code."""
        record = json.loads(start + lines.readline() if lines else start)
        fields = record if isinstance(record, dict) else {}
        reason: Error = fields.get("error") or error  # a record that could not be read has its own
        out.write(self._line(index, fields, reason))
        return reason["code"]

    def _header(self) -> str:
        """The name of the object with the header; preprocess wrote that of a classification."""
        if self._added == ADDED_COLUMNS and not self._labels:
            return self._batch.names.header
        columns, blob = self._columns(), self._blob()
        added = batches.added([*self._added, *(f"score_{label}" for label in self._labels)], columns)
        blob.upload_from_string(writer.header([*columns, *added], self._dialect), blob.content_type)
        return str(blob.name)

    def _columns(self) -> list[str]:
        """The input's columns."""
        header = self._work.blob(self._batch.names.header).download_as_bytes().decode("utf-8-sig")
        rows = csv.reader(io.StringIO(header, newline=""), delimiter=self._dialect.delimiter)
        return next(rows)[: -len(ADDED_COLUMNS)]

    def _line(self, index: int, fields: dict[str, Any], error: Error) -> bytes:
        if self._batch.format == "csv":
            added = (error["code"] if column == "error" else "" for column in self._added)
            row = [*fields.get("row", ()), *added, *("" for _ in self._labels)]
            return writer.line(row, self._dialect).encode()
        passed_on = {name: fields[name] for name in PASSED_ON if name in fields}
        return json.dumps({"index": index, **passed_on, "error": error}).encode() + b"\n"

    def _blob(self) -> "Blob":
        blob: Blob = self._work.blob(f"{self._folder}/{uuid.uuid4().hex}.{self._batch.format}")
        blob.content_type = content_type(blob.name)
        blob.metadata = stamp(self._job.id)
        return blob


def _folder(job: Job) -> str:
    return f"merged/{job.id}/{uuid.uuid4().hex}"
