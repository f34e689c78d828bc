"""Cuts a batch into shards in the work bucket, in one pass that keeps at most a shard's beginning in memory."""

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs import objects, parameters
from pipeline.inputs.objects import Head
from pipeline.jobs import batches
from pipeline.jobs.batches import (
    ADDED_COLUMNS,
    IMAGES_PER_SECOND,
    TEXT_BYTES_PER_SECOND,
    Batch,
    Checkpoint,
    Names,
    Plan,
)
from pipeline.jobs.job import Job, Model
from pipeline.routing import choice
from pipeline.routing.models import Content
from pipeline.settings import Settings
from pipeline.storage import put, stamp
from pipeline.tabular import writer
from preprocessing import records, uploading
from preprocessing.records import Records

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

MAX_SHARDS = 2000  # an execution of the workflow has 100,000 steps
TOO_MANY_SHARDS = 5 * MAX_SHARDS  # where records are far shorter than in the samples
MAX_RECORDS = 20_000  # per shard
LARGE_BYTES = 64 << 20  # of an input that is judged by more than its beginning
MANY_FIELDS = 20  # more texts or lines per object than a record has: the records are texts, and not these objects
TASK_SECONDS = 1800  # of a task of the GPU job, half of what it may take
CHECKPOINT_SHARDS = 16  # after which an interrupted attempt is continued


def cut(deployment: Deployment, job: Job) -> dict[str, Any]:
    """Cuts a job's batch, unless an earlier attempt did, and returns what the workflow takes.

    Raises:
        RejectedError: the input cannot be read, or has no records.
        MalformedError: inputs of this kind have no records.
    """
    batch = batches.read(deployment.work, job.id)
    batch = _cut(deployment, job) if batch is None else _continued(deployment, job, batch)
    return {"mode": "batch", **batch.json()}


def _continued(deployment: Deployment, job: Job, batch: Batch) -> Batch:
    """An earlier attempt's batch with the same version, unless the experiment that assigned it has ended since."""
    model = choice.kept(deployment.settings, job, batch.model).model
    if model == batch.model:
        return batch
    batch = replace(batch, model=model)  # the GPU service predicts again on what another version has predicted on
    batches.write(deployment.work, job.id, batch)
    return batch


def _cut(deployment: Deployment, job: Job) -> Batch:
    work, names = deployment.work, Names.of(job.id)
    job = _measured(job)
    plan, checkpoint = batches.read_plan(work, job.id), Checkpoint()
    if plan is not None:
        job = replace(job, model=plan.model, parameters=plan.parameters)
        checkpoint = batches.read_checkpoint(work, job.id)
    head = objects.head(job.content())
    with records.reader(deployment, job, head, checkpoint.position) as opened:
        if plan is None:
            plan = _plan(deployment.settings, job, head, opened)
            if not batches.write_plan(work, job.id, plan):
                return _cut(deployment, job)  # by the plan of another attempt
        shards, total = _written(work, job, opened, plan.records_per_shard, checkpoint.shards)
        if not total:
            raise RejectedError("empty", "The input has no records.")
        if opened.header:
            header = writer.header([*opened.header, *batches.added(ADDED_COLUMNS, opened.header)], opened.dialect)
            put(work.blob(names.header), header, stamp(job.id), generation=None)
    batch = Batch(
        prefix=f"gs://{work.name}/{names.folder}",
        shards=shards,
        records=total,
        records_per_shard=plan.records_per_shard,
        format=opened.format,
        model=plan.model,
        parameters=parameters.of_reader("gpu_service", opened.parameters),
        dialect=opened.dialect.json() if opened.format == "csv" else {},
        table=opened.table,
        tasks=max(1, math.ceil(total / plan.records_per_second / TASK_SECONDS)),
    )
    batches.write(work, job.id, batch)
    return batch


def _measured(job: Job) -> Job:
    """The job with its upload's true size, by which limits and shards are judged: an event may tell another."""
    if job.kind not in ("table", "records") or job.table is not None:
        return job
    return replace(job, input=objects.measured(job.object_input()))


def _model(settings: Settings, job: Job, opened: Records) -> Model | None:
    """The model of a whole batch, whose content is known only now."""
    content: Content | None = None
    if job.kind == "table":
        content = "image" if opened.images else "text"
    return choice.of_batch(settings, job, opened.model, content)


def _plan(settings: Settings, job: Job, head: Head, opened: Records) -> Plan:
    """Shards of as many records as take about SHARD_SECONDS, by the length of those in samples of the input."""
    source = job.content()
    samples = [head.data] if head.packed or source.size < LARGE_BYTES else [head.data, *objects.samples(source)]
    lengths = [_record_bytes(job, sample) for sample in samples]
    rate = IMAGES_PER_SECOND if opened.images else TEXT_BYTES_PER_SECOND / (sum(lengths) / len(lengths))
    size = settings.records_per_shard
    if not size:
        preferred = max(1, min(MAX_RECORDS, int(settings.shard_seconds * rate)))
        most = objects.expected_size(source, packed=head.packed) / min(lengths)
        size = max(preferred, math.ceil(most / MAX_SHARDS))
    return Plan(size, _model(settings, job, opened), job.parameters, rate)


def _record_bytes(job: Job, sample: bytes) -> float:
    return max(1.0, len(sample) / max(1, _records(job, sample)))


def _records(job: Job, sample: bytes) -> int:
    """About how many records a sample has. A document of instances may be a single line, and its instances texts."""
    lines = sample.count(b"\n")
    if job.kind == "table":
        return lines
    objects, texts = sample.count(b"{"), max(lines, sample.count(b'",'))
    return texts if texts > MANY_FIELDS * objects else objects


def _written(work: "Bucket", job: Job, opened: Records, size: int, shard: int) -> tuple[int, int]:
    """Writes the shards from `shard` on, and returns how many shards and records there are in all."""
    names, lines = Names.of(job.id), opened.lines
    while (first := next(lines, None)) is not None:
        content = itertools.chain([first], itertools.islice(lines, size - 1))
        count = uploading.write(work.blob(names.input(shard)), stamp(job.id), content)
        shard += 1
        if shard > TOO_MANY_SHARDS:
            message = f"The input has more than {TOO_MANY_SHARDS * size:,} records; split it into several files."
            raise RejectedError("too_large", message)
        if count < size:
            return shard, (shard - 1) * size + count
        if opened.position and shard % CHECKPOINT_SHARDS == 0:
            batches.write_checkpoint(work, job.id, Checkpoint(shard, opened.position()))
    return shard, shard * size
