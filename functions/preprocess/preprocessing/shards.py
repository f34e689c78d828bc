"""Cuts a batch into shards in the work bucket, in one pass that keeps at most a shard's beginning in memory."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs import objects, parameters
from pipeline.inputs.objects import Head
from pipeline.jobs import batches
from pipeline.jobs.batches import ADDED_COLUMNS, IMAGES_PER_SECOND, TEXT_BYTES_PER_SECOND, Batch, Names, Plan
from pipeline.jobs.job import Job, Model
from pipeline.routing import choice
from pipeline.routing.models import Content
from pipeline.settings import Settings
from pipeline.storage import put, stamp
from pipeline.tabular import writer
from preprocessing import records, uploading

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

MAX_SHARDS = 2000  # an execution of the workflow has 100,000 steps
MAX_RECORDS = 20_000  # per shard


def cut(deployment: Deployment, job: Job) -> dict[str, Any]:
    """Cuts a job's batch, unless an earlier attempt did, and returns what the workflow takes.

    Raises:
        RejectedError: the input cannot be read, or has no records.
        MalformedError: inputs of this kind have no records.
    """
    batch = batches.read(deployment.work, job.id) or _cut(deployment, job)
    return {"mode": "batch", **batch.json()}


def _cut(deployment: Deployment, job: Job) -> Batch:
    work, names = deployment.work, Names.of(job.id)
    plan = batches.read_plan(work, job.id)
    if plan is not None:
        job = replace(job, model=plan.model, parameters=plan.parameters)
    head = objects.head(job.content())
    with records.reader(deployment, job, head) as opened:
        if plan is None:
            size = records_per_shard(deployment.settings, job, head, images=opened.images)
            plan = Plan(size, _model(deployment.settings, job, opened), job.parameters)
            if not batches.write_plan(work, job.id, plan):
                return _cut(deployment, job)  # by the plan of another attempt
        sizes = list(_written(work, job, opened.lines, plan.records_per_shard))
        if not sizes:
            raise RejectedError("empty", "The input has no records.")
        if opened.header:
            header = writer.header([*opened.header, *batches.added(ADDED_COLUMNS, opened.header)], opened.dialect)
            put(work.blob(names.header), header, stamp(job.id), generation=None)
    batch = Batch(
        prefix=f"gs://{work.name}/{names.folder}",
        shards=len(sizes),
        records=sum(sizes),
        records_per_shard=plan.records_per_shard,
        format=opened.format,
        model=plan.model,
        parameters=parameters.of_reader("gpu_service", opened.parameters),
        dialect=opened.dialect.json() if opened.format == "csv" else {},
        table=opened.table,
    )
    batches.write(work, job.id, batch)
    return batch


def _model(settings: Settings, job: Job, opened: records.Records) -> Model | None:
    """The model of a whole batch, whose content is known only now."""
    content: Content | None = None
    if job.kind == "table":
        content = "image" if opened.images else "text"
    return choice.of_batch(settings, job, opened.model, content)


def records_per_shard(settings: Settings, job: Job, head: Head, *, images: bool) -> int:
    """As many as take about SHARD_SECONDS, by the length of the first ones."""
    if settings.records_per_shard:
        return settings.records_per_shard
    source = job.content()
    size = settings.max_bytes[job.kind or "records"] if head.packed else source.size
    count = head.data.count(b"{" if job.kind == "records" else b"\n")  # a document of instances may be a single line
    each = max(1.0, len(head.data) / max(1, count))
    rate = IMAGES_PER_SECOND if images else TEXT_BYTES_PER_SECOND / each
    preferred = max(1, min(MAX_RECORDS, int(settings.shard_seconds * rate)))
    return max(preferred, math.ceil(size / each / MAX_SHARDS))


def _written(work: "Bucket", job: Job, lines: Iterator[str], size: int) -> Iterator[int]:
    """Writes the shards and yields how many records each has."""
    for shard in itertools.count():
        first = next(lines, None)
        if first is None:
            return
        rest = itertools.islice(lines, size - 1)
        lines_of_shard = itertools.chain([first], rest)
        yield uploading.write(work.blob(Names.of(job.id).input(shard)), stamp(job.id), lines_of_shard)
