"""Outcomes: each job's single arbiter between executions, and the writing of what it decided.

    (none) ── settle, if_generation_match=0 ──► decided ◄── settle, if_generation_match=current ──┐
                                                  └── reopen (failures only) ──► reopened ────────┘

An outcome holds the whole terminal document, so any reader can finish what a crash interrupted: first the data file,
then the document, then the newest generation's copies under latest/, and last the removal of the failed document that
a replay has replaced.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import times
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.jobs import documents, latest, observations
from pipeline.jobs.documents import Attempt, Document, Status
from pipeline.jobs.job import Argument, Input, Job
from pipeline.storage import KIND, STATUS, copy, put, stamp, supersede
from pipeline.times import utc_now
from pipeline.verdicts import Verdict

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

REMEMBERED = timedelta(days=6)
"""How long claims and outcomes exist at least: the work bucket deletes objects after 7 days."""

FOLDER = "outcomes/"
FOLDERS: dict[Status, str] = {
    "succeeded": "results",
    "partial": "results",
    "unsuccessful": "results",
    "rejected": "rejected",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decided job: `document` and `target` are names in the output bucket, `staged` is one in the work bucket.

    `argument` is the workflow's, None for a message that was never stored; `reopened` marks a failure that is being
    replayed: its document stands until another outcome replaces it. `advances_latest` tells whether the document may
    become that of the object's newest generation.
    """

    document: str
    content: Document
    staged: str | None = None
    target: str | None = None
    argument: Argument | None = None
    reopened: bool = False
    advances_latest: bool = False
    generation: int = 0

    @property
    def status(self) -> Status:
        return self.content["status"]

    @property
    def is_replayable(self) -> bool:
        """Whether another attempt may achieve more: the job failed, or some shards were lost."""
        return self.status == "failed" or bool(self.content.get("data", {}).get("lost"))

    @property
    def attempt(self) -> int:
        """How many attempts failed before this one."""
        return len(self.content.get("attempts", ()))

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts so far, this one included."""
        return [*self.content.get("attempts", ()), documents.attempt(self.content)]

    def is_over(self, execution: str | None) -> bool:
        """Whether an execution, by name or id, belongs to one of the attempts."""
        return execution is not None and execution.rpartition("/")[2] in {
            str(attempt["execution"]).rpartition("/")[2] for attempt in self.attempts
        }

    def followed_by(self, proposed: "Outcome") -> "Outcome":
        """The outcome after another attempt; one that fails does not replace a result.

        It replaces the earlier one in latest/ too, also if the input is gone by now.
        """
        if FOLDERS[self.status] == "results" and FOLDERS[proposed.status] != "results":
            return replace(self, reopened=False)
        content: Document = {**proposed.content, "attempts": self.attempts}
        return replace(proposed, content=content, advances_latest=proposed.advances_latest or self.advances_latest)

    def json(self) -> str:
        fields = {
            "state": "reopened" if self.reopened else "decided",
            "document": self.document,
            "content": self.content,
            "data": None if self.staged is None else {"staged": self.staged, "target": self.target},
            "argument": self.argument,
            "advances_latest": self.advances_latest,
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
            advances_latest=fields["advances_latest"],
            generation=generation,
        )


def name(job: Job, status: Status, extension: str = "json") -> str:
    """The name in the output bucket of a job's document, or of its data file."""
    return f"{FOLDERS[status]}/{job.document}.{extension}"


def settle(deployment: Deployment, job: Job, content: Document, staged: str | None = None) -> Outcome:
    """Decides the job unless it is decided already, and writes the outcome.

    Args:
        content: the terminal document.
        staged: the name in the work bucket of the data file that belongs to it.

    Returns:
        The outcome that holds: the caller's, or an earlier one.
    """
    if earlier := forgotten(deployment, job, job.created_at or job.received_at):
        return earlier
    argument = job.argument() if isinstance(job.input, Input) else None
    is_known = deployment.settings.keep_latest and _is_known_generation(deployment, job, content)
    proposed = Outcome(name(job, content["status"]), content, argument=argument, advances_latest=is_known)
    if staged is not None:
        target = name(job, content["status"], staged.rpartition(".")[2])
        proposed = replace(proposed, staged=staged, target=target)
    decided = _decide(deployment.work, job, proposed)
    if not decided.reopened:
        _finish(deployment, job, decided)
    return decided


def reject(deployment: Deployment, job: Job, reason: RejectedError) -> Verdict:
    """Settles the job as rejected; the verdict is `ignored` if it has another outcome already."""
    job = replace(job, kind=reason.kind or job.kind)
    decided = settle(deployment, job, documents.rejected(job, reason))
    if decided.status != "rejected":
        return Verdict("ignored", job.id, decided.document, reason="duplicate")
    return Verdict("rejected", job.id, decided.document, job.kind, reason=reason.code)


def resume(deployment: Deployment, job: Job) -> Outcome | None:
    """Writes what a decided job still lacks; None if it is undecided or reopened."""
    decided = read(deployment.work, job.id)
    if decided is None or decided.reopened:
        return None
    _finish(deployment, job, decided)
    return decided


def reopen(work: "Bucket", job_id: str, document: str, content: Document) -> Outcome | None:
    """Makes a failure undecided, so that the next `settle` decides; its document stays until then.

    Args:
        document: the failed document's name; with `content`, it stands in for an outcome that has expired.

    Returns:
        The reopened outcome, even if another caller reopened it; None if the job has another outcome by now.
    """
    current = read(work, job_id) or Outcome(document, content, advances_latest=_had_read_an_upload(work, content))
    if not current.is_replayable:
        return None
    if current.reopened:
        return current
    reopened = replace(current, reopened=True)
    try:
        put(_arbiter(work, job_id), reopened.json(), stamp(job_id), generation=current.generation)
    except PreconditionFailed:
        changed = read(work, job_id)
        return changed if changed and changed.reopened else None
    return reopened


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


def forgotten(deployment: Deployment, job: Job, since: str | None) -> Outcome | None:
    """The outcome, by its document, of a job whose claim and outcome the work bucket has deleted.

    Args:
        since: when the job can have begun at the earliest, in RFC 3339; makes no request if that is recent.
    """
    if since is not None and _is_recent(since):
        return None
    folders = terminal(deployment.output, job.document)
    if not folders or read(deployment.work, job.id):
        return None
    document = f"{folders[0]}/{job.document}.json"
    try:
        return Outcome(document, json.loads(deployment.output.blob(document).download_as_bytes()))
    except NotFound:
        return None


def _is_known_generation(deployment: Deployment, job: Job, content: Document) -> bool:
    """Whether the input is an upload whose generation has certainly existed; a notification may name any number."""
    if not isinstance(job.input, Input) or job.input.bucket != deployment.settings.input_bucket:
        return False
    if content.get("reason", {}).get("code") == "input_gone":
        return False
    if content["lineage"]["execution"] is not None:  # it was started only after the generation was read
        return True
    return deployment.input.get_blob(job.input.name, generation=job.input.generation) is not None


def _had_read_an_upload(work: "Bucket", content: Document) -> bool:
    """Whether a failed document is that of an upload which had been read: its execution was started only after that."""
    is_upload = content["input"].get("bucket") not in (None, work.name)
    return is_upload and content["lineage"]["execution"] is not None


def _is_recent(moment: str) -> bool:
    try:
        return utc_now() - times.parse(moment) < REMEMBERED
    except ValueError:
        return False


def _decide(work: "Bucket", job: Job, proposed: Outcome) -> Outcome:
    arbiter = _arbiter(work, job.id)
    try:
        put(arbiter, proposed.json(), stamp(job.id), generation=0)
    except PreconditionFailed:
        current = _load(work, job.id)
    else:
        return proposed
    while current.reopened and not current.is_over(proposed.content["lineage"]["execution"]):
        following = current.followed_by(proposed)
        try:
            put(arbiter, following.json(), stamp(job.id), generation=current.generation)
        except PreconditionFailed:
            current = _load(work, job.id)
        else:
            return following
    return current


def _load(work: "Bucket", job_id: str) -> Outcome:
    arbiter = _arbiter(work, job_id)
    text = arbiter.download_as_bytes()
    return Outcome.parse(text, arbiter.generation)


def _arbiter(work: "Bucket", job_id: str) -> "Blob":
    blob: Blob = work.blob(f"{FOLDER}{job_id}.json")
    return blob


def _finish(deployment: Deployment, job: Job, outcome: Outcome) -> None:
    """Writes the outcome; a failure is re-read afterwards, since a stalled writer may overwrite a newer result."""
    while True:
        _write(deployment, job, outcome)
        if outcome.status != "failed":
            return
        current = read(deployment.work, job.id)
        if current is None or current.attempt == outcome.attempt:
            return
        outcome = current


def _write(deployment: Deployment, job: Job, outcome: Outcome) -> None:
    """Writes what a decided outcome still lacks; what exists stays as it is."""
    output = deployment.output
    if not outcome.attempt:
        observations.served(output, outcome.argument, outcome.content)
    described = {STATUS: outcome.status, KIND: outcome.content["kind"]}
    metadata = stamp(job.id, hops=job.hops + 1, attempt=outcome.attempt) | {k: v for k, v in described.items() if v}
    data = deployment.work.blob(outcome.staged) if outcome.staged else None
    if data and outcome.target:
        _copy_data(data, output.blob(outcome.target), metadata, outcome.attempt)
    text = json.dumps(outcome.content, ensure_ascii=False, indent=2) + "\n"
    document = output.blob(outcome.document)
    supersede(document, (0, outcome.attempt), lambda generation: put(document, text, metadata, generation=generation))
    if outcome.advances_latest and deployment.settings.keep_latest:
        copied = output.blob(outcome.target) if outcome.target else None
        latest.advance(output, job.object_input(), metadata, outcome.attempt, text, copied)
    if outcome.attempt and outcome.status != "failed":
        with contextlib.suppress(NotFound):
            output.blob(name(job, "failed")).delete()


def _copy_data(staged: "Blob", target: "Blob", metadata: dict[str, str], attempt: int) -> None:
    """Copies the data file; after the work bucket has deleted it, an earlier copy will do."""
    try:
        supersede(target, (0, attempt), lambda generation: copy(staged, target, metadata, generation=generation))
    except NotFound:
        if not target.exists():
            raise


def listed(work: "Bucket") -> Iterator["Blob"]:
    """The objects of all outcomes, by job."""
    return iter(work.list_blobs(prefix=FOLDER))


def job_of(blob: "Blob") -> str:
    """The id of a listed outcome's job."""
    name: str = blob.name
    return name.removeprefix(FOLDER).removesuffix(".json")
