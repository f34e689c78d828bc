"""`einf cost` and `einf recommend`: settings as options, traffic as given or measured on documents."""

import json
from typing import Any

import pytest

from event_inference.cost.measured import measure
from event_inference.cost.scenario import MONTH
from tests.event_inference.conftest import Emulated, local_environment


def document(kind: str, seconds: float, **fields: Any) -> dict[str, Any]:
    timing = {"queue_ms": 1.0, "inference_ms": 9.0}
    return {"kind": kind, "cost": {"device": {"seconds": seconds, "usd": 0}}, "timing": timing, **fields}


def test_traffic_is_measured_on_documents() -> None:
    documents = [
        document("text", 0.02),
        document("image", 0.04),
        document("table", 30.0),
        document("timeseries", 0.0),
        {"kind": None, "status": "rejected", "timing": {}},
    ]
    found = measure(documents, MONTH / 10)
    assert found.seen == 5
    assert found.traffic.inputs == pytest.approx(40)
    assert found.traffic.gpu_each == pytest.approx(0.03)
    assert found.traffic.response == pytest.approx(0.01)
    assert found.traffic.batches == pytest.approx(10)
    assert found.traffic.batch_seconds == 30


def test_a_period_without_inputs_has_no_traffic() -> None:
    found = measure([], 3600)
    assert (found.seen, found.traffic.inputs, found.traffic.batches) == (0, 0, 0)


def test_a_bill_as_json(invoke: Any) -> None:
    ended = invoke("cost", "--inputs", "10000", "--set", "gpu=none", "--what-if", "min_instances=1", "--json")
    assert ended.status == 0, ended.err
    now, changed = json.loads(ended.out)["scenarios"]
    assert (now["name"], changed["name"]) == ("now", "min_instances=1")
    assert now["settings"]["gpu"] == changed["settings"]["gpu"] == "none"
    assert float(now["usd"]) < float(changed["usd"])
    assert all(line["source"] for line in now["lines"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("speed=1", "speed is not a setting"),
        ("gpu=h100", "gpu must be one of nvidia-l4"),
        ("collect_by=chance", "collect_by must be one of cheaper, service, job"),
        ("min_instances=-1", "min_instances must be a whole number"),
        ("min_instances=0.5", "min_instances must be a whole number"),
        ("idle=long", "idle must be a number"),
        ("zonal_redundancy=maybe", "zonal_redundancy must be true or false"),
    ],
)
def test_a_setting_that_is_wrong(invoke: Any, setting: str, words: str) -> None:
    ended = invoke("cost", "--inputs", "1", "--set", setting)
    assert ended.status == 2
    assert words in ended.err


def test_an_uncertain_price_is_a_band_with_its_reason(invoke: Any) -> None:
    ended = invoke("cost", "--inputs", "1000", "--set", "region=asia-southeast1", "--what-if", "min_instances=1")
    gpu = next(line for line in ended.out.splitlines() if line.startswith("gpu"))
    total = next(line for line in ended.out.splitlines() if line.startswith("a month"))
    assert gpu.count("–$") == total.count("–$") == 2
    assert ended.err.count("Uncertain: no source states the price of gpu nvidia-l4 in asia-southeast1") == 1
    ended = invoke("cost", "--inputs", "1000", "--set", "region=asia-southeast1", "--json")
    (scenario,) = json.loads(ended.out)["scenarios"]
    assert scenario["band"]["low"] == float(scenario["usd"]) < scenario["band"]["high"]
    assert len(scenario["band"]["reasons"]) == 2
    uncertain = {line["resource"] for line in scenario["lines"] if line["uncertainty"]}
    assert uncertain == {"gpu nvidia-l4", "storage"}


def test_an_uncertain_price_is_a_reason_of_recommendations(invoke: Any) -> None:
    ended = invoke("recommend", "--inputs", "10000", "--set", "region=asia-southeast1")
    assert "\n  Uncertain: no source states the price of gpu nvidia-l4 in asia-southeast1" in ended.out


def test_recommendations_of_measured_traffic(invoke: Any, laptop: Emulated) -> None:
    laptop.document("results", "a.txt", 1)
    ended = invoke("recommend", env=local_environment(laptop))
    assert ended.out == ""
    assert "Missing: 100 inputs: 1 have been measured.\n" in ended.err
    assert "Not considered: without-gpu: the seconds that an input takes on CPUs" in ended.err
    assert "1 inputs since" in ended.err


def test_what_the_pipeline_recommended_itself(invoke: Any, laptop: Emulated) -> None:
    env = local_environment(laptop)
    assert "There is none yet" in invoke("recommend", "--daily", env=env).err
    change = {
        "name": "warm-instance", "reason": "Many wait.", "action": "MIN_INSTANCES=1 deploy/gcloud/deploy.sh",
        "saves_usd_per_month": -77.3, "saves_band": {"low": -77.3, "high": -77.3, "reasons": []}, "is_certain": True,
        "effect": "costs $77.30 a month", "p95_seconds": {"before": 20.05, "after": 0.05}, "lines": {},
    }  # fmt: skip
    measured = {"inputs_per_month": 10_000, "documents": 500}
    for day, changes in (("2026-01-02", [change]), ("2026-01-01", [])):
        content = {"date": day, "measured": measured, "recommendations": changes, "not_considered": [], "missing": []}
        laptop.write(f"recommendations/{day}.json", json.dumps(content))
    ended = invoke("recommend", "--daily", env=env)
    assert ended.out.splitlines()[0] == (
        "warm-instance: costs $77.30 a month, 95 % answered in 0.05 s instead of 20.05 s"
    )
    assert "2026-01-02: 10,000 inputs a month, by 500" in ended.err
