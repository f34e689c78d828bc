"""Changes of settings that would save money or time at the measured traffic, each with its arithmetic."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from event_inference.cost.amounts import monthly_bill
from event_inference.cost.bill import Band, Bill, cents, dollars, saving
from event_inference.cost.prices import Prices
from event_inference.cost.scenario import COLLECTED, PATIENT_ORDERS, Gpu, Settings, Traffic
from event_inference.cost.usage import p95

WORTH_USD = Decimal(1)  # a month; less is not worth a change
COLD = 5.0  # seconds of p95 that a warm instance must save
ENOUGH = 100  # inputs, below which a measured rate says little
CHEAPEST = "us-central1"
LARGER_GPU = 3.05  # times the throughput at which an RTX PRO 6000 costs as much per input as an L4


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A change of settings.

    `saves` is per month, negative where the change costs more; `p95` holds the seconds before and after; `lines` the
    resources whose cost changes, in USD before and after; `action` is the command that makes the change. Amounts of
    `lines` and `saves_usd` are those of the lowest price where no source states one.
    """

    name: str
    reason: str
    action: str
    saves: Band
    p95: tuple[float, float]
    lines: Mapping[str, tuple[Decimal, Decimal]]

    @property
    def saves_usd(self) -> Decimal:
        return sum((before - after for before, after in self.lines.values()), Decimal(0))

    @property
    def is_certain(self) -> bool:
        """Whether the change saves money, or costs money, whatever the uncertain prices are."""
        return not self.saves.low < 0 < self.saves.high

    @property
    def effect(self) -> str:
        """What the change saves or costs, for people."""
        low, high = self.saves.low, self.saves.high
        if not self.is_certain:
            return (
                f"saves up to ${cents(high):,} a month or costs up to ${cents(-low):,}, as an uncertain price decides"
            )
        if high <= 0 and low < 0:
            return f"costs {dollars(Band(-high, -low))} a month"
        return f"saves {dollars(self.saves)} a month"


@dataclass(frozen=True, slots=True)
class Measured:
    """A deployment's traffic, as far as it is known.

    Args:
        seen: inputs that the rates were measured on.
        larger_gpu: how many times the throughput of an L4 an RTX PRO 6000 reached, None if not measured.
        on_cpu: seconds that an input takes on an instance without a GPU, None if not measured.
    """

    traffic: Traffic
    settings: Settings
    seen: float
    larger_gpu: float | None = None
    on_cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change to consider: new settings, the command that makes them, and why; `traffic` is what it becomes."""

    name: str
    reason: str
    settings: Settings
    action: str
    for_speed: bool = False
    traffic: Traffic | None = None


def deploy(**variables: str) -> str:
    """The command that deploys with other variables; routes other than gcloud set the same ones."""
    assignments = [f"{name.upper()}={value}" for name, value in variables.items()]
    return " ".join([*assignments, "deploy/gcloud/deploy.sh"])


def recommend(measured: Measured, prices: Prices) -> list[Recommendation]:
    """The changes that are worth it, the largest saving first; none without enough data (see `missing`)."""
    if missing(measured):
        return []
    before = monthly_bill(measured.traffic, measured.settings, prices)
    found = []
    for change in (change for rule in RULES for change in rule(measured)):
        traffic = change.traffic or measured.traffic
        after = monthly_bill(traffic, change.settings, prices)
        seconds = p95(measured.traffic, measured.settings), p95(traffic, change.settings)
        if math.isinf(seconds[1]):  # fewer instances than the inputs need
            continue
        saves = saving(before, after)
        if (saves.low + saves.high) / 2 >= WORTH_USD or (change.for_speed and seconds[0] - seconds[1] >= COLD):
            lines = dict(_differences(before, after))
            found.append(Recommendation(change.name, change.reason, change.action, saves, seconds, lines))
    return sorted(found, key=lambda each: each.saves.low, reverse=True)


def missing(measured: Measured) -> list[str]:
    """What has to be measured before anything can be recommended."""
    if measured.seen < ENOUGH:
        return [f"{ENOUGH} inputs: {measured.seen:.0f} have been measured"]
    return []


def unmeasured(measured: Measured) -> list[str]:
    """What would have to be measured for further changes to be considered."""
    lacks = []
    if measured.settings.gpu != "none" and measured.on_cpu is None:
        lacks.append("without-gpu: the seconds that an input takes on CPUs (einf recommend --on-cpu)")
    if measured.settings.gpu != "none" and measured.larger_gpu is None:
        lacks.append("smaller-gpu, larger-gpu: how many times as fast the larger one is (einf recommend --larger-gpu)")
    return lacks


def _differences(before: Bill, after: Bill) -> Iterator[tuple[str, tuple[Decimal, Decimal]]]:
    for resource in dict.fromkeys(line.price.resource for each in (before, after) for line in each.lines):
        pair = before[resource], after[resource]
        if pair[0] != pair[1]:
            yield resource, pair


def _warm_instance(measured: Measured) -> Iterator[Change]:
    if measured.settings.min_instances == 0 and not measured.settings.max_wait:
        yield Change(
            "warm-instance",
            "Many inputs wait for an instance to start.",
            replace(measured.settings, min_instances=1),
            deploy(min_instances="1"),
            for_speed=True,
        )


def _no_warm_instance(measured: Measured) -> Iterator[Change]:
    if measured.settings.min_instances > 0:
        yield Change(
            "scale-to-zero",
            "Instances are kept while nothing arrives.",
            replace(measured.settings, min_instances=0),
            deploy(min_instances="0"),
        )


def _micro_batches(measured: Measured) -> Iterator[Change]:
    if not measured.settings.max_wait:
        settings = replace(measured.settings, max_wait=60, collect_by="service")
        traffic = replace(measured.traffic, per_collected=COLLECTED, orders=PATIENT_ORDERS)
        reason = "Inputs that share an execution share its steps."
        yield Change("micro-batches", reason, settings, deploy(micro_batching="true"), traffic=traffic)


def _collected_inputs(measured: Measured) -> Iterator[Change]:
    if not measured.settings.max_wait:
        settings = replace(measured.settings, max_wait=3600, collect_by="cheaper", min_instances=0)
        reason = "Inputs that wait for up to an hour are predicted together, and no instance stays awake for the next."
        yield Change("collected-inputs", reason, settings, deploy(max_wait="1h", min_instances="0"))


def _zonal_redundancy(measured: Measured) -> Iterator[Change]:
    if measured.settings.zonal_redundancy:
        yield Change(
            "one-zone",
            "Zonal redundancy reserves a second GPU for the failure of a zone, in which inputs would wait instead.",
            replace(measured.settings, zonal_redundancy=False),
            "deploy/gcloud/deploy.sh, with zonal_redundancy: false in deploy/inventory.yaml",
        )


def _smaller_gpu(measured: Measured) -> Iterator[Change]:
    known = measured.larger_gpu
    if measured.settings.gpu == "nvidia-rtx-pro-6000" and known is not None and known < LARGER_GPU:
        yield _other_gpu("smaller-gpu", "nvidia-l4", measured, known, slower=known)


def _larger_gpu(measured: Measured) -> Iterator[Change]:
    known = measured.larger_gpu
    if measured.settings.gpu == "nvidia-l4" and known is not None and known > LARGER_GPU:
        yield _other_gpu("larger-gpu", "nvidia-rtx-pro-6000", measured, known, slower=1 / known)


def _other_gpu(name: str, gpu: Gpu, measured: Measured, known: float, slower: float) -> Change:
    """The change to a GPU on which everything takes `slower` times as long."""
    traffic = measured.traffic
    return Change(
        name,
        f"An RTX PRO 6000 costs {LARGER_GPU} times as much as an L4 and was {known:.2f} times as fast.",
        replace(measured.settings, gpu=gpu, cpu=0, memory_gib=0),
        deploy(gpu_type=gpu, gpu_cpu="0", gpu_memory=""),
        traffic=replace(
            traffic,
            gpu_base=traffic.gpu_base * slower,
            gpu_each=traffic.gpu_each * slower,
            batch_seconds=traffic.batch_seconds * slower,
        ),
    )


def _more_concurrency(measured: Measured) -> Iterator[Change]:
    if measured.settings.concurrency < 32:
        yield Change(
            "more-concurrency",
            "The service batches concurrent requests, and more of them fit into an instance; watch p95.",
            replace(measured.settings, concurrency=32),
            deploy(gpu_concurrency="32"),
        )


def _batches_by_job(measured: Measured) -> Iterator[Change]:
    if measured.settings.batch_by == "service" and measured.traffic.batches:
        yield Change(
            "batches-by-job",
            "A job ends with its batch; an instance of the service stays awake afterwards.",
            replace(measured.settings, batch_by="job"),
            deploy(job_threshold_records="1"),
        )


def _no_gpu(measured: Measured) -> Iterator[Change]:
    if measured.settings.gpu != "none" and measured.on_cpu is not None:
        traffic = replace(measured.traffic, gpu_base=0, gpu_each=measured.on_cpu, response=measured.on_cpu)
        reason = f"The model takes {measured.on_cpu:.3f} s on a CPU."
        settings = replace(measured.settings, gpu="none", cpu=0, memory_gib=0, zonal_redundancy=False, committed=False)
        yield Change(
            "without-gpu", reason, settings, deploy(gpu_type="none", gpu_cpu="0", gpu_memory=""), traffic=traffic
        )


def _commitment(measured: Measured) -> Iterator[Change]:
    settings = measured.settings
    if settings.min_instances and not settings.committed and not settings.is_billed_by_request:
        yield Change(
            "commitment",
            "An instance runs all month, and its CPUs and memory are cheaper under a commitment; its GPU is not.",
            replace(settings, committed=True),
            "Buy a flexible one-year commitment: https://console.cloud.google.com/billing/commitments",
        )


def _region(measured: Measured) -> Iterator[Change]:
    if measured.settings.region != CHEAPEST:
        reason = "Prices differ between regions; inputs and documents must move too."
        settings = replace(measured.settings, region=CHEAPEST)
        yield Change("region", reason, settings, deploy(region=CHEAPEST))


RULES: tuple[Callable[[Measured], Iterator[Change]], ...] = (
    _warm_instance,
    _no_warm_instance,
    _micro_batches,
    _collected_inputs,
    _zonal_redundancy,
    _smaller_gpu,
    _larger_gpu,
    _more_concurrency,
    _batches_by_job,
    _no_gpu,
    _commitment,
    _region,
)
