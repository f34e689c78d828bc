"""The Open Inference Protocol: JSON and binary tensors, requested outputs, metadata, and errors as a text."""

import base64
import io
import json
import struct
from typing import Any

import pytest
from PIL import Image

TEXTS = ["good", "bad film"]
PNG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PNG, "PNG")
HEADER = "inference-header-content-length"


def tensor(data: list[Any], name: str = "text", **fields: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [len(data)], "data": data, **fields}


def packed(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def post_binary(
    client: Any, binary: bytes, model: str = "moods", count: int = 2, size: Any = None, **fields: Any
) -> Any:
    parameters = {"binary_data_size": len(binary) if size is None else size}
    name = "image" if model == "shapes" else "text"
    given = {"name": name, "datatype": "BYTES", "shape": [count], "parameters": parameters}
    head = json.dumps({"inputs": [given], **fields}).encode()
    return client.post(f"/v2/models/{model}/infer", content=head + binary, headers={HEADER: str(len(head))})


def test_outputs_are_the_predictions(client):
    request = {"id": "42", "inputs": [tensor(TEXTS)]}
    body = client.post("/v2/models/moods/infer", request).json()
    plain = client.post("/predict", {"instances": TEXTS}).json()["predictions"]
    assert (body["model_name"], body["model_version"], body["id"]) == ("moods", "2", "42")
    outputs = {output["name"]: output["data"] for output in body["outputs"]}
    assert outputs["label"] == [prediction["label"] for prediction in plain]
    assert outputs["score"] == pytest.approx([prediction["score"] for prediction in plain], abs=1e-5)
    assert client.post("/v2/models/moods/versions/1/infer", request).json()["model_version"] == "1"


def test_only_the_requested_outputs_are_returned_in_order(client):
    outputs = [{"name": "score"}, {"name": "label", "parameters": {"binary_data": False}}]
    body = client.post("/v2/models/moods/infer", {"inputs": [tensor(TEXTS)], "outputs": outputs}).json()
    assert [output["name"] for output in body["outputs"]] == ["score", "label"]
    assert "id" not in body


@pytest.mark.parametrize(
    ("shape", "data"), [([2, 1], [["good"], ["bad film"]]), ([1, 2], [["good", "bad film"]]), ([2, 1], TEXTS)]
)
def test_a_tensor_may_be_nested(client, shape: list[int], data: list[Any]):
    nested = client.post("/v2/models/moods/infer", {"inputs": [tensor(data, shape=shape)]}).json()
    assert nested == client.post("/v2/models/moods/infer", {"inputs": [tensor(TEXTS)]}).json()


def test_tensors_may_be_binary_in_both_directions(client):
    plain = client.post("/v2/models/moods/infer", {"inputs": [tensor(TEXTS)]}).json()["outputs"]
    texts = packed(*(text.encode() for text in TEXTS))
    answer = post_binary(client, texts, parameters={"binary_data_output": True})
    size = int(answer.headers[HEADER])
    assert answer.headers["content-type"] == "application/octet-stream"
    outputs = json.loads(answer.content[:size])["outputs"]
    rest = answer.content[size:]
    parts = {}
    for output in outputs:
        assert "data" not in output
        length = output["parameters"]["binary_data_size"]
        parts[output["name"]], rest = rest[:length], rest[length:]
    assert rest == b""
    columns = {output["name"]: output["data"] for output in plain}
    assert parts["label"] == packed(*(label.encode() for label in columns["label"]))
    assert struct.unpack("<2f", parts["score"]) == pytest.approx(columns["score"], abs=1e-5)
    assert parts["truncated"] == b"\0\0"


def test_each_output_chooses_its_form(client):
    outputs = [{"name": "label"}, {"name": "score", "parameters": {"binary_data": False}}]
    request = {"inputs": [tensor(TEXTS)], "outputs": outputs, "parameters": {"binary_data_output": True}}
    answer = client.post("/v2/models/moods/infer", request)
    label, score = json.loads(answer.content[: int(answer.headers[HEADER])])["outputs"]
    assert "binary_data_size" in label["parameters"]
    assert len(score["data"]) == 2


@pytest.mark.parametrize("content", [PNG.getvalue(), base64.b64encode(PNG.getvalue())], ids=["file", "base64"])
def test_a_binary_image_is_a_file_or_base64(client, content: bytes):
    plain = tensor([base64.b64encode(PNG.getvalue()).decode()], "image")
    expected = client.post("/v2/models/shapes/infer", {"inputs": [plain]}).json()
    assert post_binary(client, packed(content), "shapes", 1).json() == expected


def test_clients_own_parameters_are_no_prediction_parameters(client):
    parameters = {"sequence_id": 7, "sequence_start": True, "sequence_end": False, "priority": 1, "timeout": 9}
    request = {"inputs": [tensor(["good"])], "parameters": {**parameters, "top_k": 1}}
    outputs = client.post("/v2/models/moods/infer", request).json()["outputs"]
    assert len(json.loads(outputs[2]["data"][0])) == 1


def test_metadata_and_health(client):
    metadata = client.get("/v2/models/moods").json()
    assert metadata["versions"] == ["1", "2"]
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in metadata["outputs"]] == ["label", "score", "scores", "truncated"]
    assert client.get("/v2/models/shapes").json()["inputs"][0]["name"] == "image"
    assert client.get("/v2/models/moods/ready").json()["ready"] is True
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data", "model_repository"]
    assert client.get("/v2/models").json() == {"models": ["moods", "shapes"]}


GOOD = tensor(["good"])
BAD_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"inputs": []}, "one input"),
    ({"inputs": [GOOD, GOOD]}, "one input"),
    ({"inputs": [tensor([1], datatype="FP32")]}, "BYTES"),
    ({"inputs": [tensor(["a"], shape=[2])]}, "as many elements"),
    ({"inputs": [tensor([], shape=[0])]}, "must have data"),
    ({"inputs": [tensor(["a"], shape=[-1])]}, "shape"),
    ({"inputs": [tensor(["a", ""])]}, "Instance 1: The text is empty."),
    ({"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1]}]}, "data"),
    ({"inputs": [tensor(["a"], parameters={"binary_data_size": 1})]}, "either data or"),
    ({"inputs": [tensor(["a"], parameters={"shared_memory_region": "x"})]}, "Shared memory"),
    ({"inputs": [GOOD], "outputs": [{"name": "logits"}]}, "There is no output 'logits'; choose of label, score"),
    ({"inputs": [GOOD], "outputs": [{"name": "scores", "parameters": {"classification": 2}}]}, "Classification"),
    ({"inputs": [GOOD], "outputs": [{"name": "label", "parameters": {"shared_memory_region": "x"}}]}, "Shared"),
    ({"inputs": [GOOD], "outputs": [{"name": "label", "parameters": {"binary_data": 1}}]}, "true or false"),
    ({"inputs": [GOOD], "parameters": {"binary_data_output": "yes"}}, "true or false"),
    ({"inputs": [GOOD], "parameters": {"top_k": 0}}, "top_k must be"),
    ({"inputs": [tensor(["aGk="], name="image")]}, "kind image"),
]


@pytest.mark.parametrize(("request_", "text"), BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
def test_a_bad_request_gets_a_text(client, request_: dict[str, Any], text: str):
    answer = client.post("/v2/models/moods/infer", request_)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert text in answer.json()["error"]


@pytest.mark.parametrize(
    ("binary", "count", "size"),
    [
        (b"", 1, None),
        (b"\1\0\0", 1, None),
        (b"\5\0\0\0abcd", 1, None),
        (b"\xff\xff\xff\xffabcd", 1, None),
        (packed(b"good"), 2, None),
        (packed(b"good"), 1, 7),
        (packed(b"good"), 1, 9),
        (packed(b"good"), 1, -8),
        (packed(b"good"), 1, 8.5),
        (packed(b"good"), 1, "8"),
        (packed(b"\xff\xfe"), 1, None),
    ],
)
def test_bad_binary_data_are_refused(client, binary: bytes, count: int, size: Any):
    answer = post_binary(client, binary, count=count, size=size)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("length", ["x", "", "-1", "99999", "9" * 5000, "1.0"])
def test_a_wrong_length_of_the_json_is_refused(client, length: str):
    content = json.dumps({"inputs": [GOOD]}).encode()
    answer = client.post("/v2/models/moods/infer", content=content, headers={HEADER: length})
    assert answer.status_code == 400
    assert "Inference-Header-Content-Length" in answer.json()["error"]


def test_very_many_binary_elements_are_refused(client):
    answer = post_binary(client, packed(*[b""] * 1_000_000), count=1_000_000)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/nobody", 404),
        ("GET", "/v2/models/moods/versions/9/ready", 404),
        ("POST", "/v2/models/nobody/infer", 404),
        ("POST", "/v2/repository/models/nobody/load", 404),
        ("POST", "/v2/repository/nowhere", 404),
        ("GET", "/v2/repository/index", 405),
        ("POST", "/v2", 405),
        ("GET", "/v2/models/moods/infer", 405),
    ],
)
def test_routes_fail_with_a_text(client, method: str, path: str, status: int):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)
