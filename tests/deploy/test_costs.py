"""The documented costs follow from the prices of deploy/machines.yaml and the measurements in benchmarks/results."""

import json
from pathlib import Path

import pytest

from deploy import inventory

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deployment.md").read_text()
MEASURED = json.loads((ROOT / "benchmarks/results/2026-11-21-serving.json").read_text())
IDLE_SECONDS = 600  # that a GPU instance lives after its last request


def per_second(**chosen: object) -> float:
    return float(inventory.settings({"project_id": "my-project", **chosen})["gpu_usd_per_second"])


CPUS = per_second(gpu_type="none", gpu_cpu=2, gpu_memory="4Gi")
L4 = per_second()


@pytest.mark.parametrize(
    ("model", "row"), [("large", "DistilBERT, 67 million parameters"), ("tiny", "two small layers (`tiny`)")]
)
def test_a_million_texts_on_cpus_and_the_rate_from_which_an_l4_is_cheaper(model: str, row: str):
    rate = throughput(model)
    million = f"${CPUS / rate * 1e6:.2f}"
    assert f"| {row} | {rate:,.1f} | {million} | {L4 / CPUS * rate:,.0f} texts per second, all the time |" in PAGE


def test_a_single_text():
    assert f"One text alone costs ${IDLE_SECONDS * L4:.3f} on an L4" in PAGE
    assert 0.1 * CPUS < 0.00001, "of the 100 ms that are billed at least"


def throughput(model: str) -> float:
    """Texts per second of the service on two cores, with 32 clients."""
    run = next(run for run in MEASURED["runs"] if run["model"] == model)
    ours = next(result for result in run["results"] if result["server"] == "gpu_service")
    return float(ours["cells"]["32"]["per_second"])
