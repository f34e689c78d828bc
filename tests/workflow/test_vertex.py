"""Inputs whose model is on an endpoint of Vertex AI: the connector's call, its steps, and what errors become."""

from typing import Any

import pytest

from benchmarks.pipeline.run import PARTS_OF_STEPS
from postprocessing import costs
from tests.workflow.test_fast_path import Entries
from tests.workflow.test_workflow import BATCH, DONE, PREDICTION, PREPARED, Hasty, Services, execute

ENDPOINT = "projects/p/locations/europe-west4/endpoints/7"
PATH = f"/v1/{ENDPOINT}:predict"
MODEL = {"name": "sentiment", "version": "3", "endpoint": ENDPOINT, "task": "text-classification"}
ANSWER = {
    "predictions": [{"label": "POSITIVE", "score": 0.9}],
    "deployedModelId": "42",
    "model": "projects/p/locations/europe-west4/models/sentiment",
    "modelVersionId": "5",
    "modelDisplayName": "sentiment",
}


def services(*answers: tuple[int, Any], **others: Any) -> Services:
    fake = Services(**others)
    fake.answers[PATH] = list(answers)
    return fake


def test_a_prepared_input_is_predicted_by_the_connector():
    fake, entries = services((200, ANSWER)), Entries()
    outcome = execute(fake, observer=entries, prepared=PREPARED, model=MODEL)
    assert outcome.result == DONE
    assert sum(kind not in PARTS_OF_STEPS for kind in entries.types) == costs.PREPARED_ON_ENDPOINT.steps
    (asked,) = fake.requests[PATH]
    assert asked["body"] == {"instances": PREPARED["instances"], "parameters": PREPARED["parameters"]}
    assert asked["headers"]["Authorization"].startswith("Bearer ")
    assert fake.concluded["prediction"] == ANSWER
    assert fake.concluded["lineage"]["service_revisions"] == {"vertex_ai": "42"}
    assert "/predict" not in fake.requests


def test_a_large_input_is_prepared_first():
    fake, entries = services((200, ANSWER), preprocess=[(200, PREPARED)]), Entries()
    assert execute(fake, observer=entries, model=MODEL).result == DONE
    assert sum(kind not in PARTS_OF_STEPS for kind in entries.types) == costs.PREPROCESSED_ON_ENDPOINT.steps
    revisions = {"preprocess": "preprocess-1", "vertex_ai": "42"}
    assert fake.concluded["lineage"]["service_revisions"] == revisions


def test_a_busy_endpoint_is_asked_again():
    fake, clock = services((503, ""), (429, ""), (200, ANSWER)), Hasty()
    assert execute(fake, clock, prepared=PREPARED, model=MODEL).result == DONE
    assert len(fake.requests[PATH]) == 3
    assert clock.waits


@pytest.mark.parametrize("status", [400, 403, 404, 500, 504])
def test_an_error_of_the_api_is_a_failure_that_can_be_replayed(status: int):
    """Never a rejection: the API's code is a number, and its errors are about the endpoint, not about the input."""
    refused = {"error": {"code": status, "message": "no traffic", "status": "FAILED_PRECONDITION"}}
    fake = services((status, refused))
    assert execute(fake, prepared=PREPARED, model=MODEL).state == "FAILED"
    assert fake.concluded["error"] == {"step": "predict", "status": status, "code": None, "message": "no traffic"}


def test_a_shadowed_input_is_shown_to_the_candidate_of_the_gpu_service():
    fake = services((200, ANSWER), predict=[(200, PREDICTION)])
    experiment = {"id": "e", "arm": "stable", "share": 1.0, "mode": "shadow", "candidate": "4"}
    assert execute(fake, prepared=PREPARED, model={**MODEL, "experiment": experiment}).state == "SUCCEEDED"
    (shown,) = fake.requests["/predict"]
    assert shown["body"]["version"] == "4"


def test_a_batch_is_never_sent_to_an_endpoint():
    fake = services((200, ANSWER), preprocess=[(200, BATCH)], predict_shard=[(200, {"failed": {}})])
    execute(fake, kind="table", model=MODEL)
    assert PATH not in fake.requests
