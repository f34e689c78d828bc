"""How many shards run at a time, and how many failures point to the device."""

import asyncio
import base64
import io
import json
from collections.abc import Iterator

import pytest
from google.cloud import storage
from PIL import Image

PNG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PNG, "PNG")
IMAGE = json.dumps({"image": {"b64": base64.b64encode(PNG.getvalue()).decode()}})
TEXT = json.dumps({"text": "a good film"})


@pytest.fixture
def sick_text_model(client) -> Iterator[None]:
    """The text model answers NaN; the image model is well."""
    words = client.app.service.catalog.models["moods@2"].network.words
    kept = words.clone()
    words.fill_(float("nan"))
    yield
    words.copy_(kept)


def put(gcs: storage.Client, name: str, lines: list[str]) -> dict[str, str]:
    gcs.bucket("work").blob(f"shards/{name}").upload_from_string("".join(line + "\n" for line in lines))
    return {"input": f"gs://work/shards/{name}", "output": f"gs://work/shards/{name}.out"}


@pytest.mark.usefixtures("sick_text_model")
@pytest.mark.parametrize(
    ("texts", "images", "status"), [(15, 0, 200), (16, 0, 503), (16, 15, 503), (16, 16, 200), (17, 16, 503)]
)
def test_a_model_that_fails_on_most_of_many_records_fails_the_shard(
    client, gcs: storage.Client, texts: int, images: int, status: int
):
    body = put(gcs, f"sick-{texts}-{images}", [TEXT] * texts + [IMAGE] * images)
    answer = client.post("/predict-shard", body)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["failed"] == {"inference_failed": texts}
        assert answer.json()["succeeded"] == images
    else:
        assert gcs.bucket("work").get_blob(f"shards/sick-{texts}-{images}.out") is None


def test_more_shards_than_run_at_a_time_are_refused_until_one_has_ended(client, gcs: storage.Client):
    bodies = [put(gcs, f"crowd-{number}", [TEXT] * 3) for number in range(18)]
    missing = {"input": "gs://work/shards/none", "output": "gs://work/shards/none.out"}

    async def post_all() -> list[tuple[int, str | None]]:
        posts = (client.http.post("/predict-shard", json=body) for body in bodies)
        return [(answer.status_code, answer.headers.get("retry-after")) for answer in await asyncio.gather(*posts)]

    for _ in range(20):  # what fails makes room, too
        assert client.post("/predict-shard", missing).status_code == 404
    answers = client.runner.run(post_all())
    assert answers.count((200, None)) == 16
    assert answers.count((429, "10")) == 2
    for body in bodies:
        assert client.post("/predict-shard", body).status_code == 200


def test_the_figures_of_a_shard_are_those_of_all_its_windows(client, gcs: storage.Client):
    body = put(gcs, "figures", [TEXT, '{"text": ""}', IMAGE, '{"text": ""}', "5"] * 3)
    answer = client.post("/predict-shard", body).json()
    assert (answer["records"], answer["succeeded"]) == (15, 6)
    assert answer["failed"] == {"empty": 6, "invalid_instance": 3}
    timing = answer["timing"]
    assert timing["inference_ms"] == pytest.approx(1000 * timing["gpu_seconds"], abs=0.001)
    assert 0 <= timing["queue_ms"] < 60_000
    again = client.post("/predict-shard", body).json()
    assert again == answer | {"timing": timing | {"queue_ms": 0}}
