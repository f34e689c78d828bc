"""Replays failed documents: each of their jobs becomes undecided again and gets one more execution.

The failed document stands until the new outcome is decided, and gives way to it then. Two replays of one document are
one: reopening an outcome and taking over its claim are both generation preconditions that one of them wins.
"""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from messaging import restart
from messaging.restart import Lost
from pipeline import logs
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.inputs.events import Receipt
from pipeline.intake import Verdict
from pipeline.jobs import outcomes
from pipeline.jobs.job import Input, Job
from pipeline.jobs.outcomes import Outcome

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MAX_STARTED = 10_000  # per replay
MAX_STARTED_AT_ONCE = 200  # per message; more go on in the next
MAX_READ = 2000
PAGE = 50
CONCURRENCY = 8
FILTERS = ("prefix", "code", "since", "until", "limit", "after", "partial")
SCHEMAS = {"failed/": "failed/v1", "results/": "result/v1"}


@dataclass(frozen=True, slots=True)
class Replay:
    """Which failed documents: by the name after failed/, the error's code, and when they were written (RFC 3339).

    `partial` is for results that lack some shards, by the name after results/.
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

    def wants(self, content: dict[str, Any]) -> bool:
        errors = content.get("data", {}).get("lost", []) if self.partial else [content["error"]]
        if not errors or (self.code and self.code not in {error["code"] for error in errors}):
            return False
        finished = _moment(content["timing"]["finished_at"])
        return (not self.since or finished >= _moment(self.since)) and (
            not self.until or finished <= _moment(self.until)
        )


def parse(value: Any) -> Replay:
    """Checks `{"prefix"?, "code"?, "since"?, "until"?, "limit"?, "after"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - set(FILTERS):
        raise RejectedError("invalid_parameters", f"replay must be an object with {', '.join(FILTERS)} at most.")
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
            _moment(text) if text else None
        except ValueError as error:
            raise RejectedError(
                "invalid_parameters", f"replay.{name} must be a time as 2026-01-31T12:00:00Z."
            ) from error
    return replay


def run(deployment: Deployment, replay: Replay, receipt: Receipt) -> tuple[Verdict, Replay | None]:
    """Replays the documents that are wanted; running it again, or beside another, does no harm.

    Returns:
        What was counted, and the replay that goes on from there; None when all was seen, the limit is used up, or the
        hour's executions are.
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
            left = replay.limit - counts["started"]
            if following := _pause(replay, blob, counts, left):
                break
            if not left or counts["throttled"]:
                counts["remaining"] += 1
                continue
            counts["read"] += 1
            if content is not None and replay.wants(content):
                counts[_replay(deployment, blob.name, content, receipt)] += 1
        if following or not replay.limit - counts["started"] or counts["throttled"]:
            break
    return Verdict("accepted", reason="replay", counts=dict(counts)), following


def _pause(replay: Replay, blob: "Blob", counts: Counter[str], left: int) -> Replay | None:
    """The replay to go on with, when this message has done its share."""
    full = counts["started"] >= MAX_STARTED_AT_ONCE or counts["read"] >= MAX_READ
    if not full or not left or counts["throttled"]:
        return None
    return replace(replay, after=blob.name.removeprefix(replay.folder), limit=left)


def _read(page: list["Blob"], schema: str) -> Iterator[tuple["Blob", dict[str, Any] | None]]:
    """The documents; None for one that has gone meanwhile or is no such document."""

    def content(blob: "Blob") -> dict[str, Any] | None:
        try:
            found = json.loads(blob.download_as_bytes())
        except (NotFound, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("schema") == schema else None

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        return zip(page, list(pool.map(content, page)), strict=True)


def _replay(deployment: Deployment, name: str, content: dict[str, Any], receipt: Receipt) -> str:
    """Replays one document; the word under which it is counted."""
    try:
        source = Input.parse(content["input"])
    except MalformedError:  # a message that was never stored as an input
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
    kind = (reopened.argument or {}).get("kind")
    if kind is None:
        return restart.of_input(deployment, job, source, receipt)
    routed = replace(Job.parse(reopened.argument), event_id=job.event_id, received_at=job.received_at, trace=job.trace)
    return restart.of_argument(deployment, routed)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
