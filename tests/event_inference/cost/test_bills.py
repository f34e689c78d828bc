"""The cost model against bills worked out by hand, and against an example that Google publishes."""

from dataclasses import replace
from decimal import Decimal

import pytest

from event_inference.cost.amounts import monthly_bill
from event_inference.cost.bill import Band, Bill, bill, cents, saving
from event_inference.cost.prices import published
from event_inference.cost.scenario import MONTH, SINGLE, Effort, Settings, Traffic
from event_inference.cost.usage import REQUEST_BILLING, p95, usage

PRICES = published()
DEVICE = ("gpu", "instance_cpu", "instance_memory")
PREPROCESSED = Effort(25, 3, 0.3, 0.25, 5, 2, 4096, 8192)  # a text that took preprocess and 25 steps
TRICKLE = Traffic(inputs=10_000, single=PREPROCESSED, orders=Effort(), scheduled_jobs=1)
STEADY = Traffic(inputs=10_000_000, single=PREPROCESSED, orders=Effort(), scheduled_jobs=1)
NIGHTLY = {  # 30 runs of a million CSV rows by a job of three tasks that take 197 s each
    "gpu nvidia-l4": 30 * 3 * 197,
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


def device(month: Bill) -> Decimal:
    """The list price of the instances of the GPU service or job."""
    return sum((line.list_band.low for line in month.lines if line.price.resource in DEVICE), Decimal(0))


def test_ten_thousand_texts_over_a_month_keep_a_gpu_awake_for_most_of_it():
    month = monthly_bill(TRICKLE, Settings(), PRICES)
    assert usage(TRICKLE, Settings()).service / MONTH == pytest.approx(0.899, abs=5e-4)
    assert cents(month.usd) == usd("684.57")
    assert cents(month.list_usd) == usd("690.17")
    assert cents(month["gpu"]) == usd("441.00")
    assert cents(month["workflow_steps"]) == usd("2.45")
    assert month["function_cpu"] == 0  # within the free amount


def test_a_nightly_table_by_the_job():
    month = bill(NIGHTLY, PRICES, "us-central1")
    assert cents(month.usd) == usd("3.98")
    assert month["instance_cpu"] == 0


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
    assert {resource: round(month[resource], 4) for resource in expected} == {k: usd(v) for k, v in expected.items()}


def test_google_s_published_example_of_a_small_service():
    """Ten million requests of 200 ms on 0.167 vCPU and 256 MiB (Cloud Run's pricing page)."""
    used = {
        "function_cpu": 10_000_000 * 0.2 * 0.167,
        "function_memory": 10_000_000 * 0.2 * 0.25,
        "requests": 10_000_000,
    }
    assert cents(bill(used, PRICES, "us-central1").usd) == usd("7.25")


def test_an_instance_kept_warm_costs_its_idle_time_and_answers_without_a_cold_start():
    warm = Settings(min_instances=1)
    before, after = monthly_bill(TRICKLE, Settings(), PRICES), monthly_bill(TRICKLE, warm, PRICES)
    assert cents(after.usd) - cents(before.usd) == usd("77.29")
    assert (p95(TRICKLE, Settings()), p95(TRICKLE, warm)) == (20.05, 0.05)


def test_a_job_that_runs_every_hour_takes_the_idle_time_off_a_trickle():
    runs = {"gpu nvidia-l4": 730 * 60, "instance_cpu": 730 * 60 * 4, "instance_memory": 730 * 60 * 16}
    assert cents(bill(runs, PRICES, "us-central1").list_usd) == usd("12.73")
    hourly = Settings(max_wait=3600, collect_by="job")
    bills = [monthly_bill(TRICKLE, settings, PRICES) for settings in (Settings(), hourly)]
    assert [cents(device(each)) for each in bills] == [usd("686.66"), usd("11.96")]  # the next input starts the hour
    assert p95(TRICKLE, hourly) > 3000


def test_zonal_redundancy_and_a_larger_gpu():
    warm = Settings(min_instances=1)
    zonal, rtx = replace(warm, zonal_redundancy=True), replace(warm, gpu="nvidia-rtx-pro-6000")
    gpu = {each: monthly_bill(STEADY, each, PRICES)["gpu"] for each in (warm, zonal)}
    assert cents(gpu[zonal] - gpu[warm]) == usd("273.84")
    bills = [monthly_bill(STEADY, settings, PRICES) for settings in (warm, rtx)]
    assert [cents(device(each)) for each in bills] == [usd("763.96"), usd("2326.36")]


# --- billing modes ---------------------------------------------------------------------------------


def test_without_a_gpu_idle_time_is_not_billed():
    """As deploy/machines.yaml says: CPUs are billed while requests are handled, and starts."""
    month = monthly_bill(TRICKLE, Settings(gpu="none"), PRICES)
    assert "gpu" not in {line.price.resource for line in month.lines}
    cold = 1019  # of the inputs
    used = usage(TRICKLE, Settings(gpu="none"))
    assert used.service == pytest.approx(10_000 * 0.05 + cold * 20, rel=0.01)
    assert (used.idle, used.job) == (0, 0)
    assert month.list_usd < 6
    assert month["instance_cpu"] == month["idle_cpu"] == 0


def test_without_a_gpu_a_minimum_instance_is_idle_at_a_lower_price():
    used = usage(TRICKLE, Settings(gpu="none", min_instances=1))
    assert used.service == pytest.approx(10_000 * 0.05, rel=0.01)
    assert used.idle == pytest.approx(MONTH - used.service)
    idle = monthly_bill(TRICKLE, Settings(gpu="none", min_instances=1), PRICES)["idle_cpu"]
    assert float(idle) == pytest.approx(used.idle * 4 * 0.0000025)


def test_requests_that_overlap_are_billed_once():
    busy = Traffic(inputs=100_000_000, response=0.02, gpu_base=0, gpu_each=0.001)
    assert MONTH * 0.5 < usage(busy, Settings(gpu="none", concurrency=80)).service < MONTH * 0.6


def test_the_price_of_a_second_that_is_billed_by_request():
    def second(cpu: str, memory: str) -> Decimal:
        prices = [PRICES.of(resource, "us-central1").usd or Decimal(0) for resource in (cpu, memory)]
        return prices[0] * 4 + prices[1] * 8

    ratio = second("function_cpu", "function_memory") / second("instance_cpu", "instance_memory")
    assert float(ratio) == pytest.approx(REQUEST_BILLING, abs=0.005)


def test_a_batch_of_the_service_pays_no_idle_time_where_none_is_billed():
    nightly = Traffic(inputs=0, batches=30, batch_seconds=500)
    for settings, seconds in (
        (Settings(batch_by="service"), 30 * (20 + 500 + 600)),
        (Settings(batch_by="service", gpu="none"), 30 * (20 + 500)),
        (Settings(batch_by="service", min_instances=1), MONTH),  # paid for anyway
    ):
        assert usage(nightly, settings).service == pytest.approx(seconds)


def test_a_job_has_no_zonal_redundancy():
    nightly = Traffic(inputs=0, batches=30, batch_seconds=500)
    one, zonal = (monthly_bill(nightly, Settings(zonal_redundancy=each), PRICES) for each in (False, True))
    assert device(one) == device(zonal)


def test_a_commitment_is_paid_for_the_instances_that_are_kept_and_for_no_others():
    assert monthly_bill(TRICKLE, Settings(committed=True), PRICES).usd == monthly_bill(TRICKLE, Settings(), PRICES).usd
    kept, committed = (
        monthly_bill(STEADY, Settings(min_instances=1, committed=each), PRICES) for each in (False, True)
    )
    assert cents(device(kept) - device(committed)) == usd("76.53")


def test_more_inputs_than_the_instances_answer():
    flood = Traffic(inputs=10**10)
    assert p95(flood, Settings(max_instances=2)) == float("inf")
    assert usage(flood, Settings(max_instances=2)).service == 2 * MONTH
    assert p95(flood, Settings(max_instances=100)) < 1


# --- uncertain prices ------------------------------------------------------------------------------


def test_a_price_without_a_source_makes_a_band():
    """A GPU of the dearer tier: as in the other one, up to the largest surcharge that is known."""
    exact, uncertain = (
        monthly_bill(STEADY, Settings(region=region, min_instances=1), PRICES)
        for region in ("us-central1", "asia-southeast1")
    )
    assert exact.band == Band(exact.usd, exact.usd)
    (gpu,) = (line for line in uncertain.lines if line.price.resource == "gpu")
    assert (gpu.band.low, gpu.band.high) == (exact["gpu"], exact["gpu"] * usd("1.4"))
    (storage,) = (line for line in uncertain.lines if line.resource == "storage")
    assert (storage.band.low, storage.band.high) == (usd("0.020"), usd("0.026"))
    assert uncertain.usd == uncertain.band.low
    assert uncertain.band.high - uncertain.band.low == exact["gpu"] * usd("0.4") + usd("0.006")
    assert uncertain.band.reasons == (
        "no source states the price of gpu nvidia-l4 in asia-southeast1, taken as 1 to 1.4 times that elsewhere",
        "no source states the price of storage in asia-southeast1, taken as $0.02 to $0.026",
    )


def test_an_uncertain_price_of_nothing_is_no_reason():
    idle = Traffic(inputs=0, orders=Effort(), stored_gb=0, image_gb=0, scheduled_jobs=0)
    assert monthly_bill(idle, Settings(region="mars-north1"), PRICES).band == Band(Decimal(0), Decimal(0))


def test_a_region_of_unknown_tier_costs_what_one_of_both_costs():
    unknown, cheap, dear = (
        monthly_bill(TRICKLE, Settings(region=region), PRICES)
        for region in ("mars-north1", "europe-west1", "asia-southeast1")
    )
    for resource in ("gpu nvidia-l4", "instance_cpu", "instance_memory", "function_cpu"):
        line, low, high = (
            next(line for line in month.lines if line.resource == resource) for month in (unknown, cheap, dear)
        )
        assert (line.band.low, line.band.high) == (low.band.low, high.band.high)
        assert line.price.uncertainty


def test_storage_is_free_in_three_regions_of_the_united_states():
    months = {
        region: monthly_bill(TRICKLE, Settings(region=region), PRICES) for region in ("us-central1", "europe-west1")
    }
    assert [month["storage_class_a"] for month in months.values()] == [usd("0.225"), usd("0.25")]
    assert [month["storage"] for month in months.values()] == [0, usd("0.02")]


def test_a_saving_takes_an_uncertain_price_for_the_same_before_and_after():
    small, large = (bill({"gpu nvidia-l4": amount}, PRICES, "asia-southeast1") for amount in (1000, 3000))
    price = PRICES.of("gpu", "us-central1", "nvidia-l4").usd
    saved = saving(large, small)
    assert (saved.low, saved.high) == (2000 * price, 2000 * price * usd("1.4"))
    lost = saving(small, large)
    assert (lost.low, lost.high, lost.reasons) == (-saved.high, -saved.low, saved.reasons)
    assert saving(small, small) == Band(Decimal(0), Decimal(0))
    moved = saving(small, bill({"gpu nvidia-l4": 1200}, PRICES, "us-central1"))
    assert (moved.low, moved.high) == (-200 * price, 200 * price)


def test_a_small_text_costs_less_than_half_outside_the_gpu_of_what_it_cost_with_preprocess():
    def of_thousand(effort: Effort) -> Decimal:
        alone = Traffic(inputs=1000, single=effort, orders=Effort(), stored_gb=0, image_gb=0, scheduled_jobs=0)
        month = monthly_bill(alone, Settings(), PRICES)
        return month.list_usd - device(month)

    assert round(of_thousand(PREPROCESSED), 3) == usd("0.289")
    assert of_thousand(SINGLE) < of_thousand(PREPROCESSED) / 2


def test_collections_keep_an_instance_awake_like_inputs_of_their_rate():
    """A collection a minute saves nothing of a GPU that a trickle keeps awake; one an hour does."""
    by_minute, hourly = (Settings(max_wait=wait, collect_by="service") for wait in (60, 3600))
    at_once = usage(TRICKLE, Settings()).service
    assert usage(TRICKLE, by_minute).service == pytest.approx(at_once, rel=0.03)
    assert usage(TRICKLE, hourly).service == pytest.approx(686 * (20 + 600), rel=0.01)
    assert usage(STEADY, by_minute).service == pytest.approx(MONTH, rel=0.01)
    assert usage(Traffic(inputs=0), by_minute).service == 0


@pytest.mark.parametrize(
    ("traffic", "settings", "by"),
    [
        (TRICKLE, Settings(max_wait=3600), "job"),
        (TRICKLE, Settings(max_wait=60), "job"),
        (STEADY, Settings(max_wait=3600), "job"),
        (STEADY, Settings(max_wait=30), "service"),  # which the next run finds awake
        (TRICKLE, Settings(max_wait=3600, min_instances=1), "service"),
        (TRICKLE, Settings(max_wait=3600, gpu="none"), "service"),
        (TRICKLE, Settings(max_wait=3600, collect_by="service"), "service"),
    ],
)
def test_collected_inputs_run_where_it_is_cheaper(traffic: Traffic, settings: Settings, by: str):
    used = usage(traffic, settings)
    assert (used.job > 0) == (by == "job")
