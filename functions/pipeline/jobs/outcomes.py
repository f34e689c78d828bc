"""The outcome of a job: the one arbiter between executions, and the writing of what it decided.

    (none) ── settle, if_generation_match=0 ──► decided ◄── settle, if_generation_match=its own ──┐
                                                  └── reopen (only a failure) ──► reopened ───────┘

An outcome holds the whole terminal document, so whoever meets it can finish what a crash interrupted:
first the data file, then the document, then the newest generation's copies under latest/, last the removal of the
failed document that a replay has replaced.
"""

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline.deployment import Deployment
from pipeline.jobs import documents
from pipeline.jobs.job import Input, Job
from pipeline.storage import copy, put, stamp, supersede

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket
from typing import TYPE_CHECKING

from pipeline.jobs.job import fit
from pipeline.storage import INPUT_GENERATION

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FOLDERS = {"succeeded": "results", "partial": "results", "rejected": "rejected", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decided job: `document` and `target` are names in the output bucket, `staged` one in the work bucket.

    `argument` is the job as an execution takes it, where it ever got one; `reopened` says that this failure is being
    replayed: it stands until another outcome takes its place.
    """

    document: str
    content: dict[str, Any]
    staged: str | None = None
    target: str | None = None
    argument: dict[str, Any] | None = None
    reopened: bool = False
    generation: int = 0

    @property
    def status(self) -> str:
        status: str = self.content["status"]
        return status

    @property
    def is_replayable(self) -> bool:
        """Whether another attempt may come to more: nothing succeeded, or some shards were lost."""
        return self.status == "failed" or bool(self.content.get("data", {}).get("lost"))

    @property
    def attempt(self) -> int:
        """How many attempts failed before this one."""
        return len(self.content.get("attempts", ()))

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """This failed attempt after all before it."""
        return [*self.content.get("attempts", ()), documents.attempt(self.content)]

    def is_over(self, execution: str | None) -> bool:
        """Whether an execution, by name or id, belongs to an attempt that failed."""
        return execution is not None and execution.rpartition("/")[2] in {
            str(attempt["execution"]).rpartition("/")[2] for attempt in self.attempts
        }

    def followed_by(self, proposed: "Outcome") -> "Outcome":
        """What holds after another attempt; what had succeeded in part is not lost to one that fails."""
        if self.status == "partial" and FOLDERS[proposed.status] != FOLDERS[self.status]:
            return replace(self, reopened=False)
        return replace(proposed, content=proposed.content | {"attempts": self.attempts})

    def json(self) -> str:
        fields = {
            "state": "reopened" if self.reopened else "decided",
            "document": self.document,
            "content": self.content,
            "data": None if self.staged is None else {"staged": self.staged, "target": self.target},
            "argument": self.argument,
        }
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def parse(cls, text: bytes, generation: int) -> Self:
        fields = json.loads(text)
        data = fields["data"] or {}
        return cls(
            document=fields["document"],
            content=fields["content"],
            staged=data.get("staged"),
            target=data.get("target"),
            argument=fields.get("argument"),
            reopened=fields.get("state") == "reopened",
            generation=generation,
        )


def name(job: Job, status: str, extension: str = "json") -> str:
    """Where in the output bucket a job's document, or the data beside it, goes."""
    return f"{FOLDERS[status]}/{job.document}.{extension}"


def settle(deployment: Deployment, job: Job, content: dict[str, Any], staged: str | None = None) -> Outcome:
    """Decides the job, unless it was decided before, and writes what was decided.

    Args:
        content: the terminal document.
        staged: the data file in the work bucket that goes beside it.

    Returns:
        The outcome that holds: the caller's, or an earlier one.
    """
    argument = job.argument() if isinstance(job.input, Input) else None
    proposed = Outcome(name(job, content["status"]), content, argument=argument)
    if staged is not None:
        target = name(job, content["status"], staged.rpartition(".")[2])
        proposed = replace(proposed, staged=staged, target=target)
    decided = _decide(deployment.work, job, proposed)
    if not decided.reopened:
        _finish(deployment, job, decided)
    return decided


def resume(deployment: Deployment, job: Job) -> Outcome | None:
    """Writes what a decided job still lacks; None when it is undecided, or undecided again."""
    decided = read(deployment.work, job.id)
    if decided is None or decided.reopened:
        return None
    _finish(deployment, job, decided)
    return decided


def reopen(work: "Bucket", job_id: str, document: str, content: dict[str, Any]) -> Outcome | None:
    """Declares a failure undecided, so that whoever settles next decides; its document stays until then.

    Args:
        document: the failed document's name, and with `content` all there is when its outcome has expired.

    Returns:
        The reopened outcome, also when another caller reopened it; None when the job has come to another end.
    """
    held = read(work, job_id) or Outcome(document, content)
    if not held.is_replayable:
        return None
    if held.reopened:
        return held
    try:
        put(_arbiter(work, job_id), replace(held, reopened=True).json(), stamp(job_id), generation=held.generation)
    except PreconditionFailed:
        now = read(work, job_id)
        return now if now and now.reopened else None
    return replace(held, reopened=True)


def read(work: "Bucket", job_id: str) -> Outcome | None:
    try:
        return _load(work, job_id)
    except NotFound:
        return None


def terminal(output: "Bucket", document: str) -> list[str]:
    """The folders that hold a terminal document; two of them while a failed one is being replaced."""

    def holds(folder: str) -> bool:
        exists: bool = output.blob(f"{folder}/{document}.json").exists()
        return exists

    decided = next((folder for folder in ("results", "rejected") if holds(folder)), None)
    return [folder for folder in (decided, "failed" if holds("failed") else None) if folder]


def _decide(work: "Bucket", job: Job, proposed: Outcome) -> Outcome:
    arbiter = _arbiter(work, job.id)
    try:
        put(arbiter, proposed.json(), stamp(job.id), generation=0)
    except PreconditionFailed:
        held = _load(work, job.id)
    else:
        return proposed
    while held.reopened and not held.is_over(proposed.content["lineage"]["execution"]):
        following = held.followed_by(proposed)
        try:
            put(arbiter, following.json(), stamp(job.id), generation=held.generation)
        except PreconditionFailed:
            held = _load(work, job.id)
        else:
            return following
    return held


def _finish(deployment: Deployment, job: Job, outcome: Outcome) -> None:
    """Writes the outcome, and then whatever has replaced it: a writer that slept may bring a failure back to life."""
    while True:
        _write(deployment, job, outcome)
        if outcome.status != "failed":
            return
        now = read(deployment.work, job.id)
        if now is None or now.attempt == outcome.attempt:
            return
        outcome = now


def _write(deployment: Deployment, job: Job, outcome: Outcome) -> None:
    """Writes what is missing of a decided outcome; what is there stays as it is."""
    output = deployment.output
    metadata = stamp(job.id, hops=job.hops + 1, attempt=outcome.attempt)
    if outcome.staged and outcome.target:
        _copy(deployment, metadata, outcome.staged, outcome.target, outcome.attempt)
    text = json.dumps(outcome.content, ensure_ascii=False, indent=2) + "\n"
    document = output.blob(outcome.document)
    supersede(document, (0, outcome.attempt), lambda seen: put(document, text, metadata, generation=seen))
    source = job.input
    if isinstance(source, Input) and source.bucket == deployment.settings.input_bucket:
        advance(output, source, metadata, outcome.attempt, text, _staged(deployment, outcome))
    if outcome.attempt and outcome.status != "failed":
        with contextlib.suppress(NotFound):
            output.blob(name(job, "failed")).delete()


def _copy(deployment: Deployment, metadata: dict[str, str], staged: str, name: str, attempt: int) -> None:
    source, target = (
        deployment.work.blob(staged),
        deployment.output.blob(name),
    )
    try:
        supersede(target, (0, attempt), lambda seen: copy(source, target, metadata, generation=seen))
    except NotFound:
        if not target.exists():
            raise


def _staged(deployment: Deployment, outcome: Outcome) -> "Blob | None":
    return deployment.work.blob(outcome.staged) if outcome.staged else None


def _load(work: "Bucket", job_id: str) -> Outcome:
    arbiter = _arbiter(work, job_id)
    text = arbiter.download_as_bytes()
    return Outcome.parse(text, arbiter.generation)


def _arbiter(work: "Bucket", job_id: str) -> "Blob":
    blob: Blob = work.blob(f"outcomes/{job_id}.json")
    return blob


def advance(
    output: "Bucket", source: Input, metadata: dict[str, str], attempt: int, document: str, data: "Blob | None"
) -> None:
    """Copies a terminal document of any status, and the data beside it first, unless newer copies are there."""
    metadata = metadata | {INPUT_GENERATION: str(source.generation)}
    rank = (source.generation, attempt)
    if data is not None:
        target = output.blob(f"latest/{fit(source.name)}.{data.name.rpartition('.')[2]}")
        supersede(target, rank, lambda seen: copy(data, target, metadata, generation=seen))
    copied = output.blob(f"latest/{fit(source.name)}.json")
    supersede(copied, rank, lambda seen: put(copied, document, metadata, generation=seen))
