"""Stages a result's data in the work bucket, from where it is copied once the job's outcome is settled."""

import csv
import io
import itertools
import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from pipeline.inputs.objects import CHUNK_BYTES
from pipeline.jobs import batches
from pipeline.jobs.batches import ADDED_COLUMNS, Batch
from pipeline.jobs.job import Job
from pipeline.storage import content_type, put, stamp
from pipeline.tabular import writer

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FORECAST_COLUMNS = ("date", "prediction", "lower", "upper")
MAX_SOURCES = 32  # of one compose request
CONCURRENCY = 8
PASSED_ON = ("id", "uri")  # from a record to its line

Error = dict[str, str]


def forecast(work: "Bucket", job: Job, points: list[dict[str, Any]]) -> str:
    """Writes a forecast as CSV and returns the staged object's name."""
    cells = [FORECAST_COLUMNS, *([point[column] for column in FORECAST_COLUMNS] for point in points)]
    text = "".join(map(writer.line, cells))
    name = f"{_folder(job)}.csv"
    put(work.blob(name), text, stamp(job.id), generation=None)
    return name


def batch(work: "Bucket", job: Job, batch: Batch, lost: Collection[int], error: Error) -> tuple[str, dict[str, int]]:
    """Joins the shards' outputs in their order, without reading them.

    Args:
        lost: the shards without an output; each of their records gets the error.

    Returns:
        The staged object's name, and the number of records of the lost shards by error code.
    """
    return _Merge(work, job, batch).run(lost, error)


class _Merge:
    """One merge under names of its own: concurrent executions of a job never overwrite each other's data."""

    def __init__(self, work: "Bucket", job: Job, batch: Batch) -> None:
        self._work = work
        self._job = job
        self._batch = batch
        self._folder = _folder(job)
        self._labels: list[str] = []

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
        target = self._blob()
        codes: Counter[str] = Counter()
        with target.open("wb", content_type=target.content_type, chunk_size=CHUNK_BYTES) as out:
            for index, record in enumerate(self._records(shard), self._batch.span(shard).start):
                fields = record if isinstance(record, dict) else {}
                reason = fields.get("error") or error  # a record that could not be read has its own
                out.write(self._line(index, fields, reason).encode())
                codes[reason["code"]] += 1
        return str(target.name), codes

    def _records(self, shard: int) -> Iterator[Any]:
        """The shard's records, or as many empty ones if the shard itself was deleted."""
        source = self._work.blob(self._batch.names.input(shard))
        try:
            with source.open("rb", chunk_size=CHUNK_BYTES) as lines:
                yield from map(json.loads, lines)
        except NotFound:
            row = [""] * (len(self._columns()) - len(ADDED_COLUMNS)) if self._batch.format == "csv" else []
            yield from itertools.repeat({"row": row}, len(self._batch.span(shard)))

    def _header(self) -> str:
        """The name of an object with the header, to which the score columns are added, one for each label."""
        if not self._labels:
            return self._batch.names.header
        header = self._columns()
        blob = self._blob()
        scores = batches.added((f"score_{label}" for label in self._labels), header)
        blob.upload_from_string(writer.line([*header, *scores]), blob.content_type)
        return str(blob.name)

    def _columns(self) -> list[str]:
        """The input's columns and the added ones, without the score columns."""
        header = self._work.blob(self._batch.names.header).download_as_bytes().decode()
        return next(csv.reader(io.StringIO(header, newline="")))

    def _line(self, index: int, fields: dict[str, Any], error: Error) -> str:
        if self._batch.format == "csv":
            return writer.line([*fields.get("row", ()), "", "", error["code"], "", *("" for _ in self._labels)])
        passed_on = {name: fields[name] for name in PASSED_ON if name in fields}
        return json.dumps({"index": index, **passed_on, "error": error}) + "\n"

    def _blob(self) -> "Blob":
        blob: Blob = self._work.blob(f"{self._folder}/{uuid.uuid4().hex}.{self._batch.format}")
        blob.content_type = content_type(blob.name)
        blob.metadata = stamp(self._job.id)
        return blob


def _folder(job: Job) -> str:
    return f"merged/{job.id}/{uuid.uuid4().hex}"
