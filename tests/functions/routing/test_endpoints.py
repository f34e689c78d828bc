"""Models on an endpoint of Vertex AI: what travels to the workflow, and what is refused."""

import json
from typing import Any

import pytest

from pipeline.routing import models
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published
from tests.functions.models_bucket import ModelsBucket, entry, split
from tests.functions.routing.test_choice import started

ENDPOINT = "projects/p/locations/us-central1/endpoints/7"
ON_VERTEX = {**entry("sentiment", "2"), "engine": "vertex", "endpoint": ENDPOINT}
PLACE = {"endpoint": ENDPOINT, "task": "text-classification"}


def test_a_requested_version_goes_to_its_endpoint(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(entry("sentiment", "1", default=True), ON_VERTEX)
    model = started(cloud, function, metadata={"model": "sentiment", "version": "2"})["model"]
    assert model == {"name": "sentiment", "version": "2", "chosen_by": "requested", "version_by": "requested", **PLACE}
    assert "endpoint" not in started(cloud, function, metadata={"model": "sentiment"})["model"]


@pytest.mark.parametrize("metadata", [{}, {"model": "sentiment"}])
def test_the_default_goes_to_its_endpoint(
    cloud: Cloud, function: Function, bucket: ModelsBucket, metadata: dict[str, str]
) -> None:
    bucket.models(entry("sentiment", "1"), {**ON_VERTEX, "default": True})
    model = started(cloud, function, metadata=metadata)["model"]
    assert (model["version"], model["endpoint"]) == ("2", ENDPOINT)


def test_a_split_sends_its_candidate_to_the_endpoint(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(entry("sentiment", "1"), ON_VERTEX)
    bucket.traffic(sentiment=split(1.0))
    model = started(cloud, function)["model"]
    assert (model["version"], model["endpoint"], model["experiment"]["arm"]) == ("2", ENDPOINT, "candidate")


def test_a_message_goes_to_the_endpoint(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models({**ON_VERTEX, "default": True})
    data = json.dumps({"instances": [{"text": "What a film."}]}).encode()
    function("on_message").post("/", **published(data, "1"))
    assert cloud.executions.arguments[-1]["model"]["endpoint"] == ENDPOINT


@pytest.mark.usefixtures("check_documents")
def test_a_table_is_rejected_with_what_to_do(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(entry("sentiment", "1"), ON_VERTEX)
    blob = cloud.upload("a.csv", "review\nWhat a film.\n", metadata={"model": "sentiment", "version": "2"})
    function("on_upload").post("/", **finalized(blob))
    document = cloud.only_document()
    assert document["reason"]["code"] == "invalid_parameters"
    assert "Choose another model or version for tables" in document["reason"]["message"]
    assert document["kind"] == "table"


@pytest.mark.parametrize("metadata", [{}, {"model": "sentiment"}])
def test_a_table_that_names_no_version_is_left_to_the_gpu_service(
    cloud: Cloud, function: Function, bucket: ModelsBucket, metadata: dict[str, str]
) -> None:
    bucket.models(entry("sentiment", "1"), {**ON_VERTEX, "default": True})
    argument = started(cloud, function, "review\nWhat a film.\n", name="a.csv", metadata=metadata)
    answer = function("preprocess").post("/", json=argument).json
    assert answer is not None
    assert "endpoint" not in (answer["model"] or {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "cpu"}, "must be one of gpu_service, vertex"),
        ({"engine": "vertex"}, "needs both the engine vertex and an endpoint"),
        ({"endpoint": ENDPOINT}, "needs both the engine vertex and an endpoint"),
        ({"engine": "vertex", "endpoint": "7"}, "must be projects/P/locations/REGION/endpoints/ID"),
        ({"engine": "vertex", "endpoint": 7}, "must be projects/P/locations/REGION/endpoints/ID"),
    ],
)
def test_mistakes_are_refused(changes: dict[str, Any], message: str) -> None:
    content = json.dumps({"mine": [{**entry("sentiment", "1"), **changes}]}).encode()
    with pytest.raises(ValueError, match=message):
        models.parse(content, "mine")
