"""A simulated month of inputs through the code that decides when they run and by what, against the formulas."""

import random

import pytest

from benchmarks.cost import month
from event_inference.cost import scenario
from event_inference.cost.amounts import monthly_bill
from event_inference.cost.prices import published
from event_inference.cost.scenario import MONTH, Traffic
from event_inference.cost.usage import usage
from messaging import engines
from messaging.engines import Run
from pipeline.settings import Settings

TEXTS = 10_000


@pytest.fixture(scope="module")
def moments() -> list[float]:
    return month.arrivals(TEXTS, random.Random(19))


@pytest.mark.parametrize(
    "max_wait",
    [0, 60, 3600, *(pytest.param(wait, marks=pytest.mark.release) for wait in (900, 21_600))],
)
def test_the_bill_of_a_simulated_month_is_that_of_the_formulas(moments: list[float], max_wait: int):
    started, used = month.simulated(moments, max_wait)
    assert sum(run.inputs for run in started) == len(moments)
    traffic, assumed = Traffic(inputs=len(moments)), scenario.Settings(max_wait=max_wait)
    simulated, expected = (
        float(monthly_bill(traffic, assumed, published(), each).usd) for each in (used, usage(traffic, assumed))
    )
    assert simulated == pytest.approx(expected, rel=0.05)


def test_an_hour_s_wait_takes_nearly_all_of_the_bill_off(moments: list[float]):
    bills = []
    for max_wait in (0, 3600):
        traffic, assumed = Traffic(inputs=len(moments)), scenario.Settings(max_wait=max_wait)
        bills.append(float(monthly_bill(traffic, assumed, published(), month.simulated(moments, max_wait)[1]).usd))
    assert bills[1] < bills[0] / 50


def test_no_input_waits_longer_than_it_may(moments: list[float]):
    waits = Settings("in", "work", "out", max_wait={"": 900})
    started = list(month.collected(moments[:500], waits))
    taken = iter(moments)
    for run in started:
        first = next(taken)
        assert 840 - 60 <= run.at - first <= 900
        for _ in range(run.inputs - 1):
            assert next(taken) <= run.at


@pytest.mark.parametrize("inputs", [1_000, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("max_wait", [60, 300, 3600])
@pytest.mark.parametrize(("gpu", "min_instances"), [("nvidia-l4", 0), ("nvidia-l4", 1), ("none", 0)])
def test_the_functions_choose_the_engine_that_the_cost_model_does(
    inputs: int, max_wait: int, gpu: scenario.Gpu, min_instances: int
):
    traffic = Traffic(inputs=inputs, gpu_base=0, gpu_each=0.001)
    assumed = scenario.Settings(gpu=gpu, max_wait=max_wait, min_instances=min_instances)
    members = max(1, round(traffic.rate * max_wait))
    run = Run(work=members * 0.001, wait=max_wait, inputs=members)
    settings = Settings("in", "work", "out", gpu_type=gpu, min_instances=min_instances)
    chosen = engines.cheaper(run, 0.0, settings)
    by_model = "job" if usage(traffic, assumed).job else "service"
    costs = {
        engine: usage(traffic, scenario.Settings(gpu=gpu, max_wait=max_wait, collect_by=engine)) for engine in ENGINES
    }
    seconds = {engine: used.service + used.job for engine, used in costs.items()}
    is_close = abs(seconds["service"] - seconds["job"]) < 0.15 * max(seconds.values())
    assert chosen == by_model or is_close


ENGINES: tuple[scenario.Engine, ...] = ("service", "job")


def test_the_functions_assume_what_the_cost_model_does():
    assumed = scenario.Settings()
    assert (assumed.idle, assumed.start, assumed.job_start) == (engines.IDLE, engines.START, engines.JOB_START)


@pytest.mark.parametrize(("per_hour", "engine"), [(0, "job"), (5, "job"), (20, "service"), (1000, "service")])
def test_an_instance_that_other_inputs_keep_awake_costs_nothing(per_hour: int, engine: str):
    run = Run(work=0.1, wait=3600, inputs=10)
    assert engines.cheaper(run, per_hour / 3600, Settings("in", "work", "out")) == engine


def test_a_month_has_as_many_inputs_as_were_asked_for(moments: list[float]):
    assert len(moments) == pytest.approx(TEXTS, rel=0.03)
    assert all(0 < moment < MONTH for moment in moments)
