"""The metered amounts of a month, and the bill for them."""

from dataclasses import replace
from decimal import Decimal

from event_inference.cost.bill import Band, Bill, bill
from event_inference.cost.prices import Prices
from event_inference.cost.scenario import MONTH, Effort, Settings, Traffic
from event_inference.cost.usage import Usage, collect_by, usage

COMMITTED = "committed 1 year"
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


def monthly_bill(traffic: Traffic, settings: Settings, prices: Prices, used: Usage | None = None) -> Bill:
    """What a month of this traffic costs with these settings.

    Args:
        used: what was used of instances, in place of what the formulas expect.
    """
    return bill(amounts(traffic, settings, used or usage(traffic, settings)), prices, settings.region)


def device_second(settings: Settings, prices: Prices) -> Band:
    """The list price of a second of an instance of the service."""
    one = _instances(replace(settings, committed=False), Usage(service=1.0))
    return bill(one, prices, settings.region).list_band


def amounts(traffic: Traffic, settings: Settings, used: Usage) -> dict[str, Decimal]:
    """The amounts by resource of the price file, followed by its variant where it has several."""
    metered = _instances(settings, used)
    for resource, name in METERED.items():
        metered[resource] = metered.get(resource, 0.0) + _total(traffic, settings, used, name)
    if settings.is_billed_by_request:  # of the service too
        metered["requests"] += used.runs if settings.max_wait else traffic.inputs
    metered |= {"storage": traffic.stored_gb, "image": traffic.image_gb, "scheduler": traffic.scheduled_jobs}
    return {resource: Decimal(repr(amount)) for resource, amount in metered.items()}


def _instances(settings: Settings, used: Usage) -> dict[str, float]:
    """What instances of the service and tasks of the job take; tasks have no zonal redundancy."""
    cpu, memory = settings.machine
    if settings.is_billed_by_request:
        return {
            "instance_cpu": used.job * cpu,
            "instance_memory": used.job * memory,
            "idle_cpu": used.idle * cpu,
            "idle_memory": used.idle * memory,
            "function_cpu": used.service * cpu,
            "function_memory": used.service * memory,
        }
    gpu = {f"gpu {settings.gpu}": used.job}
    service = f"gpu {settings.gpu} zonal" if settings.zonal_redundancy else f"gpu {settings.gpu}"
    gpu[service] = gpu.get(service, 0.0) + used.service
    committed = settings.min_instances * MONTH if settings.committed else 0.0  # paid for, used or not
    listed = used.service + used.job - committed
    parts = {"": listed, f" {COMMITTED}": committed} if committed else {"": listed}
    return {
        **{resource: seconds for resource, seconds in gpu.items() if seconds or resource == service},
        **{f"instance_cpu{variant}": seconds * cpu for variant, seconds in parts.items()},
        **{f"instance_memory{variant}": seconds * memory for variant, seconds in parts.items()},
    }


def _total(traffic: Traffic, settings: Settings, used: Usage, name: str) -> float:
    efforts: list[tuple[float, Effort]] = [(1, traffic.orders)]
    if settings.max_wait:
        by_job = collect_by(traffic, settings) == "job"
        batch = traffic.per_batch_by_job if by_job else traffic.per_batch
        efforts += [(traffic.inputs, traffic.per_collected), (used.runs, batch)]
    else:
        efforts.append((traffic.inputs, traffic.single))
    return sum(count * float(getattr(effort, name)) for count, effort in efforts)
