"""The seconds for which instances of the GPU service and tasks of the GPU job are billed in a month.

With a GPU, an instance of the service is billed as long as it exists, otherwise while it handles requests. A task of
the job is billed from its start to its end, with or without a GPU.
"""

import math
from dataclasses import dataclass
from typing import Literal

from event_inference.cost import load
from event_inference.cost.scenario import MONTH, Settings, Traffic

JOB_MINIMUM = 60.0  # seconds that a task of a job is billed at least
ORDERED_EVERY = 60.0  # seconds between two orders to collect, which start what is due before the next one
BILLED_UNIT = 0.1  # seconds to which Cloud Run rounds up
REQUEST_BILLING = 1.32  # times the price of a second of 4 CPUs and 8 GiB that are billed as long as they exist


@dataclass(frozen=True, slots=True)
class Usage:
    """Billed seconds: of the service, of its minimum instances while they are idle at a lower price, of the job.

    `runs` is how often collected inputs were predicted on.
    """

    service: float = 0.0
    idle: float = 0.0
    job: float = 0.0
    runs: float = 0.0


def usage(traffic: Traffic, settings: Settings) -> Usage:
    """What a month of this traffic takes with these settings."""
    singles = job = 0.0
    if not settings.max_wait:
        singles = _at_once(traffic, settings)
    elif collect_by(traffic, settings) == "service":
        singles = _collected(traffic, settings)
    else:
        job = runs(traffic, settings) * billed_task(run_seconds(traffic, settings))
    kept = settings.min_instances * MONTH
    if settings.batch_by == "job":
        job += _batches_by_job(traffic, settings)
        service = singles
    else:
        service = singles + _batches_by_service(traffic, settings, singles)
    collections = runs(traffic, settings) if settings.max_wait else 0.0
    if settings.is_billed_by_request:
        return Usage(service, max(0.0, kept - service), job, collections)
    return Usage(max(kept, service), 0.0, job, collections)


def collect_by(traffic: Traffic, settings: Settings) -> Literal["service", "job"]:
    """What runs collected inputs: the setting, or whichever costs less."""
    if settings.collect_by != "cheaper":
        return settings.collect_by
    if settings.min_instances:
        return "service"
    by_job = runs(traffic, settings) * billed_task(run_seconds(traffic, settings))
    price = REQUEST_BILLING if settings.is_billed_by_request else 1.0
    return "service" if _collected(traffic, settings) * price <= by_job else "job"


def runs(traffic: Traffic, settings: Settings) -> float:
    """Runs of collected inputs per month."""
    return MONTH / _between_runs(traffic, settings) if traffic.inputs else 0.0


def run_seconds(traffic: Traffic, settings: Settings) -> float:
    """Seconds of a task that runs what was collected."""
    return settings.job_start + _work(traffic, settings)


def billed_task(seconds: float) -> float:
    return max(JOB_MINIMUM, math.ceil(round(seconds / BILLED_UNIT, 6)) * BILLED_UNIT)


def p95(traffic: Traffic, settings: Settings) -> float:
    """Seconds within which 95 % of inputs are answered: a cold start included once more than 5 % meet one.

    Infinite if they arrive faster than the most instances answer them.
    """
    gpu = load.gpu_seconds(traffic.rate, traffic.gpu_base, traffic.gpu_each)
    if max(traffic.rate * gpu, traffic.rate * traffic.response / settings.concurrency) >= settings.max_instances:
        return math.inf
    if settings.max_wait:
        start = settings.job_start if collect_by(traffic, settings) == "job" else settings.start
        start = 0.0 if settings.min_instances and start == settings.start else start
        return _waited(traffic, settings) + start + traffic.response
    cold = 0.0 if settings.min_instances else load.cold_share(traffic.rate, settings.idle, settings.start)
    return traffic.response + (settings.start if cold > 0.05 else 0.0)


def _waited(traffic: Traffic, settings: Settings) -> float:
    """Seconds that 95 % wait at most: the first input of a run waits for all of max_wait, others for a part."""
    first = 1 / (1 + traffic.rate * settings.max_wait)
    return settings.max_wait if first >= 0.05 else settings.max_wait * 0.95 / (1 - first)


def _between_runs(traffic: Traffic, settings: Settings) -> float:
    """Seconds from one run to the next: the first input starts the wait, and those that follow join it.

    An order starts what would be due before the next one, so the wait counts from the order after the first input.
    """
    until_order = ORDERED_EVERY / -math.expm1(-traffic.rate * ORDERED_EVERY)  # after the first input of a run
    return max(settings.max_wait, ORDERED_EVERY) - ORDERED_EVERY + until_order


def _work(traffic: Traffic, settings: Settings) -> float:
    """Seconds of the device for the inputs of one run, on average."""
    if not traffic.inputs:
        return 0.0
    return traffic.gpu_base + traffic.rate * _between_runs(traffic, settings) * traffic.gpu_each


def _at_once(traffic: Traffic, settings: Settings) -> float:
    """Seconds of the service for inputs that each have an execution."""
    gpu = load.gpu_seconds(traffic.rate, traffic.gpu_base, traffic.gpu_each)
    needed = min(load.instances(traffic.rate, traffic.response, settings.concurrency, gpu), settings.max_instances)
    if settings.is_billed_by_request:
        cold = 0.0 if settings.min_instances else load.cold_share(traffic.rate, settings.idle, settings.start)
        return load.busy(traffic.rate, traffic.response, needed) * MONTH + traffic.inputs * cold * settings.start
    if needed > max(1, settings.min_instances):
        return needed * MONTH
    return load.awake_share(traffic.rate, settings.idle, settings.start) * MONTH


def _collected(traffic: Traffic, settings: Settings) -> float:
    """Seconds of the service for collected inputs, beyond those of its minimum instances.

    Runs are `max_wait` and the time until the next input apart. One that follows before the instance ends adds the
    time between them, any other a start and the idle time.
    """
    if not traffic.inputs:
        return 0.0
    work, every = _work(traffic, settings), _between_runs(traffic, settings) - 1 / traffic.rate
    if settings.is_billed_by_request:
        kept = math.exp(-traffic.rate * max(0.0, settings.idle - every))  # the chance of a cold start
        return runs(traffic, settings) * (work + (0.0 if settings.min_instances else kept * settings.start))
    if settings.min_instances:
        return 0.0
    alone = settings.start + work + settings.idle
    if every >= settings.idle:
        return runs(traffic, settings) * alone
    within = settings.idle - every  # for the next input, which keeps the instance
    missed = math.exp(-traffic.rate * within)
    between = every * (1 - missed) + (1 - missed * (1 + traffic.rate * within)) / traffic.rate
    return min(MONTH, runs(traffic, settings) * (between + missed * alone))


def _batches_by_job(traffic: Traffic, settings: Settings) -> float:
    task = settings.job_start + traffic.batch_seconds / settings.job_tasks
    return traffic.batches * settings.job_tasks * billed_task(task)


def _batches_by_service(traffic: Traffic, settings: Settings, singles: float) -> float:
    """Seconds that batches add to those of other inputs, at whose time an instance may be awake anyway."""
    if settings.is_billed_by_request:
        return traffic.batches * (traffic.batch_seconds + (0.0 if settings.min_instances else settings.start))
    asleep = 1 - min(1.0, max(singles, settings.min_instances * MONTH) / MONTH)
    return traffic.batches * asleep * (settings.start + traffic.batch_seconds + settings.idle)
