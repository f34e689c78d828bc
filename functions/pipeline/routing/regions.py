"""In which order an input's request tries the regions of the GPU service: those that answer before those that do not.

Inputs are spread over the regions by weight: a hash of the job chooses the first one, and the others follow in turn.
A model's own regions keep their order.

A region's circuit is an object of the work bucket, `regions/<region>.json`. It is written when the region begins or
ceases to fail, each time with the object's generation as precondition:

    closed ── a request failed over from the region ──► open ── time is up: one input tries it ──► half open
      ▲                                                  ▲                                            │
      └───────────────────── that input's request succeeds ── or fails, for twice as long ◄───────────┘

Without an object, or where it cannot be read, the circuit is closed.
"""

import functools
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import logs, storage
from pipeline.errors import ThrottledError
from pipeline.jobs.job import Job
from pipeline.kinds import SINGLE
from pipeline.routing import traffic
from pipeline.routing.watched import Watched
from pipeline.settings import Settings
from pipeline.storage import UNAVAILABLE
from pipeline.times import Clock, parse, utc_now

if TYPE_CHECKING:
    from google.cloud.storage import Blob

PERIOD = 10.0  # seconds between two looks at a circuit
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0  # seconds for which a circuit stays open
NO_REGION = "no region of the GPU service answers"
PROBE = 120.0  # seconds in which an input that tries a region should come to an end

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """`until` is when the next input may try the region, in RFC 3339; `opened_by` is a job."""

    state: State = "closed"
    until: str = ""
    pause: float = 0.0
    opened_by: str = ""

    def is_due(self, now: datetime) -> bool:
        """Whether an input may try the region again."""
        return self.state != "closed" and parse(self.until) <= now

    def tried(self, job: str, now: datetime) -> "Circuit":
        """While this job tries the region."""
        until = (now + timedelta(seconds=PROBE)).isoformat()
        return replace(self, state="half_open", until=until, opened_by=job)

    def opened(self, job: str, now: datetime) -> "Circuit | None":
        """After this job's request failed; None if another job was faster."""
        if self.state == "open" and not self.is_due(now):
            return None
        pause = FIRST_PAUSE if self.state == "closed" else min(max(2 * self.pause, FIRST_PAUSE), LONGEST_PAUSE)
        return Circuit("open", (now + timedelta(seconds=pause)).isoformat(), pause, job)


@dataclass(frozen=True, slots=True)
class Order:
    """The regions by their place in the deployment's list; `probe` is one that this input alone tries again."""

    regions: tuple[int, ...]
    probe: int | None = None


def begin(settings: Settings) -> None:
    """Begins to look at the circuits."""
    for region in settings.gpu_regions:
        _watched(settings.work_bucket, region).refresh()


def circuits(settings: Settings) -> list[Circuit]:
    """The circuits of all regions."""
    return [_watched(settings.work_bucket, region).value()[0] for region in settings.gpu_regions]


def ordered(settings: Settings, job: Job, preferred: Sequence[str], clock: Clock = utc_now) -> Job:
    """The job with the order of regions that now promises an answer soonest; `preferred` and errors as in `order`."""
    if job.kind == "timeseries":
        return job
    chosen = order(settings, job.id, preferred, clock, is_reported=job.kind in SINGLE)
    return job if chosen is None else replace(job, regions=chosen.regions, probe=chosen.probe)


def order(
    settings: Settings, job: str, preferred: Sequence[str], clock: Clock = utc_now, *, is_reported: bool = True
) -> Order | None:
    """The order for a job; None if it is that of the deployment.

    Args:
        preferred: the regions of the job's model, the best first; empty for those of the deployment.
        is_reported: whether postprocess will report how the regions answered. A batch, of which it does not, is never
            the one input that tries a region; it uses the region again once the time is up.

    Raises:
        ThrottledError: no region answers at present.
    """
    names = settings.gpu_regions
    if not names:
        return None
    wanted = [names.index(name) for name in preferred if name in names] or _turn(settings, job)
    working, resting, probe = [], [], None
    for index in wanted:
        circuit, _ = _watched(settings.work_bucket, names[index]).value()
        is_due = circuit.is_due(clock())
        if circuit.state == "closed" or (is_due and not is_reported):
            working.append(index)
        elif is_due and probe is None and _win(settings, names[index], job, clock):
            working.append(index)
            probe = index
        else:
            resting.append(index)
    if not working:
        raise ThrottledError(NO_REGION)
    chosen = Order((*working, *resting), probe)
    return None if chosen == Order(tuple(range(len(names)))) else chosen


def _turn(settings: Settings, job: str) -> list[int]:
    """All regions, in turn from the one that a job's hash chooses by weight."""
    ends = list(accumulate(settings.gpu_region_weights or [1] * len(settings.gpu_regions)))
    first = bisect_right(ends, traffic.position("regions", job) * ends[-1])
    return [*range(first, len(ends)), *range(first)]


def failed(answer: Mapping[str, Any]) -> list[int]:
    """The regions, by their places in the deployment's list, in which the request failed before another answered."""
    return _indices(answer.get("failed_regions"))


def unloaded(answer: Mapping[str, Any]) -> list[int]:
    """Those of the failed regions in which only the job's model could not be loaded."""
    return _indices(answer.get("unloaded_regions"))


def _indices(listed: object) -> list[int]:
    return [index for index in listed if type(index) is int] if isinstance(listed, list) else []


def served(settings: Settings, job: Job, failed: Sequence[int]) -> str | None:
    """The region that answered; None if the deployment does not name its regions."""
    tried = _tried(settings, job)
    left = [index for index in tried if index not in failed and index < len(settings.gpu_regions)]
    return settings.gpu_regions[left[0]] if left else None


def report(
    settings: Settings, job: Job, failed: Sequence[int], clock: Clock = utc_now, *, unloaded: Sequence[int] = ()
) -> None:
    """Opens the circuits of the regions that a job's request failed in, and closes that of one that it tried again.

    A failure is logged only: the job has its document.

    Args:
        unloaded: those of the failed regions that lacked only the job's model, and serve others.
    """
    names = settings.gpu_regions
    try:
        for index in failed:
            if index < len(names) and index not in unloaded:
                _open(settings, names[index], job.id, clock)
        if job.probe is not None and (job.probe in unloaded or served(settings, job, failed) == names[job.probe]):
            _close(settings, names[job.probe])
    except UNAVAILABLE as error:
        logs.warning("a region's circuit could not be written", reason=str(error))


def give_back(settings: Settings, job: Job, clock: Clock = utc_now) -> None:
    """Leaves the region that a job was to try again, but which was not started, to the next one."""
    if job.probe is None:
        return
    region = settings.gpu_regions[job.probe]
    try:
        circuit, generation = _read(settings, region)
        if circuit.state == "half_open" and circuit.opened_by == job.id:
            _write(settings, region, replace(circuit, state="open", until=clock().isoformat()), generation)
    except UNAVAILABLE as error:
        logs.warning("a region's circuit could not be written", region=region, reason=str(error))


def _tried(settings: Settings, job: Job) -> Sequence[int]:
    return job.regions or range(len(settings.gpu_regions))


def _close(settings: Settings, region: str) -> None:
    circuit, generation = _read(settings, region)
    if circuit.state != "closed":
        _write(settings, region, Circuit(), generation)


def _win(settings: Settings, region: str, job: str, clock: Clock) -> bool:
    """Whether this job is the one that tries the region."""
    try:
        circuit, generation = _read(settings, region)
        return circuit.is_due(clock()) and _write(settings, region, circuit.tried(job, clock()), generation)
    except UNAVAILABLE as error:
        logs.warning("a region's circuit could not be written", region=region, reason=str(error))
        return False


def _open(settings: Settings, region: str, job: str, clock: Clock) -> None:
    circuit, generation = _read(settings, region)
    if opened := circuit.opened(job, clock()):
        _write(settings, region, opened, generation)


def _read(settings: Settings, region: str) -> tuple[Circuit, int]:
    blob = _blob(settings, region)
    try:
        content = blob.download_as_bytes()
    except NotFound:
        return Circuit(), 0
    try:
        return _parse(content), blob.generation or 0
    except (ValueError, TypeError):
        return Circuit(), blob.generation or 0


def _write(settings: Settings, region: str, circuit: Circuit, generation: int) -> bool:
    """Whether the circuit has not changed since it was read."""
    try:
        storage.put(
            _blob(settings, region), json.dumps(asdict(circuit)), storage.stamp("regions"), generation=generation
        )
    except PreconditionFailed:
        return False
    logs.warning("a region's circuit changed", region=region, state=circuit.state, until=circuit.until)
    return True


def _blob(settings: Settings, region: str) -> "Blob":
    blob: Blob = storage.bucket(settings.work_bucket).blob(f"regions/{region}.json")
    return blob


def _parse(content: bytes) -> Circuit:
    fields = json.loads(content)
    circuit = Circuit(**fields)
    if circuit.state != "closed":
        parse(circuit.until)
    return circuit


@functools.cache
def _watched(bucket: str, region: str) -> Watched[Circuit]:
    return Watched(f"gs://{bucket}/regions/{region}.json", _parse, Circuit(), period=PERIOD)
