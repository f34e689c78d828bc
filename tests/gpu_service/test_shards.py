"""Shards and instances in Cloud Storage: the official client against the emulated store, over HTTP."""

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import storage
from PIL import Image

from gpu_service import shards

PNG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PNG, "PNG")


@pytest.fixture
def put(gcs: storage.Client) -> Callable[..., str]:
    def put(name: str, data: bytes | str, bucket: str = "work") -> str:
        gcs.bucket(bucket).blob(name).upload_from_string(data)
        return f"gs://{bucket}/{name}"

    return put


def read(gcs: storage.Client, uri: str) -> list[dict[str, Any]]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return [json.loads(line) for line in gcs.bucket(bucket).blob(name).download_as_bytes().splitlines()]


def test_a_shard_has_one_line_out_for_each_line_in(client, gcs: storage.Client, put: Callable[..., str]):
    image = {"image": {"b64": base64.b64encode(PNG.getvalue()).decode()}}
    uri = put("picture.png", PNG.getvalue(), "input")
    lines = [
        '{"text": "a good film"}', "not json", '{"text": ""}', '{"text": 7}', "5", json.dumps(image),
        json.dumps({"uri": uri}), '{"uri": "gs://other/x"}', '{"uri": "gs://input/missing"}', '"dull"', "", "[" * 3000,
    ]  # fmt: skip
    source, target = put("mixed.jsonl", "\n".join(lines)), "gs://work/mixed.out.jsonl"
    answer = client.post(
        "/predict-shard", {"input": source, "output": target, "offset": 100, "parameters": {"top_k": 2}}
    )
    assert answer.status_code == 200
    written = read(gcs, target)
    assert [line["index"] for line in written] == list(range(100, 112))
    assert [line.get("error", {}).get("code") for line in written] == [
        None, "invalid_json", "empty", "invalid_text", "invalid_instance", None, None, "bucket_not_allowed",
        "object_not_found", None, "invalid_json", "invalid_json",
    ]  # fmt: skip
    assert all(
        len(line["scores"]) == 2 and line["score"] == max(line["scores"].values())
        for line in written
        if "label" in line
    )
    body = answer.json()
    assert (body["output"], body["records"], body["succeeded"]) == (target, 12, 4)
    assert body["failed"]["invalid_json"] == 3
    assert sum(body["failed"].values()) == 8
    assert (body["device"], body["revision"]) == ("cpu", "local")
    assert body["timing"]["gpu_seconds"] > 0
    alone = client.post("/predict", {"text": "a good film"}).json()["predictions"][0]
    assert written[0]["score"] == pytest.approx(alone["score"], abs=1e-5)


def test_many_records_keep_their_order_across_chunks_and_uploads(
    client, gcs: storage.Client, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shards, "CHUNK", 50)
    monkeypatch.setattr("gpu_service.storage.CHUNK_BYTES", 256 * 1024)
    words = ["good", "bad film", "dull and long " * 5]
    source = put("many.jsonl", "".join(json.dumps({"text": words[n % 3]}) + "\n" for n in range(3_001)))
    answer = client.post("/predict-shard", {"input": source, "output": "gs://work/many.out", "model": "moods"}).json()
    written = read(gcs, "gs://work/many.out")
    assert answer["records"] == answer["succeeded"] == len(written) == 3_001
    assert [line["index"] for line in written] == list(range(3_001))
    plain = client.post("/predict", {"instances": words}).json()["predictions"]
    for n, line in enumerate(written):
        assert line["scores"] == pytest.approx(plain[n % 3]["scores"], abs=1e-5)


def test_a_complete_output_is_kept_and_summarised(client, gcs: storage.Client, put: Callable[..., str]):
    source = put("twice.jsonl", '{"text": "good"}\n{"text": ""}\n')
    body = {"input": source, "output": "gs://work/twice.out", "offset": 0}
    first = client.post("/predict-shard", body).json()
    generation = gcs.bucket("work").get_blob("twice.out").generation
    second = client.post("/predict-shard", body).json()
    assert gcs.bucket("work").get_blob("twice.out").generation == generation
    assert {**second, "timing": None} == {**first, "timing": None}
    assert second["timing"]["gpu_seconds"] == 0


def test_an_output_of_another_input_is_replaced(client, gcs: storage.Client, put: Callable[..., str]):
    body = {"input": put("changed.jsonl", '"good"\n'), "output": "gs://work/changed.out"}
    assert client.post("/predict-shard", body).json()["records"] == 1
    put("changed.jsonl", '"good"\n"bad"\n')
    assert client.post("/predict-shard", body).json()["records"] == 2
    assert len(read(gcs, "gs://work/changed.out")) == 2


def test_the_one_who_comes_second_keeps_what_the_first_wrote(
    client, gcs: storage.Client, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    """Both begin before there is an output; another's appears just before ours is complete."""
    body = {"input": put("race.jsonl", '"good"\n'), "output": "gs://work/race.out"}
    close = shards.Work._close

    def close_late(work: shards.Work, output: Any) -> None:
        blob = gcs.bucket("work").blob("race.out")
        blob.metadata = output.blob.metadata
        blob.upload_from_string(b'{"index": 0, "label": "theirs", "score": 1, "scores": {}}\n')
        close(work, output)

    monkeypatch.setattr(shards.Work, "_close", close_late)
    answer = client.post("/predict-shard", body)
    assert (answer.status_code, answer.json()["records"]) == (200, 1)
    assert read(gcs, "gs://work/race.out")[0]["label"] == "theirs"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"input": "gs://work/nothing-here"}, 404, "object_not_found"),
        ({"input": "gs://other/x"}, 400, "bucket_not_allowed"),
        ({"output": "gs://other/x"}, 400, "bucket_not_allowed"),
        ({"output": "work/x"}, 400, "invalid_uri"),
        ({"offset": -1}, 400, "malformed_request"),
        ({"offset": "0"}, 400, "malformed_request"),
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"parameters": {"top_k": "5"}}, 400, "invalid_parameters"),
    ],
)
def test_a_shard_that_cannot_be_predicted_on(
    client, put: Callable[..., str], change: dict[str, Any], status: int, code: str
):
    body = {"input": put("fine.jsonl", '"good"\n'), "output": "gs://work/fine.out", **change}
    answer = client.post("/predict-shard", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_an_empty_shard_has_an_empty_output(client, gcs: storage.Client, put: Callable[..., str]):
    answer = client.post("/predict-shard", {"input": put("empty.jsonl", ""), "output": "gs://work/empty.out"}).json()
    assert (answer["records"], answer["failed"]) == (0, {})
    assert read(gcs, "gs://work/empty.out") == []


def test_instances_may_lie_in_storage(client, put: Callable[..., str]):
    text, picture = put("note.txt", "a good film", "input"), put("dot.png", PNG.getvalue(), "input")
    instances = [{"uri": text}, {"uri": picture}, {"uri": "gs://other/x"}, {"uri": "gs://input/missing"}, {"uri": "x"}]
    predictions = client.post("/predict", {"instances": instances}).json()["predictions"]
    codes = [prediction.get("error", {}).get("code") for prediction in predictions]
    assert codes == [None, None, "bucket_not_allowed", "object_not_found", "invalid_uri"]
    inline = client.post("/predict", {"text": "a good film"}).json()["predictions"][0]
    assert predictions[0]["score"] == pytest.approx(inline["score"], abs=1e-5)
