"""What-if: a month's traffic and the settings of a deployment on which its cost depends."""

from dataclasses import dataclass
from typing import Literal

Gpu = Literal["nvidia-l4", "nvidia-rtx-pro-6000", "none"]
Engine = Literal["service", "job"]
HOURS = 730  # of a month, as clouds count it
MONTH = HOURS * 3600.0  # in seconds
MACHINES = {"none": (4, 8), "nvidia-l4": (4, 16), "nvidia-rtx-pro-6000": (20, 80)}  # CPUs and GiB by type of GPU


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


# An input of a micro-batch, and the micro-batch itself (200 texts: `python -m benchmarks.pipeline.together`). An input
# with `max_wait` has a call of its own, and its waiting is written down and taken up again.
COLLECTED = Effort(vcpu_seconds=0.05, gib_seconds=0.04, class_a=5, class_b=3, pubsub_bytes=4096, log_bytes=8192)
WAITED = Effort(
    requests=1, vcpu_seconds=0.15, gib_seconds=0.09, class_a=7, class_b=5, pubsub_bytes=4096, log_bytes=8192
)
BATCH = Effort(steps=39, requests=3, vcpu_seconds=1, gib_seconds=1, class_a=5, class_b=5, log_bytes=8192)
BATCH_BY_JOB = Effort(steps=62, requests=5, vcpu_seconds=1.2, gib_seconds=1.2, class_a=5, class_b=5, log_bytes=8192)

# An order to collect every minute of a month, which finds nothing that waits. With micro-batches, each waits two
# seconds for the first upload.
ORDERS = Effort(requests=60 * HOURS, vcpu_seconds=6 * HOURS, gib_seconds=3 * HOURS, class_a=60 * HOURS)
PATIENT_ORDERS = Effort(requests=60 * HOURS, vcpu_seconds=126 * HOURS, gib_seconds=63 * HOURS, class_a=60 * HOURS)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment on which its cost depends. Times are in seconds.

    With `max_wait` 0, each input starts an execution. Otherwise inputs wait for up to that long and are predicted
    together, by the service or by the GPU job. `cpu` and `memory_gib` are what the type of GPU needs if they are 0.
    """

    region: str = "us-central1"
    gpu: Gpu = "nvidia-l4"
    zonal_redundancy: bool = False
    committed: bool = False
    cpu: float = 0
    memory_gib: float = 0
    min_instances: int = 0
    max_instances: int = 2
    concurrency: int = 32
    idle: float = 600.0
    start: float = 20.0
    max_wait: float = 0.0
    collect_by: Literal["cheaper", "service", "job"] = "cheaper"
    batch_by: Engine = "job"
    job_tasks: int = 2
    job_start: float = 30.0

    @property
    def machine(self) -> tuple[float, float]:
        """CPUs and GiB of an instance."""
        cpu, memory_gib = MACHINES[self.gpu]
        return self.cpu or cpu, self.memory_gib or memory_gib

    @property
    def is_billed_by_request(self) -> bool:
        """Whether instances of the service are billed while they handle requests, and not as long as they exist."""
        return self.gpu == "none"


@dataclass(frozen=True, slots=True)
class Traffic:
    """A month's inputs, which arrive at random, and what each takes.

    Args:
        gpu_base: seconds that the device takes per batch, whatever its size.
        gpu_each: seconds that it takes in addition per input.
        per_batch, per_batch_by_job: what a collected batch takes, in addition to `per_collected` for each of its
            inputs, where the service or the job runs it.
        orders: what the scheduled orders take in a month.
        batches, batch_seconds: large batches per month, and the seconds of one device that each keeps busy.
    """

    inputs: float
    gpu_base: float = 0.006
    gpu_each: float = 0.0007
    response: float = 0.05
    batches: float = 0.0
    batch_seconds: float = 0.0
    single: Effort = SINGLE
    per_collected: Effort = WAITED
    per_batch: Effort = BATCH
    per_batch_by_job: Effort = BATCH_BY_JOB
    stored_gb: float = 1.0
    image_gb: float = 5.0
    scheduled_jobs: float = 3.0
    orders: Effort = ORDERS

    @property
    def rate(self) -> float:
        """Inputs per second."""
        return self.inputs / MONTH
