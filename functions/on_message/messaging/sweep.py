"""The sweep: starts whatever input has no terminal document, because its event, execution or a write was lost.

It goes through the uploaded objects and then through the messages kept in the work bucket, a bounded number at a time;
what is left goes on in a message that the sweep sends to its own topic.
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
from pipeline.inputs.events import Receipt, Upload
from pipeline.intake import Verdict
from pipeline.jobs import outcomes
from pipeline.storage import is_stamped

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MAX_STARTED = 1000
MAX_SCANNED = 10_000  # objects per message: a function has minutes, not hours
PAGE = 100
CONCURRENCY = 8
Part = Literal["uploads", "messages"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which inputs to look at, and how many to start at most; `part` and `after` continue where a sweep ended."""

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
        raise RejectedError("invalid_parameters", "sweep must be an object with prefix, limit, after and part at most.")
    sweep = Sweep(**value)
    if not isinstance(sweep.prefix, str) or not isinstance(sweep.after, str):
        raise RejectedError("invalid_parameters", "sweep.prefix and sweep.after must be strings.")
    if sweep.part not in ("uploads", "messages"):
        raise RejectedError("invalid_parameters", "sweep.part must be uploads or messages.")
    if type(sweep.limit) is not int or not 1 <= sweep.limit <= MAX_STARTED:
        raise RejectedError("invalid_parameters", f"sweep.limit must be a whole number from 1 to {MAX_STARTED}.")
    return sweep


def run(deployment: Deployment, sweep: Sweep, receipt: Receipt) -> tuple[Verdict, Sweep | None]:
    """Starts unfinished inputs; running it again, or beside another, does no harm.

    Returns:
        What was counted, and the sweep that goes on from there; None when all was seen, the limit is used up, or the
        hour's executions are.
    """
    counts: Counter[str] = Counter()
    following: Sweep | None = sweep
    while following and counts["scanned"] < MAX_SCANNED:
        following = _sweep_part(deployment, following, receipt, counts)
    return Verdict("accepted", reason="sweep", counts=dict(counts)), following


def _sweep_part(deployment: Deployment, sweep: Sweep, receipt: Receipt, counts: Counter[str]) -> Sweep | None:
    """Goes through one part as far as a message may, and returns the sweep of what follows."""
    blobs = _listing(deployment, sweep)
    left = sweep.limit
    while counts["scanned"] < MAX_SCANNED and (page := list(islice(blobs, PAGE))):
        counts["scanned"] += len(page)
        for lost in _unfinished(deployment, _inputs(deployment, sweep, page, receipt)):
            if not left or counts["throttled"]:
                counts["remaining"] += 1
                continue
            word = restart.revive(deployment, lost)
            counts[word] += 1
            left -= word == "started"
    if not left or counts["throttled"]:
        return None
    return _following(replace(sweep, limit=left), next(blobs, None))


def _listing(deployment: Deployment, sweep: Sweep) -> Iterator["Blob"]:
    """The objects of the sweep's part, from where it begins."""
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
        named = Upload.of_blob(blob)
        if named.is_input and not is_stamped(named.metadata):
            yield restart.of_upload(deployment, named, receipt)


def _unfinished(deployment: Deployment, page: Iterator[Lost]) -> list[Lost]:
    inputs = list(page)
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        states = pool.map(lambda lost: is_unfinished(deployment, lost), inputs)
        return [lost for lost, unfinished in zip(inputs, states, strict=True) if unfinished]


def is_unfinished(deployment: Deployment, lost: Lost) -> bool:
    """Whether it has no document, or one whose replay has not come to its end."""
    found = outcomes.terminal(deployment.output, lost.job.document)
    if "failed" not in found:
        return not found
    decided = outcomes.read(deployment.work, lost.job.id)
    if decided and decided.reopened:
        return True
    if decided and decided.attempt:
        outcomes.resume(deployment, lost.job)  # the replay's document may lack, or the failed one stand beside it
    return False


def _following(sweep: Sweep, left: "Blob | None") -> Sweep | None:
    if left is not None:
        return replace(sweep, after=left.name)
    if sweep.part == "uploads" and not sweep.prefix:
        return Sweep(part="messages", limit=sweep.limit)
    return None
