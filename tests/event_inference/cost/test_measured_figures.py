"""The figures of cost that are measured on documents."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from event_inference.cost.figures import NAMES, band, by_model, figures
from event_inference.cost.prices import published
from event_inference.cost.scenario import Settings
from tests.event_inference.conftest import Emulated, local_environment

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
L4 = 0.0002907
STEP = 0.01e-3


def document(at: float, *, steps: float = 7, seconds: float = 0.01, **more: Any) -> dict[str, Any]:
    """A text that was predicted on for a second, from `at` seconds on."""
    parts = {"device": seconds * L4, "workflow_steps": steps * STEP}
    return {
        "kind": "text",
        "predictions": [{"label": "POSITIVE", "score": 0.9}],
        "model": {"name": "sentiment", "version": "1"},
        "timing": {
            "started_at": (BEGIN + timedelta(seconds=at)).isoformat(),
            "finished_at": (BEGIN + timedelta(seconds=at + 1)).isoformat(),
        },
        "cost": {"device": {"seconds": seconds}, "total": {"usd": sum(parts.values()), "parts": parts}},
        **more,
    }


def test_an_instance_is_idle_after_each_input_until_the_next_or_its_end():
    found = figures([document(0), document(300), document(5000)], 7200, Settings(), published())
    assert (found.inputs, found.inferences) == (3, 3)
    assert found.gpu_seconds == pytest.approx(0.03)
    assert found.instance_seconds == pytest.approx((301 + 600) + 601)
    assert found.instances == pytest.approx(found.instance_seconds / 7200)
    assert found.utilization == pytest.approx(0.03 / found.instance_seconds)
    assert found.idle_usd == pytest.approx((found.instance_seconds - 0.03) * L4)
    assert found.usd == pytest.approx((found.instance_seconds - 0.03) * L4 + 3 * (0.01 * L4 + 7 * STEP))
    assert found.usd_per_1000_inputs == pytest.approx(1000 * found.usd / 3)
    assert found.batching_saves_usd == 0


def test_without_a_gpu_nothing_is_idle():
    found = figures([document(0), document(300), document(300.5)], 7200, Settings(gpu="none"), published())
    assert found.instance_seconds == pytest.approx(2.5)


def test_a_minimum_instance_exists_all_the_time():
    found = figures([document(0)], 7200, Settings(min_instances=1), published())
    assert (found.instance_seconds, found.instances) == (7200, 1)


def test_inputs_that_shared_an_execution_saved_its_steps():
    documents = [document(0, steps=3.7), document(0, steps=0.37), document(0, steps=26)]
    assert figures(documents, 60, Settings(), published()).batching_saves_usd == pytest.approx((14 - 4.07) * STEP)


def test_batches_count_their_records_and_refusals_cost_nothing():
    table = document(0, kind="table", predictions=None, data={"succeeded": 90, "failed": 10}, seconds=3.0)
    rejected = {"status": "rejected", "kind": None, "timing": {"finished_at": BEGIN.isoformat()}}
    found = figures([table, rejected], 3600, Settings(), published())
    assert (found.inputs, found.inferences) == (2, 90)
    assert found.usd_per_inference == pytest.approx(found.usd / 90)


def test_models_and_versions_are_apart():
    documents = [
        document(0),
        document(1),
        document(2, model={"name": "sentiment", "version": "2"}, seconds=0.04),
        document(3, model={"name": "digits", "version": None}),
        document(4, model=None),
    ]
    models = by_model(documents)
    assert list(models) == [("digits", ""), ("sentiment", "1"), ("sentiment", "2")]
    assert models["sentiment", "1"]["inputs"] == 2
    assert models["sentiment", "2"]["gpu_seconds"] == pytest.approx(0.04)
    assert models["sentiment", "2"]["usd_per_inference"] == pytest.approx(0.04 * L4 + 7 * STEP)


def test_an_uncertain_price_makes_a_band() -> None:
    exact, settings = document(0), Settings(region="asia-southeast1")
    prices = published()
    found = figures([exact], 3600, settings, prices)
    between = band(found, [exact], settings, prices)
    second = prices.of("gpu", "us-central1", "nvidia-l4").usd
    assert float(between.low) == found.usd
    assert float(between.high - between.low) == pytest.approx(600.99 * float(second) * 0.4)
    assert len(between.reasons) == 1
    uncertain = document(0)
    uncertain["cost"]["total"]["band"] = {"low": 0.001, "high": 0.003, "reasons": ["the moon is far"]}
    wider = band(found, [exact, uncertain], settings, prices)
    assert float(wider.high - between.high) == pytest.approx(0.002)
    assert wider.reasons == (*between.reasons, "the moon is far")
    known = figures([exact], 3600, Settings(), prices)
    assert band(known, [exact], Settings(), prices).reasons == ()


def test_a_period_without_inputs():
    found = figures([], 3600, Settings(), published())
    assert (found.inputs, found.instance_seconds, found.utilization, found.usd) == (0, 0, 0, 0)
    assert found.usd_per_inference is None


def test_the_command_prints_them(invoke: Any, laptop: Emulated) -> None:
    laptop.document("results", "a.txt", 1)
    ended = invoke("cost", "--measured", "--since", "1h", env=local_environment(laptop))
    assert [line.split()[0] for line in ended.out.splitlines()[1 : len(NAMES) + 1]] == list(NAMES)
    whole = json.loads(invoke("cost", "--measured", "--json", env=local_environment(laptop)).out)
    assert whole["inputs"] == 1
    (model,) = whole["models"]
    assert (model["model"], model["version"], model["usd"]) == ("sentiment", "1", 0.0003)
