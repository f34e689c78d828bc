"""Recommendations: the figures that they rest on, and that none is made where it does not help."""

from dataclasses import replace
from decimal import Decimal

import pytest

from event_inference.cost.bill import cents
from event_inference.cost.prices import published
from event_inference.cost.recommendations import (
    ENOUGH,
    LARGER_GPU,
    Measured,
    Recommendation,
    missing,
    recommend,
    unmeasured,
)
from event_inference.cost.scenario import Settings, Traffic

PRICES = published()
WARM = Settings(min_instances=1)
TRICKLE = Traffic(inputs=10_000)
STEADY = Traffic(inputs=10_000_000)


def made(traffic: Traffic, settings: Settings, **known: float) -> dict[str, Recommendation]:
    return {each.name: each for each in recommend(Measured(traffic, settings, 1000, **known), PRICES)}


def test_a_trickle_that_keeps_a_gpu_awake() -> None:
    found = made(TRICKLE, Settings())
    assert found["warm-instance"].p95 == (20.05, 0.05)
    assert Decimal(-80) < found["warm-instance"].saves_usd < Decimal(-75)
    assert found["warm-instance"].action == "MIN_INSTANCES=1 deploy/gcloud/deploy.sh"


def test_a_warm_instance_without_traffic_is_let_go() -> None:
    found = made(Traffic(inputs=200), WARM)
    assert found["scale-to-zero"].saves_usd > 500
    assert found["scale-to-zero"].p95 == (0.05, 20.05)


def test_many_texts_share_executions() -> None:
    change = made(STEADY, WARM)["micro-batches"]
    steps = change.lines["workflow_steps"]
    assert cents(steps[0]) == Decimal("699.95")
    assert steps[1] < steps[0] / 20
    assert change.saves_usd > 500


def test_the_lines_add_up_to_the_saving() -> None:
    for traffic, settings in ((TRICKLE, Settings()), (STEADY, WARM)):
        for change in made(traffic, settings).values():
            assert sum(before - after for before, after in change.lines.values()) == change.saves_usd


def test_more_concurrency_needs_fewer_instances() -> None:
    busy = Traffic(inputs=20 * 730 * 3600, response=0.5)
    change = made(busy, Settings(concurrency=8, max_instances=3))["more-concurrency"]
    assert cents(change.saves_usd) == Decimal("1527.92")


def test_a_commitment_takes_a_tenth_off_a_warm_instance() -> None:
    change = made(STEADY, WARM)["commitment"]
    assert change.lines.keys() == {"instance_cpu", "instance_memory"}


def test_a_larger_gpu_must_be_faster_than_it_is_dearer() -> None:
    large = Settings(gpu="nvidia-rtx-pro-6000", min_instances=1)
    assert made(STEADY, large, larger_gpu=2.0)["smaller-gpu"].saves_usd > 1000
    assert "smaller-gpu" not in made(STEADY, large, larger_gpu=3.2)
    assert "smaller-gpu" not in made(STEADY, large)
    busy = Traffic(inputs=1000 * 730 * 3600, gpu_base=0, gpu_each=0.01, response=0.02)  # more than ten L4
    small = Settings(min_instances=1, max_instances=20)
    assert made(busy, small, larger_gpu=5.0)["larger-gpu"].saves_usd > 1000
    assert "larger-gpu" not in made(busy, small, larger_gpu=2.9)
    gpus = ("nvidia-l4", "nvidia-rtx-pro-6000")
    second = {gpu: PRICES.of("gpu", "us-central1", gpu).usd or Decimal(0) for gpu in gpus}
    cpu, memory = (PRICES.of(name, "us-central1").usd or Decimal(0) for name in ("instance_cpu", "instance_memory"))
    ratio = (second["nvidia-rtx-pro-6000"] + 20 * cpu + 80 * memory) / (second["nvidia-l4"] + 4 * cpu + 16 * memory)
    assert float(ratio) == pytest.approx(LARGER_GPU, abs=0.005)


def test_batches_run_as_a_job() -> None:
    nightly = Traffic(inputs=0, batches=30, batch_seconds=500)
    change = made(nightly, Settings(batch_by="service", job_tasks=3))["batches-by-job"]
    assert change.saves_usd > 3


def test_a_small_model_does_not_need_a_gpu() -> None:
    assert made(TRICKLE, Settings(), on_cpu=0.02)["without-gpu"].saves_usd > 400
    assert "without-gpu" not in made(TRICKLE, Settings())


def test_a_gpu_is_kept_where_its_idle_time_is_not_the_bill() -> None:
    busy = Traffic(inputs=400_000, response=0.05)
    for most in (2, 20):
        warm = Settings(min_instances=1, max_instances=most)
        assert made(busy, warm, on_cpu=0.5)["without-gpu"].saves_usd > 600
        assert "without-gpu" not in made(busy, warm, on_cpu=30.0)  # two instances are too few, more of them too dear


def test_inputs_that_may_wait_leave_no_gpu_awake() -> None:
    change = made(TRICKLE, Settings())["collected-inputs"]
    assert change.saves_usd > 650
    assert change.action == "MAX_WAIT=1h MIN_INSTANCES=0 deploy/gcloud/deploy.sh"
    assert change.p95[1] > 3000
    assert "collected-inputs" not in made(TRICKLE, Settings(gpu="none"))
    assert "collected-inputs" not in made(TRICKLE, Settings(max_wait=60))


def test_a_second_gpu_for_the_failure_of_a_zone_has_a_price() -> None:
    change = made(STEADY, Settings(min_instances=1, zonal_redundancy=True))["one-zone"]
    assert cents(change.saves_usd) == Decimal("273.84")


def test_a_cheaper_region_saves_at_least_what_has_a_price_in_both() -> None:
    change = made(STEADY, Settings(region="asia-southeast1", min_instances=1))["region"]
    assert change.lines.keys() >= {"instance_cpu", "instance_memory", "function_cpu", "function_memory"}
    assert 50 < change.saves.low == change.saves_usd
    gpu = PRICES.of("gpu", "us-central1", "nvidia-l4").usd * Decimal(2_628_000)
    assert cents(change.saves.high - change.saves.low) == cents(gpu * Decimal("0.4") + Decimal("0.006"))
    assert change.is_certain
    assert change.effect == f"saves ${cents(change.saves.low):,}–${cents(change.saves.high):,} a month"
    assert "gpu nvidia-l4 in asia-southeast1" in change.saves.reasons[0]


def test_a_change_whose_sign_depends_on_an_uncertain_price_says_so() -> None:
    """CPUs that cost more than a GPU at the lowest price, and less than one at the highest."""
    busy = Traffic(inputs=400_000, response=0.05)
    warm = Settings(min_instances=1, max_instances=20, region="asia-southeast1")
    change = made(busy, warm, on_cpu=18.0)["without-gpu"]
    assert not change.is_certain
    assert change.saves.low < 0 < change.saves.high
    assert change.effect.startswith("saves up to $")
    assert change.effect.endswith(", as an uncertain price decides")
    assert made(busy, replace(warm, region="us-central1"), on_cpu=18.0)["without-gpu"].is_certain
    assert "without-gpu" not in made(busy, warm, on_cpu=20.0)  # more likely to cost than to save


def test_what_is_not_considered_for_lack_of_a_measurement() -> None:
    assert [lack.partition(":")[0] for lack in unmeasured(Measured(TRICKLE, Settings(), 1000))] == [
        "without-gpu",
        "smaller-gpu, larger-gpu",
    ]
    assert unmeasured(Measured(TRICKLE, Settings(), 1000, larger_gpu=2, on_cpu=1)) == []
    assert unmeasured(Measured(TRICKLE, Settings(gpu="none"), 1000)) == []


def test_nothing_is_recommended_without_data() -> None:
    few = Measured(TRICKLE, Settings(), ENOUGH - 1)
    assert recommend(few, PRICES) == []
    assert missing(few) == ["100 inputs: 99 have been measured"]
