"""The outcome of a job: the one arbiter between executions, and the writing of what it decided.

An outcome holds the whole terminal document, so whoever meets it can finish what a crash interrupted:
first the data file, then the document, then the newest generation's copies under latest/.
"""

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import clients, latest
from pipeline.jobs import Input, Job
from pipeline.objects import copy, put
from pipeline.settings import Settings
from pipeline.stamps import stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob

FOLDERS = {"succeeded": "results", "partial": "results", "rejected": "rejected", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decided job: `document` and `target` are names in the output bucket, `staged` one in the work bucket."""

    document: str
    content: dict[str, Any]
    staged: str | None = None
    target: str | None = None

    @property
    def status(self) -> str:
        status: str = self.content["status"]
        return status

    def json(self) -> str:
        fields = {
            "document": self.document,
            "content": self.content,
            "data": None if self.staged is None else {"staged": self.staged, "target": self.target},
        }
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def parse(cls, text: bytes) -> Self:
        fields = json.loads(text)
        data = fields["data"] or {}
        return cls(fields["document"], fields["content"], data.get("staged"), data.get("target"))


def name(job: Job, status: str, extension: str = "json") -> str:
    """Where in the output bucket a job's document, or the data beside it, goes."""
    return f"{FOLDERS[status]}/{job.document}.{extension}"


def settle(settings: Settings, job: Job, content: dict[str, Any], staged: str | None = None) -> Outcome:
    """Decides the job, unless it was decided before, and writes what was decided.

    Args:
        content: the terminal document.
        staged: the data file in the work bucket that goes beside it.

    Returns:
        The outcome that holds: the caller's, or an earlier one.
    """
    proposed = Outcome(name(job, content["status"]), content)
    if staged is not None:
        target = name(job, content["status"], staged.rpartition(".")[2])
        proposed = Outcome(proposed.document, content, staged, target)
    decided = _decide(settings, job, proposed)
    _write(settings, job, decided)
    return decided


def resume(settings: Settings, job: Job) -> Outcome | None:
    """Writes what a decided job still lacks; None when it is undecided."""
    decided = read(settings, job.id)
    if decided is not None:
        _write(settings, job, decided)
    return decided


def read(settings: Settings, job_id: str) -> Outcome | None:
    try:
        return Outcome.parse(_arbiter(settings, job_id).download_as_bytes())
    except NotFound:
        return None


def is_terminal(settings: Settings, document: str) -> bool:
    """Whether one of the three documents exists."""
    bucket = clients.bucket(settings.output_bucket)
    return any(bucket.blob(f"{folder}/{document}.json").exists() for folder in ("results", "rejected", "failed"))


def _decide(settings: Settings, job: Job, proposed: Outcome) -> Outcome:
    try:
        put(_arbiter(settings, job.id), proposed.json(), stamp(job.id), generation=0)
    except PreconditionFailed:
        return Outcome.parse(_arbiter(settings, job.id).download_as_bytes())
    return proposed


def _write(settings: Settings, job: Job, outcome: Outcome) -> None:
    """Writes what is missing of a decided outcome; what is there stays as it is."""
    output = clients.bucket(settings.output_bucket)
    if outcome.staged and outcome.target:
        _copy_once(settings, job, outcome.staged, outcome.target)
    text = json.dumps(outcome.content, ensure_ascii=False, indent=2) + "\n"
    with contextlib.suppress(PreconditionFailed):
        put(output.blob(outcome.document), text, stamp(job.id), generation=0)
    source = job.input
    if isinstance(source, Input) and source.bucket == settings.input_bucket:
        latest.advance(output, job.id, source, text, _staged(settings, outcome))


def _copy_once(settings: Settings, job: Job, staged: str, target: str) -> None:
    output = clients.bucket(settings.output_bucket)
    try:
        copy(clients.bucket(settings.work_bucket).blob(staged), output.blob(target), stamp(job.id), generation=0)
    except PreconditionFailed:
        return
    except NotFound:
        if not output.blob(target).exists():
            raise


def _staged(settings: Settings, outcome: Outcome) -> "Blob | None":
    return clients.bucket(settings.work_bucket).blob(outcome.staged) if outcome.staged else None


def _arbiter(settings: Settings, job_id: str) -> "Blob":
    blob: Blob = clients.bucket(settings.work_bucket).blob(f"outcomes/{job_id}.json")
    return blob
