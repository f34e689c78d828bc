"""The sweep: restarts inputs without a terminal document, whose event, execution or a write was lost.

It lists the uploaded objects and then the messages kept in the work bucket, a limited number per message; it continues
in another message to the same topic.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from messaging import restart
from messaging.restart import Lost
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs import kept_messages
from pipeline.inputs.events import Receipt
from pipeline.inputs.uploads import Upload
from pipeline.jobs import outcomes
from pipeline.verdicts import Verdict

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MAX_STARTED = 1000
MAX_SCANNED = 10_000  # objects per message: a function has minutes, not hours
PAGE = 100
CONCURRENCY = 8
Part = Literal["uploads", "messages"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The inputs to check, and the most to start; `part` and `after` say where a continued sweep begins."""

    prefix: str = ""
    limit: int = MAX_STARTED
    after: str = ""
    part: Part = "uploads"

    def message(self) -> dict[str, Any]:
        return {"sweep": {"prefix": self.prefix, "limit": self.limit, "after": self.after, "part": self.part}}


def parse(value: Any) -> Sweep:
    """Checks `{"prefix"?, "limit"?, "after"?, "part"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - {"prefix", "limit", "after", "part"}:
        raise RejectedError(
            "invalid_parameters", "sweep must be an object without fields other than prefix, limit, after and part."
        )
    sweep = Sweep(**value)
    if not isinstance(sweep.prefix, str) or not isinstance(sweep.after, str):
        raise RejectedError("invalid_parameters", "sweep.prefix and sweep.after must be strings.")
    if sweep.part not in ("uploads", "messages"):
        raise RejectedError("invalid_parameters", "sweep.part must be uploads or messages.")
    if type(sweep.limit) is not int or not 1 <= sweep.limit <= MAX_STARTED:
        raise RejectedError("invalid_parameters", f"sweep.limit must be a whole number from 1 to {MAX_STARTED}.")
    return sweep


def run(deployment: Deployment, sweep: Sweep, receipt: Receipt) -> tuple[Verdict, Sweep | None]:
    """Restarts unfinished inputs; safe to repeat and to run concurrently.

    Returns:
        The counts, and the sweep that continues this one; None when all inputs were checked, or the limit or the
        hour's executions are used up.
    """
    counts: Counter[str] = Counter()
    following: Sweep | None = sweep
    while following and counts["scanned"] < MAX_SCANNED:
        following = _sweep_part(deployment, following, receipt, counts)
    return Verdict("accepted", reason="sweep", counts=dict(counts)), following


def _sweep_part(deployment: Deployment, sweep: Sweep, receipt: Receipt, counts: Counter[str]) -> Sweep | None:
    """Checks one part up to the limits, and returns the sweep that continues this one."""
    blobs = _listing(deployment, sweep)
    remaining = sweep.limit
    while counts["scanned"] < MAX_SCANNED and (page := list(islice(blobs, PAGE))):
        counts["scanned"] += len(page)
        for lost in _unfinished(deployment, _inputs(deployment, sweep, page, receipt)):
            if not remaining or counts["throttled"]:
                counts["remaining"] += 1
                continue
            word = restart.revive(deployment, lost)
            counts[word] += 1
            remaining -= word == "started"
    if not remaining or counts["throttled"]:
        return None
    return _following(replace(sweep, limit=remaining), next(blobs, None))


def _listing(deployment: Deployment, sweep: Sweep) -> Iterator["Blob"]:
    """The objects of the sweep's part, from its beginning."""
    if sweep.part == "messages":
        bucket, prefix = deployment.work, kept_messages.FOLDER
    else:
        bucket, prefix = deployment.input, sweep.prefix
    return iter(bucket.list_blobs(prefix=prefix or None, start_offset=sweep.after or None))


def _inputs(deployment: Deployment, sweep: Sweep, page: list["Blob"], receipt: Receipt) -> Iterator[Lost]:
    for blob in page:
        if sweep.part == "messages":
            if job := kept_messages.job_of(blob, receipt):
                yield restart.of_kept(deployment, job)
            continue
        upload = Upload.of_blob(blob)
        if upload.is_input and not upload.is_stamped:
            yield restart.of_upload(deployment, upload, receipt)


def _unfinished(deployment: Deployment, page: Iterator[Lost]) -> list[Lost]:
    inputs = list(page)
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        states = pool.map(lambda lost: is_unfinished(deployment, lost), inputs)
        return [lost for lost, unfinished in zip(inputs, states, strict=True) if unfinished]


def is_unfinished(deployment: Deployment, lost: Lost) -> bool:
    """Whether it has no document, or a failed one that is being replayed."""
    folders = outcomes.terminal(deployment.output, lost.job.document)
    if "failed" not in folders:
        return not folders
    decided = outcomes.read(deployment.work, lost.job.id)
    if decided and decided.reopened:
        return True
    if decided and decided.attempt:
        outcomes.resume(deployment, lost.job)  # the replay's document may be missing, or the failed one not yet removed
    return False


def _following(sweep: Sweep, unread: "Blob | None") -> Sweep | None:
    if unread is not None:
        return replace(sweep, after=unread.name)
    if sweep.part == "uploads" and not sweep.prefix:
        return Sweep(part="messages", limit=sweep.limit)
    return None
