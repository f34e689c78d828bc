"""What-if: traffic and the settings of a deployment, as amounts per month and the bill for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from event_inference.cost import load
from event_inference.cost.bill import Bill, bill
from event_inference.cost.prices import Prices

HOURS = 730  # of a month, as clouds count it
MONTH = HOURS * 3600.0  # in seconds
JOB_MINIMUM = 60.0  # seconds that an instance of a job is billed at least
BILLED_UNIT = 0.1  # seconds to which Cloud Run rounds up


@dataclass(frozen=True, slots=True)
class Effort:
    """What an input, or a batch, takes outside the GPU.

    `vcpu_seconds` and `gib_seconds` are those of the functions, whose calls are `requests`.
    """

    steps: float = 0.0
    requests: float = 0.0
    vcpu_seconds: float = 0.0
    gib_seconds: float = 0.0
    class_a: float = 0.0
    class_b: float = 0.0
    pubsub_bytes: float = 0.0
    log_bytes: float = 0.0


# A small text that arrives alone. `make benchmark-pipeline` counts its steps and operations; its times and bytes are
# assumptions: two calls of 0.1 s on 1 vCPU with 0.5 and 1 GiB, 4 KiB of messages and 8 KiB of logs.
SINGLE = Effort(
    steps=7, requests=2, vcpu_seconds=0.2, gib_seconds=0.15, class_a=5, class_b=2, pubsub_bytes=4096, log_bytes=8192
)


# An input of a micro-batch, and the micro-batch itself (200 texts: `python -m benchmarks.pipeline.together`).
COLLECTED = Effort(vcpu_seconds=0.05, gib_seconds=0.04, class_a=5, class_b=3, pubsub_bytes=4096, log_bytes=8192)
BATCH = Effort(steps=54, requests=3, vcpu_seconds=1, gib_seconds=1, class_a=5, class_b=5, log_bytes=8192)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment on which its cost depends. Times are in seconds.

    With `collect_every` 0, each input starts an execution. Otherwise inputs wait for up to that long and are predicted
    together, by the service or by the GPU job.
    """

    region: str = "us-central1"
    gpu: Literal["nvidia-l4", "nvidia-rtx-pro-6000", "none"] = "nvidia-l4"
    zonal_redundancy: bool = False
    committed: bool = False
    cpu: float = 4
    memory_gib: float = 16
    min_instances: int = 0
    max_instances: int = 2
    concurrency: int = 32
    idle: float = 600.0
    start: float = 20.0
    collect_every: float = 0.0
    collect_by: Literal["service", "job"] = "service"
    batch_by: Literal["service", "job"] = "job"
    job_tasks: int = 2
    job_start: float = 30.0

    @property
    def variants(self) -> Mapping[str, str]:
        committed = "committed 1 year" if self.committed else ""
        gpu = f"{self.gpu} zonal" if self.zonal_redundancy else self.gpu
        return {"gpu": gpu, "instance_cpu": committed, "instance_memory": committed}


@dataclass(frozen=True, slots=True)
class Traffic:
    """A month's inputs, which arrive at random, and what each takes.

    Args:
        gpu_base: seconds that the device takes per batch, whatever its size.
        gpu_each: seconds that it takes in addition per input.
        per_batch: what a collected batch takes, in addition to `per_collected` for each of its inputs.
        batches, batch_seconds: large batches per month, and the seconds of one device that each keeps busy.
    """

    inputs: float
    gpu_base: float = 0.006
    gpu_each: float = 0.0007
    response: float = 0.05
    batches: float = 0.0
    batch_seconds: float = 0.0
    single: Effort = SINGLE
    per_collected: Effort = COLLECTED
    per_batch: Effort = BATCH
    stored_gb: float = 1.0
    image_gb: float = 5.0
    scheduled_jobs: float = 1.0

    @property
    def rate(self) -> float:
        """Inputs per second."""
        return self.inputs / MONTH


def monthly_bill(traffic: Traffic, settings: Settings, prices: Prices) -> Bill:
    """What a month of this traffic costs with these settings."""
    return bill(amounts(traffic, settings), prices, settings.region, settings.variants)


def amounts(traffic: Traffic, settings: Settings) -> dict[str, Decimal]:
    """The metered amounts of a month, by resource of the price file."""
    awake = awake_seconds(traffic, settings)
    if settings.collect_every:
        batches = _runs(traffic.rate, settings.collect_every)
        efforts = [(traffic.inputs, traffic.per_collected), (batches, traffic.per_batch)]
    else:
        efforts = [(traffic.inputs, traffic.single)]
    metered = {
        **({} if settings.gpu == "none" else {"gpu": awake}),
        "instance_cpu": awake * settings.cpu,
        "instance_memory": awake * settings.memory_gib,
        **{resource: _total(efforts, name) for resource, name in METERED.items()},
        "storage": traffic.stored_gb,
        "image": traffic.image_gb,
        "scheduler": traffic.scheduled_jobs,
    }
    return {resource: Decimal(repr(amount)) for resource, amount in metered.items()}


METERED = {
    "workflow_steps": "steps",
    "requests": "requests",
    "function_cpu": "vcpu_seconds",
    "function_memory": "gib_seconds",
    "storage_class_a": "class_a",
    "storage_class_b": "class_b",
    "pubsub": "pubsub_bytes",
    "logs": "log_bytes",
}


def awake_seconds(traffic: Traffic, settings: Settings) -> float:
    """Seconds per month that instances of the GPU service or job are billed."""
    return _for_singles(traffic, settings) + _for_batches(traffic, settings)


def _for_batches(traffic: Traffic, settings: Settings) -> float:
    if settings.batch_by == "job":
        task = settings.job_start + traffic.batch_seconds / settings.job_tasks
        return traffic.batches * settings.job_tasks * _billed_task(task)
    return traffic.batches * (settings.start + traffic.batch_seconds + settings.idle)


def _for_singles(traffic: Traffic, settings: Settings) -> float:
    if settings.collect_every and settings.collect_by == "job":
        return _job_seconds(traffic, settings)
    always = settings.min_instances * MONTH
    if settings.collect_every:
        return max(always, min(_collected_seconds(traffic, settings), MONTH))
    gpu = load.gpu_seconds(traffic.rate, traffic.gpu_base, traffic.gpu_each)
    needed = load.instances(traffic.rate, traffic.response, settings.concurrency, gpu, settings.min_instances)
    if needed > max(1, settings.min_instances):
        return needed * MONTH
    return max(always, load.awake_share(traffic.rate, settings.idle, settings.start) * MONTH)


def p95(traffic: Traffic, settings: Settings) -> float:
    """Seconds within which 95 % of inputs are answered: a cold start included once more than 5 % meet one."""
    if settings.collect_every:
        start = 0.0 if settings.min_instances and settings.collect_by == "service" else settings.start
        return 0.95 * settings.collect_every + start + traffic.response
    cold = 0.0 if settings.min_instances else load.cold_share(traffic.rate, settings.idle, settings.start)
    return traffic.response + (settings.start if cold > 0.05 else 0.0)


def _collected_seconds(traffic: Traffic, settings: Settings) -> float:
    """Seconds that an instance of the service is awake for collections, which come at multiples of an interval.

    One that follows before the instance ends costs the time between them, any other a start and the idle time.
    """
    runs, every = _runs(traffic.rate, settings.collect_every), settings.collect_every
    if not runs:
        return 0.0
    nothing = math.exp(-traffic.rate * every)  # the chance that an interval brings no input
    kept = math.floor(settings.idle / every)
    between = sum(count * every * (1 - nothing) * nothing ** (count - 1) for count in range(1, kept + 1))
    alone = settings.start + traffic.gpu_base + traffic.inputs / runs * traffic.gpu_each + settings.idle
    return runs * (between + nothing**kept * alone)


def _job_seconds(traffic: Traffic, settings: Settings) -> float:
    runs = _runs(traffic.rate, settings.collect_every)
    if not runs:
        return 0.0
    return runs * _billed_task(settings.job_start + traffic.gpu_base + traffic.inputs / runs * traffic.gpu_each)


def _billed_task(seconds: float) -> float:
    return max(JOB_MINIMUM, math.ceil(seconds / BILLED_UNIT) * BILLED_UNIT)


def _runs(rate: float, every: float) -> float:
    """Collections per month that find at least one input."""
    return MONTH / every * -math.expm1(-rate * every)


def _total(efforts: list[tuple[float, Effort]], name: str) -> float:
    return sum(count * float(getattr(effort, name)) for count, effort in efforts)
