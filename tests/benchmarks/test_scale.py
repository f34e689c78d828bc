"""The tables of docs/scale.md are those of the inventory, and each bound moves by what is said to raise it."""

from typing import Any

import pytest

from benchmarks.scale import __main__ as scale
from benchmarks.scale import capacity
from messaging import collect
from pipeline import settings
from postprocessing import microbatch
from preprocessing import records


def test_the_tables_of_the_documentation_are_current():
    page = scale.PAGE.read_text(encoding="utf-8")
    assert scale.document(page) == page, "run python -m benchmarks.scale document"


def test_every_limit_has_a_source():
    limits = capacity.limits()
    used = {entry["source"] for section in ("quotas", "times", "requests") for entry in limits[section].values()}
    assert used == set(limits["sources"])


def test_the_model_has_the_concurrency_of_the_code():
    assert settings.Settings.__dataclass_fields__["micro_batch_size"].default == capacity.MICRO_BATCH
    assert collect.CONCURRENCY == microbatch.CONCURRENCY == capacity.THREADS
    assert records.READERS == capacity.READERS


def of(part: str, **values: Any) -> float:
    return next(bound.per_second for bound in capacity.bounds(values) if bound.part == part)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("max_executions_per_hour", {"max_executions_per_hour": 20_000}),
        ("the GPU", {"max_instances": 4}),
        ("collections", {"max_collections": 5}),
    ],
    ids=str,
)
def test_a_setting_raises_the_bound(part: str, values: dict[str, Any]):
    assert of(part, **values) > of(part)


def test_what_has_an_execution_of_its_own():
    assert capacity.own_executions({}) == pytest.approx(10_000 * 0.2 / 3600)
    assert capacity.own_executions({"max_executions_per_hour": 0}) == float("inf")
    assert capacity.own_executions({"micro_batching": True}) == 0
    assert of("requests to gpu-service", max_executions_per_hour=0, gpu_concurrency=64) == 2 * of(
        "requests to gpu-service", max_executions_per_hour=0
    )


def test_sharing_an_execution_costs_less():
    pulled, waited = capacity.shared_cost({"micro_batching": True}), capacity.shared_cost({})
    assert pulled < waited < 0.6 * capacity.own_cost()


def test_an_hour_at_twice_the_bound_takes_two_hours():
    bound = capacity.Bound("a part", 5.0, "it waits", "nothing")
    hour = capacity.hour(10.0, bound)
    assert (hour.waiting, hour.drained) == (18_000, 7_200)
    assert capacity.hour(5.0, bound).waiting == 0


def test_a_deployment_is_given_on_the_command_line(capsys: pytest.CaptureFixture[str]):
    assert scale.main(["micro_batching=true", "max_instances=10"]) == 0
    assert "| the GPU | 14,285.7 |" in capsys.readouterr().out
    assert scale.main(["micro_batching"]) == 2
