"""The sweep: restarts inputs without a terminal document, whose event, execution or a write was lost.

It lists the claims whose jobs have not concluded, then the uploaded objects, then the messages kept in the work bucket,
a limited number per message; it continues in another message to the same topic. The claims find the inputs that were
overwritten or deleted. They come first because most of them need no execution, which the hour may not have left.
Of the inputs that one message finds, the oldest are started first.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from google.api_core.exceptions import NotFound

from messaging import restart, settled
from messaging.restart import Lost
from pipeline import logs, storage
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs.events import Receipt
from pipeline.inputs.pubsub import kept_messages
from pipeline.inputs.uploads import Upload
from pipeline.jobs import claims, outcomes
from pipeline.jobs.claims import Claims
from pipeline.jobs.job import Input
from pipeline.storage import failure_code
from pipeline.verdicts import Verdict

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MAX_STARTED = 1000  # inputs per message, as MAX_SCANNED is of objects: a function has minutes, not hours
MAX_SCANNED = 10_000
PAGE = 1000  # as many as one request lists
CONCURRENCY = 8
FAILED = "failed"
WITHOUT = {"uploads": False}
T = TypeVar("T")
Part = Literal["claims", "uploads", "messages"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The inputs to check, and the most to start (None: all); `part` and `after` say where a continued sweep begins.

    With a prefix, it checks the uploads of that prefix alone; `uploads` is false if they are looked after otherwise.
    """

    prefix: str = ""
    limit: int | None = None
    after: str = ""
    part: Part = "claims"
    uploads: bool = True

    def message(self) -> dict[str, Any]:
        fields = {"prefix": self.prefix, "limit": self.limit, "after": self.after, "part": self.part}
        return {"sweep": {name: value for name, value in fields.items() if value} | ({} if self.uploads else WITHOUT)}


def parse(value: Any) -> Sweep:
    """Checks `{"prefix"?, "limit"?, "after"?, "part"?, "uploads"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - {"prefix", "limit", "after", "part", "uploads"}:
        raise RejectedError(
            "invalid_parameters",
            "sweep must be an object without fields other than prefix, limit, after, part and uploads.",
        )
    first = "uploads" if value.keys() & {"prefix", "after"} else "claims"
    sweep = Sweep(**{"part": first, **value})
    if not isinstance(sweep.prefix, str) or not isinstance(sweep.after, str):
        raise RejectedError("invalid_parameters", "sweep.prefix and sweep.after must be strings.")
    if sweep.part not in get_args(Part):
        raise RejectedError("invalid_parameters", "sweep.part must be claims, uploads or messages.")
    if type(sweep.uploads) is not bool or not (sweep.uploads or (sweep.part != "uploads" and not sweep.prefix)):
        raise RejectedError("invalid_parameters", "sweep.uploads must be true, or false without a prefix.")
    if sweep.limit is not None and (type(sweep.limit) is not int or sweep.limit < 1):
        raise RejectedError("invalid_parameters", "sweep.limit must be a whole number, 1 or more.")
    return sweep


def run(deployment: Deployment, sweep: Sweep, receipt: Receipt) -> tuple[Verdict, Sweep | None]:
    """Restarts unfinished inputs; safe to repeat and to run concurrently.

    Returns:
        The counts, and the sweep that continues this one; None when all inputs were checked, or the limit or the
        hour's executions are used up.
    """
    counts: Counter[str] = Counter()
    following: Sweep | None = sweep
    while following and counts["scanned"] < MAX_SCANNED and counts["started"] + counts["postponed"] < MAX_STARTED:
        following = _sweep_part(deployment, following, receipt, counts)
    return Verdict("accepted", reason="sweep", counts=dict(counts)), following


def _sweep_part(deployment: Deployment, sweep: Sweep, receipt: Receipt, counts: Counter[str]) -> Sweep | None:
    """Checks one part up to the limits, and returns the sweep that continues this one."""
    blobs = _listing(deployment, sweep)
    found: list[Lost] = []
    while len(found) < MAX_STARTED and (page := list(islice(blobs, min(PAGE, MAX_SCANNED - counts["scanned"])))):
        counts["scanned"] += len(page)
        results = _unfinished(deployment, sweep, page, receipt)
        found += [result for result in results if isinstance(result, Lost)]
        counts[FAILED] += sum(isinstance(result, Exception) for result in results)
    remaining = _start(deployment, found, sweep.limit, counts)
    if remaining == 0 or counts["throttled"]:
        return None
    return _following(replace(sweep, limit=remaining), next(blobs, None))


def _start(deployment: Deployment, found: list[Lost], limit: int | None, counts: Counter[str]) -> int | None:
    """Restarts the oldest first, several at a time; returns what is left of the limit."""
    oldest = sorted(found, key=lambda lost: lost.job.object_input().generation)  # a time in microseconds
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        while oldest and limit != 0 and not counts["throttled"]:
            size = CONCURRENCY if limit is None else min(CONCURRENCY, limit)
            several, oldest = oldest[:size], oldest[size:]
            words = Counter(pool.map(lambda lost: _revive(deployment, lost), several))
            counts.update(words)
            limit = None if limit is None else limit - words["started"] - words["postponed"]
    counts["remaining"] += len(oldest)
    return limit


def _revive(deployment: Deployment, lost: Lost) -> str:
    with logs.bound(event_id=lost.job.event_id, job=lost.job.id):
        try:
            return restart.revive(deployment, lost)
        except Exception as error:  # noqa: BLE001 - the sweep's other inputs go on
            _log_failure(error)
            return FAILED


def _listing(deployment: Deployment, sweep: Sweep) -> Iterator["Blob"]:
    """The objects of the sweep's part, from its beginning."""
    bucket, prefix = {
        "claims": (deployment.work, claims.FOLDER),
        "uploads": (deployment.input, sweep.prefix),
        "messages": (deployment.work, kept_messages.FOLDER),
    }[sweep.part]
    return iter(bucket.list_blobs(prefix=prefix or None, start_offset=sweep.after or None))


def _unfinished(deployment: Deployment, sweep: Sweep, page: list["Blob"], receipt: Receipt) -> list[Lost | Exception]:
    """The jobs of a page that have no terminal document, and the errors of those that could not be checked."""
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        if sweep.part == "claims":
            results = pool.map(_each(lambda blob: of_claim(deployment, blob, receipt, uploads=sweep.uploads)), page)
        else:
            listed = [lost for blob in page if (lost := _input(deployment, sweep, blob, receipt))]
            documents = {lost.job.object_input().name: lost.job.document for lost in listed}
            known = settled.folders(deployment.output, documents)
            results = pool.map(_each(lambda lost: _of_listed(deployment, lost, known.get(lost.job.document))), listed)
        return [result for result in results if result is not None]


def _each(check: Callable[[T], Lost | None]) -> Callable[[T], Lost | Exception | None]:
    """The check, which returns its error: the input is left to the next sweep, and the others go on."""

    def checked(candidate: T) -> Lost | Exception | None:
        try:
            return check(candidate)
        except Exception as error:  # noqa: BLE001 - see above
            _log_failure(error)
            return error

    return checked


def _of_listed(deployment: Deployment, lost: Lost, folders: list[str] | None) -> Lost | None:
    """The listed job if it is unfinished; `folders` as for `is_unfinished`."""
    if folders and "failed" not in folders:
        return None
    return lost if is_unfinished(deployment, lost, folders) else None


def _log_failure(error: Exception) -> None:
    logs.exception("failed", error, code=failure_code(error))


def _input(deployment: Deployment, sweep: Sweep, blob: "Blob", receipt: Receipt) -> Lost | None:
    """The job of a listed upload or kept message."""
    if sweep.part == "messages":
        job = kept_messages.job_of(blob, receipt)
        return restart.of_kept(deployment, job) if job else None
    upload = Upload.of_blob(blob)
    return restart.of_upload(deployment, upload, receipt) if upload.is_input and not upload.is_stamped else None


def of_claim(deployment: Deployment, blob: "Blob", receipt: Receipt, *, uploads: bool = True) -> Lost | None:
    """The job of a listed claim if it is unfinished and no other part of the sweep lists its input.

    A claim whose job has its document is marked, so that each is read only until then.

    Args:
        uploads: whether a part lists the uploads.
    """
    job_id = claims.job_of(blob)
    held = Claims(deployment.work, deployment.settings.claim_lease)
    claim = held.read(job_id) if job_id else None
    if claim is None or not (claim.is_taken_in or held.is_stale(claim)):
        return None
    lost = restart.of_argument(deployment, claim.argument, receipt)
    if lost is None:  # its message is still with Pub/Sub, which delivers it again or makes it a dead letter
        return None
    if not is_unfinished(deployment, lost):
        with contextlib.suppress(NotFound):  # the work bucket may have deleted the data file already
            outcomes.resume(deployment, lost.job)  # latest/ may be missing
        held.conclude(claim)
        return None
    source = lost.job.object_input()
    is_looked_after = uploads or source.bucket != deployment.settings.input_bucket
    return None if is_looked_after and _is_listed(source) else lost


def _is_listed(source: Input) -> bool:
    """Whether the input is the newest generation of its object, as the sweep's other parts list it."""
    newest: Blob | None = storage.bucket(source.bucket).get_blob(source.name)
    return newest is not None and newest.generation == source.generation


def is_unfinished(deployment: Deployment, lost: Lost, folders: list[str] | None = None) -> bool:
    """Whether it has no document, or a failed one that is being replayed.

    Args:
        folders: those with a document of the job, if a listing has shown some.
    """
    folders = folders or outcomes.terminal(deployment.output, lost.job.document)
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
    following: dict[Part, Part] = {"claims": "uploads" if sweep.uploads else "messages", "uploads": "messages"}
    if sweep.part in following and not sweep.prefix:
        return Sweep(part=following[sweep.part], limit=sweep.limit, uploads=sweep.uploads)
    return None
