"""Chooses what runs the inputs that have waited: the GPU service or the GPU job, whichever is billed for less.

The same load as that of the cost model (docs/cost.md), for one run at the rate of the last hour; a test compares them.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline import logs
from pipeline.jobs import executions
from pipeline.jobs.job import Engine
from pipeline.kinds import SINGLE
from pipeline.settings import Settings
from pipeline.storage import UNAVAILABLE

IDLE = 600.0  # seconds that an instance of the service lives after its last request
START = 20.0  # seconds until it answers the first one
JOB_START = 30.0  # seconds until a task of the job reads its first shard
JOB_MINIMUM = 60.0  # seconds for which a task is billed at least
REQUEST_BILLING = 1.32  # times the price of a second, where the service is billed by request: without a GPU
PERIOD = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Run:
    """Inputs to predict on together.

    Args:
        work: seconds that they keep a device busy.
        wait: seconds that an input may wait, after which the next run follows.
        inputs: how many there are, the first of which has waited longest.
    """

    work: float
    wait: float
    inputs: int

    @property
    def until_next(self) -> float:
        """Seconds until the next run, if inputs arrive as they did for this one."""
        return self.wait + self.wait / (self.inputs - 1) if self.inputs > 1 else math.inf


def cheaper(run: Run, rate: float, settings: Settings) -> Engine:
    """What is billed for less.

    Args:
        rate: inputs per second that the service gets at once, which may keep an instance awake anyway.
    """
    if settings.min_instances:
        return "service"
    asleep = math.exp(-rate * IDLE)
    if settings.gpu_type == "none":
        by_service = REQUEST_BILLING * (run.work + asleep * START)
    else:
        by_service = asleep * min(run.until_next, START + run.work + IDLE)
    return "service" if by_service <= max(JOB_MINIMUM, JOB_START + run.work) else "job"


def rate(settings: Settings, now: datetime) -> float:
    """Texts and images per second that had executions of their own in the last hour; 0 if that cannot be read."""
    try:
        started = [begun for kind in SINGLE for begun in executions.started(settings, kind, now - PERIOD)]
    except UNAVAILABLE as error:
        logs.warning("the rate of inputs is unknown", reason=str(error))
        return 0.0
    if not started:
        return 0.0
    is_cut = len(started) >= executions.MAX_LISTED
    span = now - min(started) if is_cut else PERIOD
    return len(started) / max(span.total_seconds(), 1.0)
