"""Triton's own client, with its defaults: binary tensors in both directions, compression, metadata and errors."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

TEXTS = ["a good film", "bad", "größe 日本"]


@pytest.fixture(scope="module")
def triton(served: Any) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


@pytest.fixture(scope="module")
def expected(served: Any) -> list[dict[str, Any]]:
    predictions: list[dict[str, Any]] = served.http.post("/predict", json={"instances": TEXTS}).json()["predictions"]
    return predictions


def texts(*values: str, binary: bool = True) -> list[InferInput]:
    data = np.array([value.encode() for value in values], dtype=np.object_)
    tensor = InferInput("text", list(data.shape), "BYTES")
    tensor.set_data_from_numpy(data, binary_data=binary)
    return [tensor]


def check(result: Any, expected: list[dict[str, Any]]) -> None:
    labels = [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy("label")]
    assert labels == [prediction["label"] for prediction in expected]
    assert result.as_numpy("score").dtype == np.float32
    assert result.as_numpy("score") == pytest.approx([prediction["score"] for prediction in expected], abs=1e-5)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_coding", [None, "gzip", "deflate"])
def test_inference(
    triton: InferenceServerClient,
    expected: list[dict[str, Any]],
    binary: bool,
    request_coding: str | None,
    response_coding: str | None,
):
    result = triton.infer(
        "moods",
        texts(*TEXTS, binary=binary),
        request_id="42",
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )
    check(result, expected)
    assert not result.as_numpy("truncated").any()
    assert result.as_numpy("truncated").dtype == bool
    assert result.get_response()["id"] == "42"
    assert result.get_response()["model_version"] == "2"


@pytest.mark.parametrize("response_coding", ["gzip", "deflate"])
def test_a_large_compressed_response(triton: InferenceServerClient, response_coding: str):
    result = triton.infer("moods", texts(*["good"] * 100), response_compression_algorithm=response_coding)
    assert len(set(result.as_numpy("label"))) == 1
    assert len(result.as_numpy("scores")) == 100


def test_requested_outputs_and_version(triton: InferenceServerClient, expected: list[dict[str, Any]]):
    outputs = [InferRequestedOutput("score", binary_data=False), InferRequestedOutput("label")]
    result = triton.infer("moods", texts(*TEXTS), model_version="1", outputs=outputs)
    check(result, expected)
    response = result.get_response()
    assert [output["name"] for output in response["outputs"]] == ["score", "label"]
    assert response["model_version"] == "1"
    assert result.as_numpy("scores") is None


def test_concurrent_requests_with_every_option(triton: InferenceServerClient, expected: list[dict[str, Any]]):
    pending = [
        triton.async_infer(
            "moods",
            texts(*TEXTS),
            sequence_id=7,
            sequence_start=True,
            priority=1,
            timeout=1_000_000,
            parameters={"top_k": 1},
        )
        for _ in range(8)
    ]
    for request in pending:
        check(request.get_result(), expected)


def test_an_image_is_its_file(triton: InferenceServerClient):
    png = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(png, "PNG")
    data = np.array([png.getvalue()], dtype=np.object_)
    tensor = InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(data)
    assert triton.infer("shapes", [tensor]).as_numpy("label")[0].decode().startswith("LABEL_")


def test_metadata_and_health(triton: InferenceServerClient):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("moods")
    assert triton.is_model_ready("moods", "1")
    assert not triton.is_model_ready("moods", "9")
    assert not triton.is_model_ready("org/nobody")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    metadata = triton.get_model_metadata("moods")
    assert metadata["versions"] == ["1", "2"]
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["text"]


def test_errors_are_texts(triton: InferenceServerClient):
    classes = [InferRequestedOutput("scores", class_count=2)]
    shared = InferInput("text", [1], "BYTES")
    shared.set_shared_memory("region", 8)
    failures: list[tuple[Any, str, str]] = [
        (lambda: triton.infer("nobody", texts("good")), "404", "There is no model 'nobody'"),
        (lambda: triton.infer("moods", texts("good", "")), "400", "Instance 1: The text is empty."),
        (lambda: triton.infer("moods", texts("good"), outputs=classes), "400", "Classification is not supported"),
        (lambda: triton.infer("moods", [shared]), "400", "Shared memory is not supported"),
        (lambda: triton.get_model_metadata("nobody"), "404", "There is no model 'nobody'"),
        (lambda: triton.get_trace_settings(), "404", "There is no such route"),
        (lambda: triton.infer("moods", texts(*["good"] * 129)), "413", "at most 128 instances"),
        (lambda: triton.infer("moods", texts("a" * (17 << 20))), "413", "at most 16777216 bytes"),
    ]
    for call, status, message in failures:
        with pytest.raises(InferenceServerException) as failure:
            call()
        assert failure.value.status() == status
        assert message in failure.value.message()
    assert triton.is_server_live()


def test_models_are_listed_loaded_and_unloaded(triton: InferenceServerClient):
    def states() -> dict[tuple[str, str], str]:
        return {(model["name"], model["version"]): model["state"] for model in triton.get_model_repository_index()}

    triton.load_model("shapes")
    assert states()["shapes", "1"] == "READY"
    triton.unload_model("shapes")
    assert states()["shapes", "1"] == "UNAVAILABLE"
    triton.load_model("shapes")
    assert states()["shapes", "1"] == "READY"
    with pytest.raises(InferenceServerException, match="no model 'nobody'"):
        triton.load_model("nobody")
    with pytest.raises(InferenceServerException, match="send no parameters"):
        triton.load_model("moods", config="{}")
