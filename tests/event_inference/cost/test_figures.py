"""Prices that stand elsewhere in this project are those of the price file."""

import re
from decimal import Decimal
from pathlib import Path

import yaml

from event_inference.cost.prices import published
from event_inference.cost.scenario import MACHINES
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
TERRAFORM = ROOT / "deploy" / "terraform"


def price(resource: str, variant: str = "") -> Decimal:
    usd = published().of(resource, "us-central1", variant).usd
    assert usd is not None
    return usd


def instance_second(cpu: int, gib: int, gpu: str = "nvidia-l4") -> Decimal:
    return price("gpu", gpu) + cpu * price("instance_cpu") + gib * price("instance_memory")


def test_the_prices_of_machines():
    machines = yaml.safe_load((ROOT / "deploy" / "machines.yaml").read_text())
    for gpu, machine in machines.items():
        given = {name: Decimal(str(usd)) for name, usd in machine["prices"].items()}
        cpu, gib = ("function_cpu", "function_memory") if gpu == "none" else ("instance_cpu", "instance_memory")
        assert given == {"gpu": price("gpu", gpu) if gpu != "none" else 0, "cpu": price(cpu), "gib": price(gib)}


def test_the_machines_of_the_cost_model():
    machines = yaml.safe_load((ROOT / "deploy" / "machines.yaml").read_text())
    given = {gpu: (each["cpu"], int(each["memory"].removesuffix("Gi"))) for gpu, each in machines.items()}
    assert given == MACHINES


def test_the_default_price_of_a_device_second():
    l4 = instance_second(4, 16)
    page = (ROOT / "docs" / "configuration.md").read_text()
    documented = re.search(r"`GPU_USD_PER_SECOND` \| postprocess \| ([0-9.]+)", page)
    assert documented
    assert Decimal(str(Settings.__dataclass_fields__["gpu_usd_per_second"].default)) == l4
    assert Decimal(documented[1]) == l4


def test_the_price_of_the_instances_of_the_high_performance_example():
    example = (TERRAFORM / "high-performance.tfvars").read_text()
    values = dict(re.findall(r"^(\w+) += \"?([0-9.]+)", example, re.MULTILINE))
    second = instance_second(int(values["gpu_cpu"]), int(values["gpu_memory"]))
    dollars = re.search(r"(\d+) dollars a day", example)
    assert dollars
    assert int(dollars[1]) == round(second * 86_400)
