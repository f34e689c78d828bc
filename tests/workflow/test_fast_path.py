"""Inputs that need no preprocess: few calls and steps, and after an error the same guarantees as any other input."""

from typing import Any

import pytest

from benchmarks.pipeline.run import PARTS_OF_STEPS
from emulator.workflows import Observer, StepEntry
from event_inference.cost.scenario import SINGLE
from tests.workflow.test_workflow import DONE, HANGS, JOB, PREDICTION, Hasty, Services, execute

PREPARED = {"mode": "single", "instances": [{"text": "hello"}], "parameters": {"top_k": 3}}
BROKEN = {"error": {"code": "internal", "message": "broken"}}
DOWN = (503, "")


class Entries(Observer):
    def __init__(self) -> None:
        self.types: list[str] = []

    def step_started(self, entry: StepEntry) -> None:
        self.types.append(entry.step_type)


def test_a_prepared_input_takes_two_calls_and_nine_step_entries():
    services, entries = Services(predict=[(200, PREDICTION)]), Entries()
    outcome = execute(services, observer=entries, prepared=PREPARED, model={"name": "digits", "version": "1"})
    assert outcome.result == DONE
    assert len(entries.types) == 9
    assert sum(kind not in PARTS_OF_STEPS for kind in entries.types) == SINGLE.steps
    assert services.requests.keys() == {"/predict", "/postprocess"}
    (predicted,), (written,) = services.requests["/predict"], services.requests["/postprocess"]
    assert predicted["body"] == {
        "instances": PREPARED["instances"], "model": "digits", "version": "1", "parameters": {"top_k": 3},
    }  # fmt: skip
    assert predicted["headers"]["traceparent"] == JOB["trace"]
    assert written["headers"]["traceparent"] == JOB["trace"]
    assert all(call["headers"]["Authorization"].startswith("Bearer ") for call in (predicted, written))
    assert written["body"]["prediction"] == PREDICTION
    assert written["body"]["lineage"]["service_revisions"] == {"gpu_service": "gpu-1"}
    assert written["body"]["lineage"].keys() == {"execution", "workflow_revision", "started_at", "service_revisions"}


def test_a_busy_service_is_asked_again_with_growing_delays():
    services, clock = Services(predict=[(429, BROKEN), DOWN, DOWN, (200, PREDICTION)]), Hasty()
    assert execute(services, clock, prepared=PREPARED).result == DONE
    assert clock.waits == [1, 1, 2]
    assert len(services.requests["/postprocess"]) == 1


@pytest.mark.parametrize("prepared", [PREPARED, None], ids=["prepared", "by preprocess"])
def test_a_service_that_hangs_is_asked_again_long_before_a_shard_would_be(prepared: Any):
    services, clock = (
        Services(predict=[(200, HANGS), (200, PREDICTION)], preprocess=[(200, {**PREPARED, "revision": "p-1"})]),
        Hasty(),
    )
    timeouts = {"PREDICT_TIMEOUT_SECONDS": "0", "GPU_TIMEOUT_SECONDS": "900"}
    outcome = execute(services, clock, variables=timeouts, prepared=prepared)
    assert outcome.result == DONE
    assert len(services.requests["/predict"]) == 2


def test_a_service_that_stays_down_ends_as_a_failure():
    services, clock = Services(predict=[DOWN]), Hasty()
    assert execute(services, clock, prepared=PREPARED).state == "FAILED"
    assert clock.waits == [1, 1, 2, 4, 8, 16, 32]
    assert services.concluded["error"]["step"] == "predict"


@pytest.mark.parametrize("status", [400, 404, 413, 422, 500, 501])
def test_a_final_error_is_not_repeated(status: int):
    services = Services(predict=[(status, BROKEN)])
    execute(services, prepared=PREPARED)
    assert len(services.requests["/predict"]) == 1
    assert services.concluded["error"] == {"step": "predict", "status": status, "code": "internal", "message": "broken"}


@pytest.mark.parametrize("down", [DOWN, (500, "")])
def test_another_region_answers_when_the_first_fails(down: tuple[int, str]):
    services = Services(down__predict=[down], predict=[(200, PREDICTION)])
    assert execute(services, regions=("/down/", ""), prepared=PREPARED).result == DONE
    assert services.concluded["prediction"] == PREDICTION | {"failed_regions": [0]}


def test_the_region_that_the_argument_names_first_is_called_once():
    services = Services(predict=[(200, PREDICTION)])
    assert execute(services, regions=("/down/", ""), prepared=PREPARED, regions_of_job=[1, 0]).result == DONE
    assert services.requests.keys() == {"/predict", "/postprocess"}


def test_a_result_that_could_not_be_written_is_not_predicted_again():
    services = Services(predict=[(200, PREDICTION)], postprocess=[DOWN, DOWN, (200, DONE)])
    assert execute(services, prepared=PREPARED).result == DONE
    assert len(services.requests["/predict"]) == 1
    bodies = [request["body"] for request in services.requests["/postprocess"]]
    assert bodies[0] == bodies[1] == bodies[2]


def test_a_refused_result_is_recorded_as_a_failure_of_postprocess():
    failed = {**DONE, "status": "failed"}
    services = Services(predict=[(200, PREDICTION)], postprocess=[(500, "broken"), (200, failed)])
    assert execute(services, prepared=PREPARED).state == "FAILED"
    assert services.concluded["error"]["step"] == "postprocess"


@pytest.mark.parametrize("answer", ["not JSON", {}])
def test_an_answer_of_another_form_still_ends_in_a_document(answer: Any):
    services = Services(predict=[(200, answer)])
    execute(services, prepared=PREPARED)
    assert services.concluded
