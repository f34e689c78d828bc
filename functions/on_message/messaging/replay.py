"""Replays failed documents: reopens the outcome of each job and starts one more execution.

The failed document stands until the new outcome replaces it. Concurrent replays of a document start one execution:
reopening the outcome and taking over the claim both have a generation as precondition.
"""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from messaging import restart
from messaging.restart import Lost
from pipeline import logs, times
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.inputs.events import Receipt
from pipeline.jobs import outcomes
from pipeline.jobs.documents import Document
from pipeline.jobs.job import Input, Job
from pipeline.jobs.outcomes import Outcome
from pipeline.verdicts import Verdict

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MAX_STARTED = 10_000  # per replay
MAX_STARTED_AT_ONCE = 200  # per message; the next one continues
MAX_READ = 2000
PAGE = 50
CONCURRENCY = 8
FILTERS = ("prefix", "code", "since", "until", "limit", "after", "partial")
SCHEMAS = {"failed/": "failed/v1", "results/": "result/v1"}


@dataclass(frozen=True, slots=True)
class Replay:
    """The failed documents to replay: by name after failed/, the error's code, and the time of writing (RFC 3339).

    `partial` selects results that lack some shards instead, by name after results/.
    """

    prefix: str = ""
    code: str = ""
    since: str = ""
    until: str = ""
    limit: int = 1000
    after: str = ""
    partial: bool = False

    @property
    def folder(self) -> str:
        return "results/" if self.partial else "failed/"

    def message(self) -> dict[str, Any]:
        return {"replay": {key: value for key, value in asdict(self).items() if value}}

    def matches(self, content: Document) -> bool:
        errors = content.get("data", {}).get("lost", []) if self.partial else [content["error"]]
        if not errors or (self.code and self.code not in {error["code"] for error in errors}):
            return False
        finished = times.parse(content["timing"]["finished_at"])
        return (not self.since or finished >= times.parse(self.since)) and (
            not self.until or finished <= times.parse(self.until)
        )


def parse(value: Any) -> Replay:
    """Checks `{"prefix"?, "code"?, "since"?, "until"?, "limit"?, "after"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - set(FILTERS):
        raise RejectedError(
            "invalid_parameters", f"replay must be an object without fields other than {', '.join(FILTERS)}."
        )
    replay = Replay(**value)
    for name in FILTERS:
        if name not in ("limit", "partial") and not isinstance(getattr(replay, name), str):
            raise RejectedError("invalid_parameters", f"replay.{name} must be a string.")
    if type(replay.partial) is not bool:
        raise RejectedError("invalid_parameters", "replay.partial must be true or false.")
    if type(replay.limit) is not int or not 1 <= replay.limit <= MAX_STARTED:
        raise RejectedError("invalid_parameters", f"replay.limit must be a whole number from 1 to {MAX_STARTED}.")
    for name in ("since", "until"):
        text = getattr(replay, name)
        try:
            times.parse(text) if text else None
        except ValueError as error:
            raise RejectedError(
                "invalid_parameters", f"replay.{name} must be a time such as 2026-01-31T12:00:00Z."
            ) from error
    return replay


def run(deployment: Deployment, replay: Replay, receipt: Receipt) -> tuple[Verdict, Replay | None]:
    """Replays the matching documents; safe to repeat and to run concurrently.

    Returns:
        The counts, and the replay that continues this one; None when all documents were read, or the limit or the
        hour's executions are used up.
    """
    counts: Counter[str] = Counter()
    listed = deployment.output.list_blobs(
        prefix=f"{replay.folder}{replay.prefix}",
        start_offset=f"{replay.folder}{replay.after}" if replay.after else None,
    )
    blobs = (blob for blob in listed if blob.name.endswith(".json"))
    following: Replay | None = None
    while page := list(islice(blobs, PAGE)):
        for blob, content in _read(page, SCHEMAS[replay.folder]):
            left = replay.limit - _taken_in(counts)
            if following := _pause(replay, blob, counts, left):
                break
            if not left or counts["throttled"]:
                counts["remaining"] += 1
                continue
            counts["read"] += 1
            if content is not None and replay.matches(content):
                counts[_replay(deployment, blob.name, content, receipt)] += 1
        if following or not replay.limit - _taken_in(counts) or counts["throttled"]:
            break
    return Verdict("accepted", reason="replay", counts=dict(counts)), following


def _taken_in(counts: Counter[str]) -> int:
    return counts["started"] + counts["postponed"]


def _pause(replay: Replay, blob: "Blob", counts: Counter[str], left: int) -> Replay | None:
    """The replay that continues this one, once this message has reached its limits."""
    full = _taken_in(counts) >= MAX_STARTED_AT_ONCE or counts["read"] >= MAX_READ
    if not full or not left or counts["throttled"]:
        return None
    return replace(replay, after=blob.name.removeprefix(replay.folder), limit=left)


def _read(page: list["Blob"], schema: str) -> Iterator[tuple["Blob", Document | None]]:
    """The documents; None for one that no longer exists or has another schema."""

    def content(blob: "Blob") -> Document | None:
        try:
            document: Document = json.loads(blob.download_as_bytes())
        except (NotFound, ValueError):
            return None
        return document if isinstance(document, dict) and document.get("schema") == schema else None

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        return zip(page, list(pool.map(content, page)), strict=True)


def _replay(deployment: Deployment, name: str, content: Document, receipt: Receipt) -> str:
    """Replays one document, and returns the word under which it is counted."""
    try:
        source = Input.parse(content["input"])
    except MalformedError:  # of a message that was never kept
        logs.warning("cannot be replayed", document=name)
        return "unreplayable"
    job = Job(
        id=content["job"],
        document=name.partition("/")[2].removesuffix(".json"),
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=source,
        trace=receipt.trace,
    )
    reopened = outcomes.reopen(deployment.work, job.id, name, content)
    if reopened is None:
        return "completed" if outcomes.resume(deployment, job) else "running"
    lost = _lost(deployment, job, source, reopened, receipt)
    return restart.revive(deployment, lost) if lost else "unreplayable"


def _lost(deployment: Deployment, job: Job, source: Input, reopened: Outcome, receipt: Receipt) -> Lost | None:
    if reopened.argument is None:
        return restart.of_input(deployment, job, source, receipt)
    return restart.of_argument(deployment, reopened.argument, receipt)
