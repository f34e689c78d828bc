"""The sweep: starts whatever input object has no terminal document, because its event or execution was lost."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline import clients, intake, outcomes
from pipeline.claims import STARTED, Claim, Claims
from pipeline.errors import InProgressError, RejectedError
from pipeline.events import Receipt, Upload
from pipeline.intake import Verdict
from pipeline.jobs import document_of_object
from pipeline.settings import Settings
from pipeline.stamps import is_stamped
from pipeline.start import has_ended

MAX_STARTED = 1000
MAX_SCANNED = 10_000  # objects per message: a function has minutes, not hours
PAGE = 100
CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which objects to look at, and how many to start at most; `after` continues where an earlier sweep ended."""

    prefix: str = ""
    limit: int = MAX_STARTED
    after: str = ""


def parse(value: Any) -> Sweep:
    """Checks `{"prefix"?, "limit"?, "after"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - {"prefix", "limit", "after"}:
        raise RejectedError("invalid_parameters", "sweep must be an object with prefix, limit and after at most.")
    sweep = Sweep(value.get("prefix", ""), value.get("limit", MAX_STARTED), value.get("after", ""))
    if not isinstance(sweep.prefix, str) or not isinstance(sweep.after, str):
        raise RejectedError("invalid_parameters", "sweep.prefix and sweep.after must be strings.")
    if type(sweep.limit) is not int or not 1 <= sweep.limit <= MAX_STARTED:
        raise RejectedError("invalid_parameters", f"sweep.limit must be a whole number from 1 to {MAX_STARTED}.")
    return sweep


def run(settings: Settings, sweep: Sweep, receipt: Receipt) -> Verdict:
    """Starts unfinished inputs up to the limit and counts the rest; running it again does no harm."""
    objects = clients.storage().list_blobs(
        settings.input_bucket, prefix=sweep.prefix or None, start_offset=sweep.after or None
    )
    counts: Counter[str] = Counter()
    names = iter(objects)
    for page in _pages(map(Upload.of_blob, islice(names, MAX_SCANNED))):
        counts["scanned"] += len(page)
        for named in _unfinished(settings, page):
            if counts["started"] < sweep.limit:
                counts[_revive(settings, named, receipt)] += 1
            else:
                counts["remaining"] += 1
    left = next(names, None)
    return Verdict("accepted", reason="sweep", counts={**counts, "continue_after": left and left.name})


def _unfinished(settings: Settings, page: list[Upload]) -> list[Upload]:
    page = [named for named in page if not named.is_folder and not is_stamped(named.metadata)]

    def is_finished(named: Upload) -> bool:
        return outcomes.is_terminal(settings, document_of_object(named.name, named.generation))

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        return [named for named, done in zip(page, pool.map(is_finished, page), strict=True) if not done]


def _revive(settings: Settings, named: Upload, receipt: Receipt) -> str:
    """Brings one unfinished object on its way; the word under which it is counted."""
    job = intake.job_of(named, receipt)
    if outcomes.resume(settings, job):
        return "completed"
    held = Claims(settings.work_bucket, settings.claim_lease).read(job.id)
    if held and held.state == STARTED and not _is_dead(settings, held, job.document):
        return "running"
    try:
        verdict = intake.upload(settings, named, receipt, held if held and held.state == STARTED else None)
    except InProgressError:
        return "running"
    return {"accepted": "started", "rejected": "rejected", "ignored": "running"}[verdict.word]


def _is_dead(settings: Settings, held: Claim, document: str) -> bool:
    """Whether a started job has ended without a document; looked up in this order, since it may end just now."""
    if held.execution and not has_ended(held.execution, settings.execution_timeout):
        return False
    return not outcomes.is_terminal(settings, document)


def _pages(uploads: Iterable[Upload]) -> Iterator[list[Upload]]:
    uploads = iter(uploads)
    while page := list(islice(uploads, PAGE)):
        yield page
