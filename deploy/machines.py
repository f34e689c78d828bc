"""The CPUs, memory, price and wheels of an instance by gpu_type, from machines.yaml."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "machines.yaml"


class MachineError(Exception):
    """Cloud Run refuses this combination of GPU, CPUs and memory."""


def machines() -> dict[str, dict[str, Any]]:
    """What each gpu_type needs."""
    return dict(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def complete(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that machines.yaml completes, and what follows from gpu_type.

    Raises:
        MachineError: the GPU does not come with so few or so many CPUs, or with so little memory.
    """
    name = chosen["gpu_type"]
    machine = machines()[name]
    cpu, memory = int(chosen["gpu_cpu"]) or machine["cpu"], chosen["gpu_memory"] or machine["memory"]
    if cpu not in machine["cpus"]:
        raise MachineError(f"gpu_cpu is {cpu}; with gpu_type {name} it must be one of {machine['cpus']}.")
    gib = int(memory.removesuffix("Gi"))
    if gib < machine["least_gib"]:
        raise MachineError(
            f"gpu_memory is {memory}; with gpu_type {name} it must be at least {machine['least_gib']}Gi."
        )
    with_gpu = name != "none"
    price = Decimal(str(chosen["gpu_usd_per_second"])) or _price(machine["prices"], cpu, gib)
    return {
        "gpu_cpu": cpu,
        "gpu_memory": memory,
        "gpu_usd_per_second": f"{price.normalize():f}",
        "gpu_required": "1" if with_gpu else "0",
        "cpu_idle": not with_gpu,
        "wheels": machine["wheels"],
    }


def _price(prices: Mapping[str, float], cpu: int, gib: int) -> Decimal:
    gpu, per_cpu, per_gib = (Decimal(str(prices[name])) for name in ("gpu", "cpu", "gib"))
    return gpu + cpu * per_cpu + gib * per_gib
