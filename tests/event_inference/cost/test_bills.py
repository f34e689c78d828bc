"""The cost model against bills worked out by hand, and against an example that Google publishes."""

from dataclasses import replace
from decimal import Decimal

import pytest

from event_inference.cost.bill import Bill, bill, cents
from event_inference.cost.prices import published
from event_inference.cost.scenario import MONTH, SINGLE, Effort, Settings, Traffic, awake_seconds, monthly_bill, p95

PRICES = published()
PREPROCESSED = Effort(25, 3, 0.3, 0.25, 5, 2, 4096, 8192)  # a text that took preprocess and 25 steps
TRICKLE = Traffic(inputs=10_000, single=PREPROCESSED)
STEADY = Traffic(inputs=10_000_000, single=PREPROCESSED)
NIGHTLY = {  # 30 runs of a million CSV rows by a job of three tasks that take 197 s each
    "gpu": 30 * 3 * 197,
    "instance_cpu": 30 * 3 * 197 * 4,
    "instance_memory": 30 * 3 * 197 * 16,
    "workflow_steps": 12_000,
    "storage_class_a": 15_000,
    "storage_class_b": 27_000,
    "function_cpu": 3_600,
    "function_memory": 3_600,
    "requests": 6_000,
    "pubsub": 120 * 1024,
    "logs": 6_000 * 1024,
    "storage": 10,
    "image": 5,
    "scheduler": 1,
}


def usd(text: str) -> Decimal:
    return Decimal(text)


def cost(month: Bill, resource: str) -> Decimal:
    known = month[resource]
    assert known is not None
    return known


def device(month: Bill) -> Decimal:
    """The list price of the instances of the GPU service or job."""
    listed = [line.list_usd for line in month.lines if line.resource in ("gpu", "instance_cpu", "instance_memory")]
    return sum((each for each in listed if each is not None), Decimal(0))


def test_ten_thousand_texts_over_a_month_keep_a_gpu_awake_for_most_of_it():
    month = monthly_bill(TRICKLE, Settings(), PRICES)
    assert awake_seconds(TRICKLE, Settings()) / MONTH == pytest.approx(0.899, abs=5e-4)
    assert cents(month.usd) == usd("684.57")
    assert cents(month.list_usd) == usd("690.17")
    assert cents(cost(month, "gpu")) == usd("441.00")
    assert cents(cost(month, "workflow_steps")) == usd("2.45")
    assert cost(month, "function_cpu") == 0  # within the free amount


def test_a_nightly_table_by_the_job():
    month = bill(NIGHTLY, PRICES, "us-central1", Settings().variants)
    assert cents(month.usd) == usd("3.98")
    assert cost(month, "instance_cpu") == 0


def test_ten_million_texts_pay_more_for_steps_than_for_the_gpu():
    month = monthly_bill(STEADY, Settings(min_instances=1), PRICES)
    assert cents(month.usd) == usd("3615.57")
    expected = {
        "gpu": "490.6476",
        "instance_cpu": "184.8960",
        "instance_memory": "83.1960",
        "workflow_steps": "2499.95",
        "storage_class_a": "249.975",
        "storage_class_b": "7.98",
        "function_cpu": "67.68",
        "function_memory": "5.35",
        "requests": "11.20",
        "pubsub": "1.0995",
        "logs": "13.1470",
        "storage": "0",
        "image": "0.45",
        "scheduler": "0",
    }
    assert {resource: round(cost(month, resource), 4) for resource in expected} == {
        k: usd(v) for k, v in expected.items()
    }


def test_google_s_published_example_of_a_small_service():
    """Ten million requests of 200 ms on 0.167 vCPU and 256 MiB (Cloud Run's pricing page)."""
    used = {
        "function_cpu": 10_000_000 * 0.2 * 0.167,
        "function_memory": 10_000_000 * 0.2 * 0.25,
        "requests": 10_000_000,
    }
    assert cents(bill(used, PRICES, "us-central1", {}).usd) == usd("7.25")


def test_an_instance_kept_warm_costs_its_idle_time_and_answers_without_a_cold_start():
    warm = Settings(min_instances=1)
    before, after = monthly_bill(TRICKLE, Settings(), PRICES), monthly_bill(TRICKLE, warm, PRICES)
    assert cents(after.usd) - cents(before.usd) == usd("77.29")
    assert (p95(TRICKLE, Settings()), p95(TRICKLE, warm)) == (20.05, 0.05)


def test_an_hourly_job_takes_the_idle_time_off_a_trickle():
    hourly = Settings(collect_every=3600, collect_by="job")
    bills = [monthly_bill(TRICKLE, settings, PRICES) for settings in (Settings(), hourly)]
    assert [cents(device(each)) for each in bills] == [usd("686.66"), usd("12.73")]
    assert p95(TRICKLE, hourly) > 3000


def test_zonal_redundancy_and_a_larger_gpu():
    warm = Settings(min_instances=1)
    zonal, rtx = replace(warm, zonal_redundancy=True), replace(warm, gpu="nvidia-rtx-pro-6000", cpu=20, memory_gib=80)
    gpu = {each: cost(monthly_bill(STEADY, each, PRICES), "gpu") for each in (warm, zonal)}
    assert cents(gpu[zonal] - gpu[warm]) == usd("273.84")
    bills = [monthly_bill(STEADY, settings, PRICES) for settings in (warm, rtx)]
    assert [cents(device(each)) for each in bills] == [usd("763.96"), usd("2326.36")]


def test_without_a_gpu_only_the_instance_is_billed():
    month = monthly_bill(TRICKLE, Settings(gpu="none", cpu=4, memory_gib=8), PRICES)
    assert "gpu" not in {line.resource for line in month.lines}


def test_an_unknown_price_is_named_and_not_taken_for_free():
    month = monthly_bill(STEADY, Settings(region="asia-southeast1", min_instances=1), PRICES)
    assert month.unknown == ("gpu",)
    assert month["gpu"] is None
    tier_1 = monthly_bill(STEADY, Settings(min_instances=1), PRICES)
    known = (
        cost(month, "instance_cpu")
        + cost(month, "instance_memory")
        - cost(tier_1, "instance_cpu")
        - cost(tier_1, "instance_memory")
    )
    assert known > 0


def test_a_region_of_unknown_tier_has_no_device_price():
    month = monthly_bill(TRICKLE, Settings(region="mars-north1"), PRICES)
    assert {"gpu", "instance_cpu", "instance_memory"} <= set(month.unknown)


def test_a_small_text_costs_less_than_half_outside_the_gpu_of_what_it_cost_with_preprocess():
    def of_thousand(effort: Effort) -> Decimal:
        month = monthly_bill(
            Traffic(inputs=1000, single=effort, stored_gb=0, image_gb=0, scheduled_jobs=0), Settings(), PRICES
        )
        return month.list_usd - device(month)

    assert round(of_thousand(PREPROCESSED), 3) == usd("0.289")
    assert of_thousand(SINGLE) < of_thousand(PREPROCESSED) / 2


def test_collections_keep_an_instance_awake_like_inputs_of_their_rate():
    """A collection a minute saves nothing of a GPU that a trickle keeps awake; one an hour does."""
    at_once = awake_seconds(TRICKLE, Settings())
    assert awake_seconds(TRICKLE, Settings(collect_every=60)) == pytest.approx(at_once, rel=0.03)
    hourly = awake_seconds(TRICKLE, Settings(collect_every=3600))
    assert hourly == pytest.approx(730 * (20 + 600), rel=0.01)
    assert awake_seconds(STEADY, Settings(collect_every=60)) == pytest.approx(MONTH, rel=0.01)
    assert awake_seconds(Traffic(inputs=0), Settings(collect_every=60)) == 0
