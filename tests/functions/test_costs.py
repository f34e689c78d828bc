"""The cost in documents: its parts, and that its constants are those of the price file and of workflow.yaml."""

from typing import Any

import pytest

from benchmarks.pipeline.run import PARTS_OF_STEPS
from event_inference.cost.figures import NAMES, figures
from event_inference.cost.prices import published
from event_inference.cost.scenario import Settings
from postprocessing import costs
from tests.workflow.test_fast_path import PREPARED as IN_ARGUMENT
from tests.workflow.test_fast_path import Entries
from tests.workflow.test_workflow import (
    BATCH,
    FORECAST,
    GPU_JOB,
    PREDICTION,
    PREPARED,
    SUMMARY,
    Hasty,
    Services,
    execute,
)

REGION = "us-central1"


def usd(resource: str, region: str = REGION) -> float:
    return float(published().of(resource, region).usd)


def test_prices_are_those_of_the_price_file() -> None:
    assert pytest.approx(usd("workflow_steps")) == costs.STEP
    assert pytest.approx(usd("storage_class_a")) == costs.WRITE
    assert pytest.approx(usd("storage_class_b")) == costs.READ
    assert pytest.approx(0.1 * (usd("function_cpu") + usd("function_memory")) + usd("requests")) == costs.CALL
    dearer = [usd(name, "asia-southeast1") for name in ("function_cpu", "function_memory")]
    assert pytest.approx(0.1 * sum(dearer) + usd("requests")) == costs.DEARER_CALL
    assert pytest.approx(4096 * usd("pubsub") + 8192 * usd("logs")) == costs.MESSAGES_AND_LOGS


@pytest.mark.parametrize(
    ("effort", "services", "job"),
    [
        (costs.PREPARED, Services(predict=[(200, PREDICTION)]), {"prepared": IN_ARGUMENT}),
        (costs.PREPROCESSED, Services(preprocess=[(200, PREPARED)], predict=[(200, PREDICTION)]), {}),
        (costs.FORECAST, Services(forecast=[(200, FORECAST)]), {"kind": "timeseries"}),
        *(
            (
                costs.batch(shards),
                Services(preprocess=[(200, {**BATCH, "shards": shards})], predict_shard=[(200, SUMMARY)]),
                {"kind": "records"},
            )
            for shards in (1, 2, 5)
        ),
    ],
)
def test_steps_are_those_of_the_workflow(effort: costs.Effort, services: Services, job: dict[str, Any]) -> None:
    entries = Entries()
    assert execute(services, observer=entries, **job).state == "SUCCEEDED"
    assert sum(kind not in PARTS_OF_STEPS for kind in entries.types) == effort.steps


def test_steps_of_a_collected_batch_that_the_job_runs() -> None:
    run = {"name": f"{GPU_JOB}/executions/e", "taskCount": 1}
    ended = {**run, "succeededCount": 1, "completionTime": "2026-01-01T00:00:00Z"}
    answers: dict[str, list[tuple[int, Any]]] = {
        "preprocess": [(200, BATCH)],
        f"v2/{GPU_JOB}:run": [(200, {"metadata": run})],
        f"v2/{run['name']}": [(200, run), (200, run), (200, ended)],
    }
    entries, clock = Entries(), Hasty()
    job = {"kind": "microbatch", "run_by": "job"}
    execute(Services(**answers), clock, observer=entries, variables={"GPU_JOB": GPU_JOB}, **job)
    assert sum(kind not in PARTS_OF_STEPS for kind in entries.types) == costs.AS_JOB.steps
    assert clock.waits == [30, 30, 30]


def test_parts_add_up() -> None:
    cost = costs.estimate(costs.PREPARED, 0.02, 0.0002907, REGION)
    assert cost["device"] == {"seconds": 0.02, "usd": pytest.approx(5.814e-06)}
    assert cost["total"]["usd"] == pytest.approx(sum(cost["total"]["parts"].values()))
    assert cost["total"]["parts"]["device"] == cost["device"]["usd"]
    assert cost["total"]["parts"]["workflow_steps"] == pytest.approx(7e-5)
    assert cost["total"]["usd"] == pytest.approx(1.12e-4, rel=0.02)


def test_regions_are_those_of_the_price_file() -> None:
    tiers = published().tiers
    assert {region for region in tiers if tiers[region] == 1} == costs.CHEAPER
    assert {region for region in tiers if tiers[region] == 2} == costs.DEARER
    assert float(published().surcharge) == costs.SURCHARGE


@pytest.mark.parametrize(
    ("region", "calls", "more"),
    [
        ("asia-southeast1", costs.DEARER_CALL, [0.4 * 0.02907]),
        ("mars-north1", costs.CALL, [0.4 * 0.02907, 2 * (costs.DEARER_CALL - costs.CALL)]),
    ],
)
def test_a_price_that_no_source_states_makes_a_band(region: str, calls: float, more: list[float]) -> None:
    total = costs.estimate(costs.PREPARED, 100.0, 0.0002907, region)["total"]
    assert total["usd"] == pytest.approx(sum(total["parts"].values()))
    assert total["parts"]["functions"] == pytest.approx(2 * calls)
    assert total["band"]["low"] == total["usd"]
    assert total["band"]["high"] == pytest.approx(total["usd"] + sum(more))
    assert [region in reason for reason in total["band"]["reasons"]] == [True] * len(more)
    assert "band" not in costs.estimate(costs.PREPARED, 100.0, 0.0002907, REGION)["total"]


def test_a_micro_batch_shares_its_execution() -> None:
    alone = costs.estimate(costs.PREPARED, 0, 0, REGION)["total"]["parts"]
    shared = costs.estimate(costs.member(1, 200), 0, 0, REGION)["total"]["parts"]
    assert shared["workflow_steps"] == pytest.approx(39 / 200 * 1e-5)
    assert shared["functions"] < alone["functions"] / 50
    assert shared["storage"] == pytest.approx(alone["storage"], rel=0.05)


def test_the_log_has_the_figures_of_the_command() -> None:
    cost = costs.estimate(costs.member(1, 39), 0.02, 0.0002907, REGION)
    document: Any = {
        "status": "succeeded",
        "kind": "text",
        "predictions": [{"label": "a"}, {"error": {"code": "too_short"}}],
        "model": {"name": "sentiment", "version": "2"},
        "cost": cost,
    }
    line = costs.logged(document)
    assert {name for name in line if name in NAMES} == {"inferences", "gpu_seconds", "usd", "batching_saves_usd"}
    assert (line["model"], line["version"], line["inferences"], line["gpu_seconds"]) == ("sentiment", "2", 1, 0.02)
    assert line["batching_saves_usd"] == pytest.approx(6 * costs.STEP)
    measured = figures([document], 60, Settings(), published())
    assert measured.batching_saves_usd == pytest.approx(line["batching_saves_usd"])
    assert (measured.inferences, measured.gpu_seconds) == (1, 0.02)
    assert costs.logged({"status": "rejected", "kind": None}) == {"status": "rejected", "kind": None}  # type: ignore[typeddict-item]
