"""A batch: where its shards lie in the work bucket, and what has become of them.

shards/<job>/index.json      what this module's Batch holds; written last, so that a batch with an index is whole
shards/<job>/<n>.jsonl       shard n, one record per line; all but the last have `records_per_shard` of them
shards/<job>/<n>.out.<format>  what the GPU service or job made of it; its metadata sum it up
shards/<job>/header.csv      the header of a CSV result
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from google.api_core.exceptions import NotFound

from pipeline import storage
from pipeline.errors import MalformedError
from pipeline.inputs import parameters
from pipeline.jobs.job import int64
from pipeline.settings import Settings

Format = Literal["csv", "jsonl"]

ADDED_COLUMNS = ("label", "score", "error", "truncated")
SUMMARY = "shard-summary"
OUTPUT = re.compile(r"/(\d+)\.out\.\w+$")


@dataclass(frozen=True, slots=True)
class Batch:
    """`prefix` is a gs:// address that ends with a slash."""

    prefix: str
    shards: int
    records: int
    records_per_shard: int
    format: Format
    model: parameters.Model | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def parse(cls, value: object, settings: Settings, job: str) -> Self:
        """Reads a batch as the workflow hands it on.

        Raises:
            MalformedError: it is none, or not this job's.
        """
        if not isinstance(value, dict) or value.get("prefix") != prefix(settings, job):
            raise MalformedError("The batch must be that of the job, with its prefix in the work bucket.")
        if value.get("format") not in ("csv", "jsonl"):
            raise MalformedError("format must be csv or jsonl.")
        shards, records, size = (int64(value.get(name), name) for name in ("shards", "records", "records_per_shard"))
        if not (shards - 1) * size < records <= shards * size:
            raise MalformedError("The batch's records do not fit its shards.")
        return cls(value["prefix"], shards, records, size, format=value["format"])

    def size(self, shard: int) -> int:
        """How many records a shard has."""
        return min(self.records_per_shard, self.records - shard * self.records_per_shard)

    def name(self, file: str) -> str:
        """An object's name in the work bucket."""
        return self.prefix.split("/", 3)[3] + file

    def input(self, shard: int) -> str:
        return self.name(f"{shard}.jsonl")

    def output(self, shard: int) -> str:
        return self.name(f"{shard}.out.{self.format}")


@dataclass(frozen=True, slots=True)
class Summary:
    """What the finished shards came to, together."""

    shards: frozenset[int] = frozenset()
    records: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    gpu_seconds: float = 0.0
    inference_ms: float = 0.0
    model: dict[str, Any] | None = None
    device: str | None = None
    revisions: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def read(settings: Settings, job: str) -> Batch | None:
    """The batch that an earlier attempt has cut; None when there is none, or not to its end."""
    try:
        found = storage.bucket(settings.work_bucket).blob(f"{_folder(job)}index.json").download_as_bytes()
    except NotFound:
        return None
    return Batch(**json.loads(found))


def summarise(settings: Settings, batch: Batch) -> Summary:
    """Sums up the finished shards, from a listing alone."""
    listed = storage.storage().list_blobs(
        settings.work_bucket,
        prefix=batch.name(""),
        match_glob=f"{batch.name('')}*.out.{batch.format}",
        fields="items(name,metadata),nextPageToken",
    )
    return _sum(batch, ((blob.name, blob.metadata or {}) for blob in listed))


def _sum(batch: Batch, found: Iterable[tuple[str, Mapping[str, str]]]) -> Summary:
    errors: Counter[str] = Counter()
    shards: dict[int, dict[str, Any]] = {}
    for name, metadata in found:
        matched = OUTPUT.search(name)
        if matched and SUMMARY in metadata and int(matched[1]) < batch.shards:
            shards[int(matched[1])] = json.loads(metadata[SUMMARY])
    for summary in shards.values():
        errors.update(summary["failed"])
    first = shards[min(shards)] if shards else {}
    return Summary(
        shards=frozenset(shards),
        records=sum(summary["records"] for summary in shards.values()),
        errors=dict(errors),
        gpu_seconds=round(sum(summary.get("gpu_seconds") or 0.0 for summary in shards.values()), 6),
        inference_ms=round(sum(summary.get("inference_ms") or 0.0 for summary in shards.values()), 3),
        model=first.get("model"),
        device=first.get("device"),
        revisions=tuple(sorted({summary.get("revision") or "unknown" for summary in shards.values()})),
    )


def prefix(settings: Settings, job: str) -> str:
    """The address that begins those of a job's shards."""
    return f"gs://{settings.work_bucket}/{_folder(job)}"


def _folder(job: str) -> str:
    return f"shards/{job}/"
