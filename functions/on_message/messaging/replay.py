"""Replays failed documents: reopens the outcome of each job and starts it once more, many together where they can be.

The failed document stands until the new outcome replaces it. Concurrent replays of a document start one execution:
reopening the outcome and taking over the claim both have a generation as precondition. So an order that was interrupted
can begin anew: it passes over what it has started.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound

from messaging import replay_orders, restart, together
from messaging.replay_orders import Publish, Replay
from messaging.restart import Lost
from pipeline import intake, logs, times, waiting
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError
from pipeline.inputs import microbatches
from pipeline.inputs.events import Receipt
from pipeline.intake import Reserved
from pipeline.jobs import executions, outcomes
from pipeline.jobs.documents import Document
from pipeline.jobs.job import Input, Job
from pipeline.jobs.outcomes import Outcome
from pipeline.kinds import SINGLE
from pipeline.settings import Settings
from pipeline.storage import failure_code
from pipeline.verdicts import Verdict

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MAX_STARTED_AT_ONCE = replay_orders.PART  # per message; the next one continues
MAX_READ = 10_000
MAX_SECONDS = 240.0  # before the next message continues, as for a collection
PAGE = 500  # documents, whose claims are taken over well within a lease before their executions start
FEW = 20  # texts and images that have executions of their own, so that none shares the fate of others
CONCURRENCY = 16
FAILED = "failed"
SCHEMAS = {"failed/": "failed/v1", "results/": "result/v1"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that an order selects, by its whole name."""

    name: str
    content: Document

    def may_share(self, input_bucket: str) -> bool:
        """Whether it is of an uploaded text or image, which can be predicted on together with others."""
        return self.content["kind"] in SINGLE and self.content["input"].get("bucket") == input_bucket


@dataclass(slots=True)
class Progress:
    """An order and what the message has done of it."""

    deployment: Deployment
    order: Replay
    receipt: Receipt
    pool: ThreadPoolExecutor
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> int | None:
        """How many the order may still start; None for all."""
        return None if self.order.limit is None else self.order.limit - self._started

    @property
    def room(self) -> int:
        """How many this message may still start."""
        return min(MAX_STARTED_AT_ONCE - self._started, MAX_READ if self.left is None else self.left)

    @property
    def _started(self) -> int:
        return self.counts["started"] + self.counts["postponed"]


def run(
    deployment: Deployment,
    order: Replay,
    receipt: Receipt,
    publish: Publish | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Verdict, Replay | None]:
    """Replays the matching documents; safe to repeat and to run concurrently.

    Args:
        publish: publishes the orders that a large one splits into; None if there cannot be any.

    Returns:
        The counts, and the order that continues this one; None when all documents were read or the limit is used up.
        When the hour's executions are, only what can share one goes on.
    """
    following: Replay | None = order
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        progress = Progress(deployment, order, receipt, pool)
        if publish and order.is_large:
            published, following = replay_orders.split(deployment.output, order, publish)
            progress.counts.update({"orders": published} if published else {})
        if following is order:
            deadline = clock() + MAX_SECONDS
            following = _carry_out(progress, lambda: clock() >= deadline)
    return Verdict("accepted", reason="replay", counts=dict(progress.counts)), following


def _carry_out(progress: Progress, is_over: Callable[[], bool]) -> Replay | None:
    """Replays page by page, and returns the order that continues this one."""
    order, counts = progress.order, progress.counts
    blobs = order.names(progress.deployment.output)
    is_first = True
    while page := list(islice(blobs, PAGE)):
        unread = deque(_read(progress.pool, page, SCHEMAS[order.folder]))
        while unread and progress.room and counts["read"] < MAX_READ:
            left, selected = progress.left, _selected(progress, unread)
            is_all = is_first and ((left is not None and left <= FEW) or (not unread and len(page) < PAGE))
            is_first = False
            _start(progress, selected, is_small=is_all and len(selected) <= FEW)
        if progress.left == 0:
            counts["remaining"] += len(unread)
            return None
        if unread or not progress.room or counts["read"] >= MAX_READ or is_over():
            begin = unread[0][0] if unread else next(blobs, None)
            if begin is None:
                return None
            return replace(order, after=begin.name.removeprefix(order.folder), limit=progress.left)
    return None


def _selected(progress: Progress, unread: "deque[tuple[Blob, Document | None]]") -> list[Candidate]:
    """Takes documents from the unread ones until as many match as may be started."""
    selected: list[Candidate] = []
    while unread and len(selected) < progress.room and progress.counts["read"] < MAX_READ:
        blob, content = unread.popleft()
        progress.counts["read"] += 1
        if content is not None and progress.order.matches(content):
            selected.append(Candidate(blob.name, content))
    return selected


def _read(pool: ThreadPoolExecutor, page: Sequence["Blob"], schema: str) -> Iterator[tuple["Blob", Document | None]]:
    """The documents; None for one that no longer exists or has another schema."""

    def content(blob: "Blob") -> Document | None:
        try:
            document: Document = json.loads(blob.download_as_bytes())
        except (NotFound, ValueError):
            return None
        return document if isinstance(document, dict) and document.get("schema") == schema else None

    return zip(page, pool.map(content, page), strict=True)


def _start(progress: Progress, selected: Sequence[Candidate], *, is_small: bool) -> None:
    """Starts the selected jobs: those together that can share an execution, unless they are few."""
    shareable: list[Candidate] = []
    others: list[Candidate] = []
    for each in selected:
        (shareable if each.may_share(progress.deployment.settings.input_bucket) else others).append(each)
    if is_small:
        progress.counts.update(progress.pool.map(lambda each: _start_alone(progress, each), shareable))
    else:
        _start_together(progress, shareable)
    while others:
        if executions.is_throttled(progress.deployment.settings):
            progress.counts["remaining"] += len(others)
            return
        several, others = others[:CONCURRENCY], others[CONCURRENCY:]
        progress.counts.update(progress.pool.map(lambda each: _start_alone(progress, each), several))


def _start_alone(progress: Progress, candidate: Candidate) -> str:
    """Replays one document, and returns the word under which it is counted."""
    reserved = _reserve(progress, candidate)
    return reserved if isinstance(reserved, str) else _launched(progress, reserved)


def _start_together(progress: Progress, selected: Sequence[Candidate]) -> None:
    """Replays documents with few executions. Once the hour has none left, they wait for a collection."""
    deployment, counts = progress.deployment, progress.counts
    results = list(progress.pool.map(lambda each: _reserve(progress, each), selected))
    counts.update(result for result in results if isinstance(result, str))
    for group in _groups([result for result in results if isinstance(result, Reserved)], deployment.settings):
        if not waiting.is_possible(deployment.settings, group[0].job):
            counts.update(progress.pool.map(lambda each: _launched(progress, each), group))
        elif executions.is_throttled(deployment.settings):
            counts.update(progress.pool.map(lambda each: _postponed(progress, each), group))
        else:
            _launch_together(progress, group)


def _launch_together(progress: Progress, group: Sequence[Reserved]) -> None:
    """Starts one execution; if Workflows refuses it, the jobs' claims wait for the sweep."""
    results = together.launch(progress.deployment, group, progress.receipt, progress.pool)
    for reserved, result in zip(group, results, strict=True):
        if isinstance(result, Exception):
            _log_failure(reserved.job, result)
        progress.counts[FAILED if isinstance(result, Exception) else restart.word(result)] += 1
    started = {result.execution for result in results if isinstance(result, Verdict)}
    progress.counts["executions"] += len(started - {None})


def _groups(reserved: Sequence[Reserved], settings: Settings) -> list[list[Reserved]]:
    """The jobs that may share an execution, up to the members and the bytes of a micro-batch each."""
    groups: list[list[Reserved]] = []
    open_groups: dict[str, tuple[list[Reserved], int]] = {}
    for each in reserved:
        key, size = waiting.group(each.job), each.job.object_input().size
        group, bytes_ = open_groups.get(key, ([], 0))
        if not group or len(group) >= settings.micro_batch_size or bytes_ + size > microbatches.MAX_BYTES:
            group, bytes_ = [], 0
            groups.append(group)
        group.append(each)
        open_groups[key] = group, bytes_ + size
    return groups


def _launched(progress: Progress, reserved: Reserved) -> str:
    return _counted(reserved.job, lambda: restart.word(intake.start(progress.deployment, reserved)))


def _postponed(progress: Progress, reserved: Reserved) -> str:
    due = replace(reserved, job=replace(reserved.job, due=times.timestamp()))
    return _counted(reserved.job, lambda: restart.word(intake.wait(progress.deployment, due)))


def _counted(job: Job, start: Callable[[], str]) -> str:
    """The word under which a job is counted; `failed` if it could not be started, and the others go on."""
    with logs.bound(event_id=job.event_id, job=job.id):
        try:
            return start()
        except Exception as error:  # noqa: BLE001 - see above
            _log_failure(job, error)
            return FAILED


def _log_failure(job: Job, error: Exception) -> None:
    logs.exception("failed", error, code=failure_code(error), job=job.id)


def _reserve(progress: Progress, candidate: Candidate) -> str | Reserved:
    """The job of a document, reopened and claimed, or the word under which it is counted."""
    receipt, content = progress.receipt, candidate.content
    try:
        source = Input.parse(content["input"])
    except MalformedError:  # of a message that was never kept
        logs.warning("cannot be replayed", document=candidate.name)
        return "unreplayable"
    job = Job(
        id=content["job"],
        document=candidate.name.partition("/")[2].removesuffix(".json"),
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=source,
        trace=receipt.trace,
    )
    with logs.bound(event_id=job.event_id, job=job.id):
        try:
            return _reopened(progress.deployment, candidate, job, receipt)
        except Exception as error:  # noqa: BLE001 - the order's other documents go on
            _log_failure(job, error)
            return FAILED


def _reopened(deployment: Deployment, candidate: Candidate, job: Job, receipt: Receipt) -> str | Reserved:
    reopened = outcomes.reopen(deployment.work, job.id, candidate.name, candidate.content)
    if reopened is None:
        return "completed" if outcomes.resume(deployment, job) else "running"
    lost = _lost(deployment, job, reopened, receipt)
    return restart.reserve(deployment, lost, reopened) if lost else "unreplayable"


def _lost(deployment: Deployment, job: Job, reopened: Outcome, receipt: Receipt) -> Lost | None:
    if reopened.argument is None:
        return restart.of_input(deployment, job, job.object_input(), receipt)
    return restart.of_argument(deployment, reopened.argument, receipt)
