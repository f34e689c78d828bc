"""Starts runs of the inputs that may wait: once one of a group is due, all of the group that wait."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from messaging import engines, lanes, together
from messaging.engines import Run
from messaging.lanes import Lanes
from pipeline import logs, waiting
from pipeline.deployment import Deployment
from pipeline.errors import InProgressError
from pipeline.inputs import microbatches
from pipeline.inputs.events import Receipt
from pipeline.intake import Reserved
from pipeline.jobs import batches
from pipeline.jobs.claims import WAITING, Claims
from pipeline.jobs.job import Engine, Job, on_endpoint
from pipeline.routing import choice
from pipeline.settings import Settings
from pipeline.verdicts import Verdict
from pipeline.waiting import Note

INTERVAL = timedelta(minutes=1)  # between two orders to collect: what is due before the next one is started
MAX_NOTES = 20_000  # listed at a time
MAX_MEMBERS = 1000  # of a run, which preprocess and postprocess handle in one call each


@dataclass(frozen=True, slots=True)
class Member:
    """An input of a run: its note and its claim, which has been taken over."""

    note: Note
    reserved: Reserved

    @property
    def job(self) -> Job:
        return self.reserved.job


def look(deployment: Deployment, held: Lanes, now: datetime) -> list[Note]:
    """The notes on inputs in the collection's lanes, which it takes if one is due."""
    if not any(_is_due(deployment, prefix, now) for prefix in (waiting.FOLDER, waiting.BEYOND)):
        return []
    held.take()
    if not held.held:
        return []
    prefixes = (waiting.FOLDER, waiting.BEYOND) if deployment.settings.tenants else (waiting.FOLDER,)
    limit = listed(len(held.held))
    notes = {note.name: note for prefix in prefixes for note in waiting.notes(deployment.work, limit, prefix)}
    return [note for note in notes.values() if lanes.of(note.job) in held.held]


def _is_due(deployment: Deployment, prefix: str, now: datetime) -> bool:
    """Whether the first input with this prefix is due; without tenants, none is beyond its share."""
    if prefix == waiting.BEYOND and not deployment.settings.tenants:
        return False
    first = next(waiting.notes(deployment.work, 1, prefix), None)
    return first is not None and first.due <= now + INTERVAL


def listed(count: int) -> int:
    """How many notes are listed for so many lanes: those of several runs, or for few lanes those of one."""
    return max(MAX_NOTES, MAX_MEMBERS * lanes.COUNT // count)


def start(
    deployment: Deployment,
    planned: Sequence[Note],
    rate: float,
    receipt: Receipt,
    counts: Counter[str],
    pool: ThreadPoolExecutor,
) -> tuple[int, list[Exception]]:
    """Starts a planned run; safe to repeat and to run concurrently.

    Args:
        rate: of the inputs that the service gets at once, as for `engines.cheaper`.

    Returns:
        How many of its inputs no longer wait, and the failures of others, which the next collection repeats.
    """
    id = uuid.uuid4().hex
    members, outdated, failures = _taken_up(deployment, planned, id, pool)
    settled = outdated
    parts = list(_parts(members))
    for part in parts:
        jobs = [member.job for member in part]
        engine = _engine(deployment.settings, jobs, rate)
        reserved = [member.reserved for member in part]
        results = together.launch(deployment, reserved, receipt, pool, engine, id if len(parts) == 1 else None)
        failures += [result for result in results if isinstance(result, Exception)]
        settled += _report(deployment, part, results, counts, pool)
    return settled, failures


def plan(notes: Iterable[Note], now: datetime) -> list[list[Note]]:
    """The runs to start: of each group with an input that is due, all inputs, those due first before all others.

    Inputs beyond their tenants' shares come last, and tenants take turns among them.
    """
    groups: dict[str, list[Note]] = {}
    for note in notes:
        groups.setdefault(note.group, []).append(note)
    return [
        group[begin : begin + MAX_MEMBERS]
        for group in map(_in_turns, groups.values())
        if min(note.due for note in group) <= now + INTERVAL
        for begin in range(0, len(group), MAX_MEMBERS)
    ]


def _in_turns(group: Sequence[Note]) -> list[Note]:
    """The notes in the given order, except that tenants take turns in those beyond their shares."""
    turns: Counter[str] = Counter()
    ordered = [note for note in group if not note.is_beyond_share]
    beyond = [note for note in group if note.is_beyond_share]
    taken = []
    for note in beyond:
        taken.append((turns[note.tenant], note))
        turns[note.tenant] += 1
    return ordered + [note for _, note in sorted(taken, key=lambda turn: turn[0])]


def _engine(settings: Settings, members: Sequence[Job], rate: float) -> Engine:
    """What runs the members.

    The service, which answers sooner, runs what waits only because no execution was left; and an experiment, since it
    falls back to the stable version where it lacks the candidate.
    """
    planned = run(settings, members)
    if not planned.wait or any(member.model and "experiment" in member.model for member in members):
        return "service"
    return engines.cheaper(planned, rate, settings)


def run(settings: Settings, members: Sequence[Job]) -> Run:
    """What an engine is chosen for."""
    if members[0].kind == "image":
        work = len(members) / batches.IMAGES_PER_SECOND
    else:
        work = sum(member.object_input().size for member in members) / batches.TEXT_BYTES_PER_SECOND
    return Run(work, waiting.seconds(settings, members[0]), len(members))


def _taken_up(
    deployment: Deployment, planned: Sequence[Note], id: str, pool: ThreadPoolExecutor
) -> tuple[list[Member], int, list[Exception]]:
    """The inputs whose claims could be taken over, how many no longer waited, and the failures of others."""

    def take_up(note: Note) -> Member | Exception | Literal["outdated"] | None:
        try:
            return _take_up(deployment, note, id)
        except InProgressError:  # another handler was faster
            return None
        except Exception as error:  # noqa: BLE001 - the run's other inputs go on
            return error

    results = list(pool.map(take_up, planned))
    members = [result for result in results if isinstance(result, Member)]
    failures = [result for result in results if isinstance(result, Exception)]
    return members, results.count("outdated"), failures


def _take_up(deployment: Deployment, note: Note, id: str) -> Member | Literal["outdated"] | None:
    """The input if it still waits, with a claim that names the run.

    A note on one that no longer waits is deleted, unless its handler is at work.
    """
    claims = Claims(deployment.work, deployment.settings.claim_lease)
    claim = claims.read(note.job)
    if claim is None or claim.is_taken_in:
        waiting.forget(deployment.work, note)
        return "outdated"
    if claim.state != WAITING or claim.due is None:  # a handler is at work, or failed before it knew the kind
        return None
    job = replace(Job.parse(claim.argument), is_beyond_share=False)  # its turn has come
    job = choice.kept(deployment.settings, job, job.model)
    return Member(note, Reserved(job, claims.take_over(claim, job, id)))


def _parts(members: Sequence[Member]) -> Iterator[list[Member]]:
    """The members of a run, up to the bytes of a micro-batch each.

    Those that have got another version than the one that they waited for, since its experiment has ended, run apart.
    """
    part: list[Member] = []
    size = 0
    for member in sorted(members, key=lambda member: waiting.group(member.job)):
        bytes_ = member.job.object_input().size
        if part and (size + bytes_ > microbatches.MAX_BYTES or not _share(part[0].job, member.job)):
            yield part
            part, size = [], 0
        part.append(member)
        size += bytes_
    if part:
        yield part


def _share(job: Job, other: Job) -> bool:
    return not on_endpoint(job.model) and waiting.group(job) == waiting.group(other)


def _report(
    deployment: Deployment,
    part: Sequence[Member],
    results: Sequence[Verdict | Exception],
    counts: Counter[str],
    pool: ThreadPoolExecutor,
) -> int:
    """Counts and logs the results, and deletes the notes of what was started; how many that were."""
    decided = [(member, result) for member, result in zip(part, results, strict=True) if isinstance(result, Verdict)]
    counts["executions"] += len({result.execution for _, result in decided} - {None})
    for member, result in decided:
        counts[result.word] += 1
        logs.info(result.word, event_id=member.job.event_id, due=member.job.due, **result.fields())
    done = [member.note for member, result in decided if result.word != "throttled" and not result.is_waiting]
    list(pool.map(lambda note: waiting.forget(deployment.work, note), done))
    return len(done)
