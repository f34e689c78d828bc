"""Which values shape a prediction: the instance's, the request's, the model's, the deployment's, by every protocol."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gpu_service import parameters
from gpu_service.errors import StartError
from gpu_service.settings import Settings
from tests.gpu_service.conftest import Client

TEXT = "a good film " * 20
PNG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PNG, "PNG")
IMAGE = {"image": {"b64": base64.b64encode(PNG.getvalue()).decode()}}
DEPLOYMENT = parameters.of_deployment({"PARAMETERS": "top_k=2,high_confidence=0.7", "MAX_TOKENS": "32"})


@pytest.fixture(scope="module")
def own(folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service with defaults of its own: `plain` has those of the deployment, `tuned` others."""
    text = {"task": "text-classification", "source": str(folder("distilbert"))}
    entries = [
        {"name": "plain", **text, "default": True},
        {"name": "tuned", **text, "parameters": {"top_k": 1, "max_length": 16.0}, "thresholds": {"requires_review": 0}},
        {"name": "shapes", "task": "image-classification", "source": str(folder("vit"))},
    ]
    path = tmp_path_factory.mktemp("own") / "models.json"
    path.write_text(json.dumps({"test": entries}))
    settings = Settings(profile="test", models=path, device="cpu", work_bucket="work", parameters=DEPLOYMENT)
    client = Client(settings)
    yield client
    client.close()


def predict(client: Client, *instances: Any, **body: Any) -> dict[str, Any]:
    response = client.post("/predict", {"instances": list(instances), **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_deployment_s_values_are_the_defaults(own: Client):
    answer = predict(own, TEXT)
    assert answer["parameters"] == {
        "top_k": 2,
        "threshold": 0.0,
        "max_length": 32,
        "high_confidence": 0.7,
        "requires_review": 0.6,
    }
    (prediction,) = answer["predictions"]
    assert (len(prediction["scores"]), prediction["truncated"]) == (2, True)


def test_the_model_s_values_precede_the_deployment_s_and_the_request_s_both(own: Client):
    tuned = predict(own, TEXT, model="tuned")
    assert tuned["parameters"].items() >= {"top_k": 1, "max_length": 16, "requires_review": 0.0}.items()
    requested = {"top_k": 3.0, "max_length": 20, "high_confidence": 0.1}
    chosen = predict(own, TEXT, model="tuned", parameters=requested)
    assert chosen["parameters"].items() >= requested.items()
    assert chosen["parameters"]["requires_review"] == 0.0
    assert len(chosen["predictions"][0]["scores"]) == 3


def test_no_request_reads_more_tokens_than_the_deployment_allows(own: Client):
    answer = predict(own, TEXT, parameters={"max_length": 1000})
    assert answer["parameters"]["max_length"] == 32
    assert answer["predictions"] == predict(own, TEXT)["predictions"]


@pytest.mark.parametrize("length", [8, 9, 16, 31])
def test_max_length_reads_as_the_tokenizer_would(own: Client, length: int):
    words = length - 2  # beside [CLS] and [SEP]
    cut = predict(own, " ".join(["good"] * 40), parameters={"max_length": length})["predictions"][0]
    short = predict(own, " ".join(["good"] * words), parameters={"max_length": length})["predictions"][0]
    assert cut.pop("truncated") is True
    assert "truncated" not in short
    assert cut["score"] == pytest.approx(short["score"], abs=1e-6)


def test_scores_below_the_threshold_are_left_out(own: Client):
    everything = predict(own, TEXT, parameters={"top_k": 10})["predictions"][0]
    second = sorted(everything["scores"].values())[-2]
    some = predict(own, TEXT, parameters={"top_k": 10, "threshold": second})["predictions"][0]
    assert len(some["scores"]) == 2
    none = predict(own, TEXT, parameters={"threshold": 1})["predictions"][0]
    assert none["scores"] == {}
    assert (none["label"], none["score"]) == (everything["label"], everything["score"])


def test_an_instance_s_own_parameters_precede_the_request_s(own: Client):
    instances = [{"text": TEXT, "parameters": {"top_k": 1}}, {"text": TEXT, "parameters": None}, TEXT]
    answer = predict(own, *instances, parameters={"top_k": 3})
    assert [len(prediction["scores"]) for prediction in answer["predictions"]] == [1, 3, 3]
    assert answer["parameters"]["top_k"] == 3


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"text": "a", "parameters": {"topk": 1}}, "'topk' is not a parameter (did you mean top_k?); use one of top_k"),
        ({"text": "a", "parameters": {"top_k": 0}}, "top_k must be a whole number from 1 to 1000, not 0."),
        ({"text": "a", "parameters": {"score_columns": True}}, "'score_columns' is not a parameter; use one of"),
        ({"text": "a", "parameters": [1]}, "parameters must be an object."),
        (IMAGE | {"parameters": {"max_length": 8}}, "max_length does not apply to image-classification; use one of"),
    ],
)
def test_an_instance_with_bad_parameters_fails_alone(own: Client, instance: dict[str, Any], message: str):
    good, bad = predict(own, "a good film", instance)["predictions"]
    assert "label" in good
    assert bad["error"]["code"] == "invalid_parameters"
    assert bad["error"]["message"].startswith(message)


def test_a_request_without_a_model_gives_each_model_the_parameters_that_apply(own: Client):
    answer = predict(own, IMAGE, TEXT, parameters={"max_length": 8, "top_k": 1})
    assert [len(prediction["scores"]) for prediction in answer["predictions"]] == [1, 1]
    assert "max_length" not in answer["parameters"]  # which are those of the first instance's model


BAD = [
    ({"topk": 1}, "'topk' is not a parameter (did you mean top_k?); use one of top_k, "),
    ({"horizon": 7}, "'horizon' is not a parameter; use one of top_k, "),
    ({"threshold": "0.5"}, "threshold must be a number from 0 to 1, not '0.5'."),
]


@pytest.mark.parametrize(("requested", "message"), BAD, ids=str)
@pytest.mark.parametrize("path", ["/predict", "/v1/models/plain:predict", "/v2/models/plain/infer", "/predict-shard"])
def test_every_protocol_refuses_bad_parameters_in_the_same_words(
    own: Client, path: str, requested: dict[str, Any], message: str
):
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    shard = {"input": "gs://work/shards/a", "output": "gs://work/shards/b"}
    response = own.post(path, {**shard, "instances": ["a"], "inputs": [tensor], "parameters": requested})
    assert response.status_code == 400
    assert "invalid_parameters" in response.text or path.startswith("/v2")
    assert message.replace("'", "’") in response.text.replace("'", "’")


@pytest.mark.parametrize(
    "entry",
    [
        {"parameters": {"topk": 1}},
        {"parameters": {"horizon": 1}},
        {"thresholds": {"low_confidence": 0.1}},
        {"thresholds": {"high_confidence": 80}},
    ],
    ids=str,
)
def test_bad_defaults_of_a_model_end_the_start(folder: Callable[[str], Path], tmp_path: Path, entry: dict[str, Any]):
    path = tmp_path / "models.json"
    model = {"name": "a", "task": "text-classification", "source": str(folder("distilbert")), **entry}
    path.write_text(json.dumps({"test": [model]}))
    with pytest.raises(StartError, match=r"is not a parameter; use|did you mean|must be a number"):
        Client(Settings(profile="test", models=path, device="cpu"))
