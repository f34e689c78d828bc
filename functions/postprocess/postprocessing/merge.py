"""Puts the data beside a result together, in the work bucket, from where it is copied once the job is decided."""

import csv
import itertools
import json
import threading
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.api_core.exceptions import NotFound

from pipeline import storage
from pipeline.inputs.objects import CHUNK_BYTES
from pipeline.jobs.batches import ADDED_COLUMNS, Batch
from pipeline.jobs.job import Job
from pipeline.settings import Settings
from pipeline.storage import content_type, put, stamp
from pipeline.tabular import rows

FORECAST_COLUMNS = ("date", "prediction", "lower", "upper")
MAX_SOURCES = 32  # of one compose request
CONCURRENCY = 8
HANDED_ON = ("id", "uri")

Error = dict[str, str]


def forecast(settings: Settings, job: Job, points: list[dict[str, Any]]) -> str:
    """Writes a forecast as CSV and returns the staged object's name."""
    cells = [FORECAST_COLUMNS, *([point[column] for column in FORECAST_COLUMNS] for point in points)]
    text = "".join(map(rows.line, cells))
    name = f"{_folder(job)}.csv"
    put(storage.bucket(settings.work_bucket).blob(name), text, stamp(job.id), generation=None)
    return name


def batch(
    settings: Settings, job: Job, merged: Batch, lost: Collection[int], error: Error
) -> tuple[str, dict[str, int]]:
    """Joins the shards' outputs in their order, without reading them.

    Args:
        lost: the shards without an output; each of their records comes with the error given.

    Returns:
        The staged object's name, and how many records of the lost shards have which error.
    """
    return _Merge(settings, job, merged).run(lost, error)


class _Merge:
    """One merge under names of its own: two executions of a job never write over each other's data."""

    def __init__(self, settings: Settings, job: Job, merged: Batch) -> None:
        self._bucket = storage.bucket(settings.work_bucket)
        self._stamp = stamp(job.id)
        self._batch = merged
        self._folder = _folder(job)
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()

    def run(self, lost: Collection[int], error: Error) -> tuple[str, dict[str, int]]:
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            stand_ins = dict(pool.map(lambda shard: (shard, self._stand_in(shard, error)), lost))
            names = [stand_ins.get(shard) or self._batch.output(shard) for shard in range(self._batch.shards)]
            if self._batch.format == "csv":
                names.insert(0, self._batch.name("header.csv"))
            while len(names) > 1:
                groups = [names[start : start + MAX_SOURCES] for start in range(0, len(names), MAX_SOURCES)]
                names = list(pool.map(self._composed, groups))
        return names[0], dict(self._errors)

    def _composed(self, names: list[str]) -> str:
        if len(names) == 1:
            return names[0]
        target = self._blob()
        target.compose([self._bucket.blob(name) for name in names])
        return str(target.name)

    def _stand_in(self, shard: int, error: Error) -> str:
        """What the output of a lost shard would be, with the error for each record."""
        target = self._blob()
        first = shard * self._batch.records_per_shard
        codes: Counter[str] = Counter()
        with target.open("wb", content_type=target.content_type, chunk_size=CHUNK_BYTES) as out:
            for index, record in enumerate(self._records(shard), first):
                code, text = self._line(index, record, error)
                out.write(text.encode())
                codes[code] += 1
        with self._lock:
            self._errors.update(codes)
        return str(target.name)

    def _records(self, shard: int) -> Iterator[Any]:
        """The shard's records; as many without content when somebody has deleted the shard itself."""
        source = self._bucket.blob(self._batch.input(shard))
        try:
            with source.open("rb", chunk_size=CHUNK_BYTES) as lines:
                yield from map(json.loads, lines)
        except NotFound:
            row = [""] * self._width() if self._batch.format == "csv" else []
            yield from itertools.repeat({"row": row}, self._batch.size(shard))

    def _width(self) -> int:
        """How many columns the input has."""
        header = self._bucket.blob(self._batch.name("header.csv")).download_as_bytes().decode()
        return len(next(csv.reader([header]))) - len(ADDED_COLUMNS)

    def _line(self, index: int, record: Any, error: Error) -> tuple[str, str]:
        fields = record if isinstance(record, dict) else {}
        known = fields.get("error") or error  # what was wrong with the record before it came into a shard
        if self._batch.format == "csv":
            return known["code"], rows.line([*fields.get("row", ()), "", "", known["code"], ""])
        beside = {name: fields[name] for name in HANDED_ON if name in fields}
        return known["code"], json.dumps({"index": index, **beside, "error": known}) + "\n"

    def _blob(self) -> Any:
        blob = self._bucket.blob(f"{self._folder}/{uuid.uuid4().hex}.{self._batch.format}")
        blob.content_type = content_type(blob.name)
        blob.metadata = self._stamp
        return blob


def _folder(job: Job) -> str:
    return f"merged/{job.id}/{uuid.uuid4().hex}"
