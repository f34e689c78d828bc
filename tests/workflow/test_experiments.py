"""Inputs of an experiment: a candidate that is not served is replaced, and one in the shadow affects nothing."""

from typing import Any

import pytest

from tests.workflow.test_workflow import BATCH, DONE, FORECAST, JOB, PREDICTION, SUMMARY, Hasty, Services, execute
from tests.workflow.test_workflow import PREPARED as PREPROCESSED

PREPARED = {"mode": "single", "instances": [{"text": "hello"}], "parameters": {"top_k": 3}}
UNSERVED = (404, {"error": {"code": "model_not_found", "message": "It has no version 2."}})
SPLIT = {"id": "e", "arm": "candidate", "share": 0.5, "mode": "split", "stable": "1"}
SHADOW = {"id": "e", "arm": "stable", "share": 0.5, "mode": "shadow", "candidate": "2"}


def model(experiment: dict[str, Any], version: str) -> dict[str, Any]:
    return {"name": "sentiment", "version": version, "chosen_by": "default", "experiment": experiment}


def versions(services: Services, path: str = "/predict") -> list[str]:
    return [request["body"]["version"] for request in services.requests[path]]


def written(services: Services) -> list[str]:
    """The part of each call of postprocess that it is about."""
    parts = ("prediction", "batch", "error", "shadow")
    return [part for request in services.requests["/postprocess"] for part in parts if part in request["body"]]


@pytest.mark.parametrize("prepared", [PREPARED, None])
def test_the_stable_version_answers_for_a_candidate_that_is_not_served(prepared: dict[str, Any] | None):
    services = Services(preprocess=[(200, PREPROCESSED)], predict=[UNSERVED, UNSERVED, (200, PREDICTION)])
    if prepared is None:
        services.answers["/predict"].pop(0)
    assert execute(services, prepared=prepared, model=model(SPLIT, "2")).result == DONE
    assert versions(services) == (["2", "2", "1"] if prepared else ["2", "1"])
    assert services.concluded["argument"]["model"] == model(SPLIT, "2")


def test_a_model_of_which_no_version_is_served_ends_in_one_error():
    services = Services(predict=[UNSERVED])
    execute(services, prepared=PREPARED, model=model(SPLIT, "2"))
    assert versions(services) == ["2", "2", "1"]
    assert services.concluded["error"]["code"] == "model_not_found"


def test_without_an_experiment_a_model_that_is_not_served_is_asked_for_once():
    services = Services(predict=[UNSERVED])
    execute(services, prepared=PREPARED, model={"name": "sentiment", "version": "2"})
    assert versions(services) == ["2"]


def test_a_busy_candidate_is_not_replaced():
    services = Services(predict=[(503, ""), (503, ""), (200, PREDICTION)])
    assert execute(services, prepared=PREPARED, model=model(SPLIT, "2")).result == DONE
    assert versions(services) == ["2", "2", "2"]


def test_a_batch_changes_to_the_stable_version_as_a_whole():
    batch = BATCH | {"model": model(SPLIT, "2")}
    services = Services(preprocess=[(200, batch)], predict_shard=[(200, SUMMARY), UNSERVED, UNSERVED, (200, SUMMARY)])
    assert execute(services, kind="table").state == "SUCCEEDED"
    assert versions(services, "/predict-shard") == ["2"] * 3 + ["1"] * 3
    assert services.concluded["batch"] == batch | {"errors": []}


@pytest.mark.parametrize("code", ["model_not_found", "model_unavailable"])
def test_a_batch_changes_to_the_stable_version_whatever_else_fails_before(code: str):
    broken = (500, {"error": {"code": "inference_failed", "message": "It does not work."}})
    unserved = (404, {"error": {"code": code, "message": "There is no version 2."}})
    batch = BATCH | {"model": model(SPLIT, "2")}
    services = Services(preprocess=[(200, batch)], predict_shard=[broken, unserved, broken, (200, SUMMARY)])
    assert execute(services, kind="table").state == "SUCCEEDED"
    assert versions(services, "/predict-shard") == ["2"] * 3 + ["1"] * 3
    assert services.concluded["batch"]["errors"] == []


def test_a_batch_without_a_served_candidate_asks_for_it_no_further():
    batch = BATCH | {"model": model(SPLIT, "2"), "shards": 40}
    services = Services(preprocess=[(200, batch)], predict_shard=[UNSERVED] * 4 + [(200, SUMMARY)])
    execute(services, kind="table")
    asked = versions(services, "/predict-shard")
    assert 1 <= asked.count("2") <= 4
    assert asked.count("1") == 40


def test_a_batch_of_which_no_version_is_served_is_tried_twice():
    services = Services(preprocess=[(200, BATCH | {"model": model(SPLIT, "2")})], predict_shard=[UNSERVED])
    execute(services, kind="table")
    assert versions(services, "/predict-shard") == ["2"] * 3 + ["1"] * 3
    assert {error["code"] for error in services.concluded["batch"]["errors"]} == {"model_not_found"}


@pytest.mark.parametrize("prepared", [PREPARED, None])
def test_a_sampled_input_is_shown_to_the_candidate_after_its_document_is_written(prepared: dict[str, Any] | None):
    unseen = {"predictions": [{"label": "dog", "score": 0.5}], "revision": "gpu-2"}
    services = Services(preprocess=[(200, PREPROCESSED)], predict=[(200, PREDICTION), (200, unseen)])
    assert execute(services, prepared=prepared, model=model(SHADOW, "1")).result == DONE
    assert written(services) == ["prediction", "shadow"]
    assert versions(services) == ["1", "2"]
    asked, unasked = (request["body"] for request in services.requests["/predict"])
    assert unasked == asked | {"version": "2"}
    assert services.concluded["shadow"] == {"prediction": unseen, "error": None}
    assert services.concluded["argument"]["model"] == model(SHADOW, "1")


@pytest.mark.parametrize("answer", [UNSERVED, (500, "broken"), (503, ""), (200, "not JSON")])
def test_a_failing_candidate_affects_neither_the_result_nor_the_execution(answer: tuple[int, Any]):
    services, clock = Services(predict=[(200, PREDICTION), answer]), Hasty()
    outcome = execute(services, clock, prepared=PREPARED, model=model(SHADOW, "1"))
    assert (outcome.state, outcome.result) == ("SUCCEEDED", DONE)
    assert written(services) == ["prediction", "shadow"]
    assert sum(clock.waits) <= 3


def test_a_candidate_s_answer_that_cannot_be_kept_affects_nothing():
    services = Services(predict=[(200, PREDICTION)], postprocess=[(200, DONE), (500, "broken")])
    outcome = execute(services, prepared=PREPARED, model=model(SHADOW, "1"))
    assert (outcome.state, outcome.result) == ("SUCCEEDED", DONE)


@pytest.mark.parametrize("status", ["rejected", "failed", "unsuccessful"])
def test_an_input_without_a_result_is_not_shown_to_the_candidate(status: str):
    services = Services(predict=[(200, PREDICTION)], postprocess=[(200, DONE | {"status": status})])
    execute(services, prepared=PREPARED, model=model(SHADOW, "1"))
    assert versions(services) == ["1"]


def test_an_execution_that_has_no_instances_shows_the_candidate_none():
    """Another execution wrote the result, whose status postprocess answers to the error of this one."""
    services = Services(preprocess=[(500, "broken")], postprocess=[(200, DONE)])
    assert execute(services, prepared=None, model=model(SHADOW, "1")).result == DONE
    assert written(services) == ["error"]


def test_a_series_is_never_shown_to_a_candidate():
    services = Services(forecast=[(200, FORECAST)])
    assert execute(services, kind="timeseries", model=None).result == {**DONE, "job": JOB["job"]}
    assert written(services) == ["prediction"]
