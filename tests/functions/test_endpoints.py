"""Answers of Vertex AI's endpoints become documents like any other, with the model that was asked."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from emulator.vertex_ai.predictions import MAX_PAYLOAD
from pipeline.inputs.pubsub import inline
from preprocessing import staging
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function
from tests.functions.test_postprocess import BAD, GOOD, LINEAGE, argument, concluded

pytestmark = pytest.mark.usefixtures("check_documents")

ENDPOINT = "projects/p/locations/us-central1/endpoints/7"
MODEL = {"name": "sentiment", "version": "2", "chosen_by": "requested", "endpoint": ENDPOINT}
TASK = {"task": "text-classification"}


@pytest.fixture
def postprocess(function: Function) -> FlaskClient:
    return function("postprocess")


def answer(*predictions: dict[str, Any]) -> dict[str, Any]:
    registered = {"model": "projects/p/locations/us-central1/models/sentiment", "modelVersionId": "5"}
    return {"predictions": list(predictions), "deployedModelId": "42", "modelDisplayName": "sentiment", **registered}


def test_the_document_names_the_model_and_where_it_ran(cloud: Cloud, postprocess: FlaskClient) -> None:
    arg = argument(cloud) | {"model": {**MODEL, **TASK}}
    lineage = {**LINEAGE, "service_revisions": {"vertex_ai": "42"}}
    concluded(postprocess, {"argument": arg, "prediction": answer(GOOD), "lineage": lineage})
    document = cloud.only_document()
    revision = {"source": ENDPOINT, "revision": "sentiment@5"}
    assert document["model"] == {"name": "sentiment", "version": "2", **TASK, **revision}
    assert document["predictions"] == [GOOD]
    assert document["lineage"]["device"] == "vertex_ai"
    assert document["lineage"]["service_revisions"]["vertex_ai"] == "42"
    assert document["timing"]["inference_ms"] is None
    assert document["cost"]["device"] == {"seconds": 0.0, "usd": 0.0}
    assert document["quality"]["high_confidence"]


def test_requests_stay_below_the_limit_of_an_endpoint() -> None:
    """A reference takes about 120 bytes."""
    references = 200 * inline.MAX_INSTANCES
    assert staging.INLINE_BYTES + references < MAX_PAYLOAD / 2


def test_an_instance_that_the_model_cannot_read_is_rejected(cloud: Cloud, postprocess: FlaskClient) -> None:
    concluded(postprocess, {"argument": argument(cloud) | {"model": MODEL}, "prediction": answer(BAD)})
    assert cloud.only_document()["reason"]["code"] == "too_long"


@pytest.mark.parametrize("broken", [{"predictions": [GOOD]}, {**answer(), "predictions": []}, {"modelVersionId": 5}])
def test_an_answer_of_another_shape_is_not_recorded(cloud: Cloud, postprocess: FlaskClient, broken: Any) -> None:
    body = {"argument": argument(cloud) | {"model": MODEL}, "prediction": broken, "lineage": LINEAGE}
    assert postprocess.post("/", json=body).status_code == 400
    assert cloud.documents() == {}
