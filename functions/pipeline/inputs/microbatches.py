"""Micro-batches: small uploads that share one execution, kept as an object of the work bucket.

microbatches/<id>.jsonl   the members' arguments, one per line
shards/<id>/              their instances and outputs, as of any batch

Each member stays a job with its own claim, outcome and document; the micro-batch has none of these.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import MalformedError
from pipeline.inputs import objects, parameters
from pipeline.inputs.events import Receipt
from pipeline.jobs.job import Engine, Input, Job, Model, of_microbatch
from pipeline.kinds import MICROBATCH
from pipeline.storage import content_type, put_once, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

MAX_BYTES = 64 << 20  # of the members' inputs together
MAX_ARGUMENTS = 64 << 20  # bytes


def write(work: "Bucket", members: Sequence[Job], receipt: Receipt, run_by: Engine = "service") -> Job:
    """Keeps the members, all with the same model and prediction parameters, and returns the job of their execution.

    The same members by the same events make the same micro-batch, so a repeated attempt finds the outputs of an
    interrupted one, and a replay none of the attempt that failed.
    """
    id = of_microbatch(f"{member.id}/{member.event_id}" for member in members)
    members = [replace(member, model=_unshown(member.model)) for member in members]
    data = "".join(json.dumps(member.argument(), ensure_ascii=False) + "\n" for member in members).encode()
    blob = work.blob(_name(id))
    put_once(blob, data, stamp(id))
    return Job(
        id=id,
        document=f"microbatches/{id}",
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=Input(work.name, blob.name, blob.generation, blob.size, content_type(blob.name)),
        kind=MICROBATCH,
        model=members[0].model,
        parameters=parameters.of_reader("gpu_service", members[0].parameters),
        trace=receipt.trace,
        run_by="job" if run_by == "job" else None,
    )


def _unshown(model: Model | None) -> Model | None:
    """The model of a member, which no candidate is shown: an observation that awaits its answer would wait forever."""
    if model is None or "candidate" not in model.get("experiment", {}):
        return model
    experiment = model["experiment"].copy()
    del experiment["candidate"]
    return {**model, "experiment": experiment}


def members(work: "Bucket", job: Job) -> list[Job]:
    """The members of a micro-batch's execution.

    Raises:
        MalformedError: the job's input is not its micro-batch.
        RejectedError: `input_gone`.
    """
    if not is_kept(work, job):
        raise MalformedError("The input must be the micro-batch of the job.")
    data = objects.read(job.object_input(), MAX_ARGUMENTS)
    return [Job.parse(json.loads(line)) for line in data.splitlines()]


def is_kept(work: "Bucket", job: Job) -> bool:
    """Whether the job is a micro-batch and its input the object that `write` keeps it in."""
    source = job.object_input()
    return job.kind == MICROBATCH and (source.bucket, source.name) == (work.name, _name(job.id))


def _name(id: str) -> str:
    return f"microbatches/{id}.jsonl"
