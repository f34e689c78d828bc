"""A batch: the objects of its shards in the work bucket, and a summary of those that are finished.

shards/<job>/plan.json         what decides the shards' content; written first, so that all attempts cut the same shards
shards/<job>/checkpoint.json   how far the input has been cut, where it can be read from there
shards/<job>/argument.json     the job's argument, for the cut job
shards/<job>/refusal.json      why the cut job refused the input
shards/<job>/<n>.jsonl         shard n, one record per line
shards/<job>/header.csv        the header of a CSV result, without score columns
shards/<job>/labels.json       the labels of the score columns; the GPU service writes it
shards/<job>/index.json        the Batch; written last, so that a batch with an index is complete
shards/<job>/<n>.out.<format>  the predictions on shard n, with a summary in the metadata
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline.errors import MalformedError
from pipeline.jobs.job import Model, int64
from pipeline.storage import put, stamp
from pipeline.tabular.writer import Dialect

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

Format = Literal["csv", "jsonl"]

TEXT_BYTES_PER_SECOND = 500_000  # a device's assumed rate, by which the work of inputs is estimated
IMAGES_PER_SECOND = 100
ADDED_COLUMNS = ("label", "score", "error", "truncated")
COUNTS = ("truncated", "high_confidence", "requires_review")
SUMMARY = "shard-summary"
MAX_REASONS = 3
OUTPUT = re.compile(r"/(\d+)\.out\.\w+$")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a batch's objects in the work bucket, all in one folder."""

    folder: str

    @classmethod
    def of(cls, job: str) -> Self:
        return cls(f"shards/{job}/")

    @property
    def plan(self) -> str:
        return f"{self.folder}plan.json"

    @property
    def checkpoint(self) -> str:
        return f"{self.folder}checkpoint.json"

    @property
    def argument(self) -> str:
        return f"{self.folder}argument.json"

    @property
    def refusal(self) -> str:
        return f"{self.folder}refusal.json"

    @property
    def header(self) -> str:
        return f"{self.folder}header.csv"

    @property
    def labels(self) -> str:
        return f"{self.folder}labels.json"

    @property
    def index(self) -> str:
        return f"{self.folder}index.json"

    def input(self, shard: int) -> str:
        return f"{self.folder}{shard}.jsonl"

    def output(self, shard: int | Literal["*"], format: Format) -> str:
        return f"{self.folder}{shard}.out.{format}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides a batch's shards beside its input: the settings and the job's argument, which may change.

    `records_per_second` is how many a device is assumed to predict on.
    """

    records_per_shard: int
    model: Model | None
    parameters: dict[str, Any]
    records_per_second: float = IMAGES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The shards that are written, and the position of the next record in the input, as its reader tells it."""

    shards: int = 0
    position: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that has been cut.

    Args:
        prefix: a gs:// address that ends with a slash.
        records_per_shard: of all shards but the last, which may have fewer.
        dialect: the form of a CSV result, as `writer.Dialect` reads it.
        table: which column or field was read, for the document.
        tasks: how many of the GPU job the batch takes, if each is to have time for its share.
    """

    prefix: str
    shards: int
    records: int
    records_per_shard: int
    format: Format
    model: Model | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    dialect: dict[str, Any] = field(default_factory=dict)
    table: dict[str, Any] | None = None
    tasks: int = 1

    def json(self) -> dict[str, Any]:
        fields = asdict(self)
        return fields if self.table else {name: value for name, value in fields.items() if name != "table"}

    @classmethod
    def parse(cls, value: object, work: "Bucket", job: str) -> Self:
        """Reads a batch as the workflow hands it on.

        Raises:
            MalformedError: the value is not a batch, or not this job's.
        """
        if not isinstance(value, dict) or value.get("prefix") != f"gs://{work.name}/{Names.of(job).folder}":
            raise MalformedError("The batch must be an object with the job's own prefix in the work bucket.")
        if value.get("format") not in ("csv", "jsonl"):
            raise MalformedError("format must be csv or jsonl.")
        shards, records, size = (int64(value.get(name), name) for name in ("shards", "records", "records_per_shard"))
        if not (shards - 1) * size < records <= shards * size:
            raise MalformedError("The number of records does not match the number of shards.")
        parameters, table = value.get("parameters") or {}, value.get("table")
        dialect = Dialect.parse(value.get("dialect") or {}).json()
        form, model = value["format"], value.get("model")
        if model is not None and not isinstance(model, dict):
            raise MalformedError("model must be an object or null.")
        return cls(value["prefix"], shards, records, size, form, cast(Model | None, model), parameters, dialect, table)

    @property
    def has_score_columns(self) -> bool:
        return bool(self.parameters.get("score_columns"))

    @property
    def names(self) -> Names:
        return Names(self.prefix.split("/", 3)[3])

    def output(self, shard: int) -> str:
        return self.names.output(shard, self.format)

    def span(self, shard: int) -> range:
        """The indexes of a shard's records."""
        first = shard * self.records_per_shard
        return range(first, min(first + self.records_per_shard, self.records))


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of the finished shards; `counts` are of truncated, confident and doubtful records.

    `columns` are those that a CSV result has after the input's; `reasons` are why the first records failed.
    """

    shards: frozenset[int] = frozenset()
    records: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    gpu_seconds: float = 0.0
    inference_ms: float = 0.0
    model: dict[str, Any] | None = None
    device: str | None = None
    columns: tuple[str, ...] = ADDED_COLUMNS
    revisions: tuple[str, ...] = ()
    reasons: tuple[dict[str, Any], ...] = ()

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def added(columns: Iterable[str], header: Iterable[str]) -> list[str]:
    """The columns under names that the header does not have yet: a second `label` becomes `label_2`."""
    taken = {name.strip().casefold() for name in header}
    names = []
    for column in columns:
        numbered = (f"{column}_{number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([column], numbered) if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def read(work: "Bucket", job: str) -> Batch | None:
    """The complete batch that an earlier attempt has cut, if any."""
    content = _content(work, Names.of(job).index)
    return None if content is None else Batch(**content)


def write(work: "Bucket", job: str, batch: Batch) -> None:
    put(work.blob(batch.names.index), json.dumps(batch.json()), stamp(job), generation=None)


def read_plan(work: "Bucket", job: str) -> Plan | None:
    """The plan of an earlier attempt, some of whose shards may be there."""
    content = _content(work, Names.of(job).plan)
    return None if content is None else Plan(**content)


def write_plan(work: "Bucket", job: str, plan: Plan) -> bool:
    """Writes the plan and returns True, unless there is one."""
    try:
        put(work.blob(Names.of(job).plan), json.dumps(asdict(plan)), stamp(job), generation=0)
    except PreconditionFailed:
        return False
    return True


def read_checkpoint(work: "Bucket", job: str) -> Checkpoint:
    """The last checkpoint of an earlier attempt, else the input's beginning."""
    return Checkpoint(**_content(work, Names.of(job).checkpoint) or {})


def write_checkpoint(work: "Bucket", job: str, checkpoint: Checkpoint) -> None:
    """Writes it, also in place of a concurrent attempt's, after which at worst some shards are cut twice alike."""
    put(work.blob(Names.of(job).checkpoint), json.dumps(asdict(checkpoint)), stamp(job), generation=None)


def summarise(work: "Bucket", batch: Batch) -> Summary:
    """Sums up the finished shards from a listing alone."""
    listed = work.list_blobs(
        prefix=batch.names.folder,
        match_glob=batch.names.output("*", batch.format),
        fields="items(name,metadata),nextPageToken",
    )
    return _sum(batch, ((blob.name, blob.metadata or {}) for blob in listed))


def _sum(batch: Batch, outputs: Iterable[tuple[str, Mapping[str, str]]]) -> Summary:
    errors: Counter[str] = Counter()
    shards: dict[int, dict[str, Any]] = {}
    for name, metadata in outputs:
        match = OUTPUT.search(name)
        if match and SUMMARY in metadata and int(match[1]) < batch.shards:
            shards[int(match[1])] = json.loads(metadata[SUMMARY])
    for summary in shards.values():
        errors.update(summary["failed"])
    first = shards[min(shards)] if shards else {}
    reasons = [reason for shard in sorted(shards) for reason in shards[shard].get("reasons") or ()]
    return Summary(
        shards=frozenset(shards),
        records=sum(summary["records"] for summary in shards.values()),
        errors=dict(errors),
        counts={name: sum(summary.get(name) or 0 for summary in shards.values()) for name in COUNTS},
        parameters=first.get("parameters") or {},
        gpu_seconds=round(sum(summary.get("gpu_seconds") or 0.0 for summary in shards.values()), 6),
        inference_ms=round(sum(summary.get("inference_ms") or 0.0 for summary in shards.values()), 3),
        model=first.get("model"),
        device=first.get("device"),
        columns=tuple(first.get("columns") or ADDED_COLUMNS),
        revisions=tuple(sorted({summary.get("revision") or "unknown" for summary in shards.values()})),
        reasons=tuple(reasons[:MAX_REASONS]),
    )


def _content(work: "Bucket", name: str) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(work.blob(name).download_as_bytes())
    except NotFound:
        return None
    return content
