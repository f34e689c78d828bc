"""The same content gets the same answer by every way in: alone, packed, in messages, manifests, tables and requests."""

import base64
import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import transformers
from google.cloud import storage
from google.cloud.pubsub_v1 import PublisherClient
from PIL import Image

from emulator.process import Stack
from tests.gpu_service.parity import images
from tests.stack import changed

ROOT = Path(__file__).parents[2]
SIDE = 384
TEXT = "  What a delightful, warm and funny film!  \u00e9 "
PICTURE = images.encoded(images.photo(700, 520, 7))  # too large for the workflow's variables
SMALL = images.encoded(images.photo(90, 70, 8))

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image classifier of 384 pixels with random weights."""
    folder = tmp_path_factory.mktemp("wide")
    images.folder_of("ViT", images.named("ViT", size=SIDE), image_size=SIDE, patch_size=32)(folder)
    return folder


@pytest.fixture(scope="module")
def stack(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("ways")
    sentiment = str(ROOT / "gpu_service" / "models" / "sentiment")
    entries = [
        {"name": "sentiment", "version": "1", "task": "text-classification", "source": sentiment, "default": True},
        {"name": "wide", "version": "1", "task": "image-classification", "source": str(checkpoint), "default": True},
    ]
    (folder / "models.json").write_text(json.dumps({"ways": entries}))
    content = changed.description()
    serve = ["python", "-m", "gpu_service", "--models", str(folder / "models.json"), "--profile", "ways"]
    content["services"]["gpu-service"]["command"] = [*serve, "--port", "{port}"]
    with changed.started(folder, content) as running:
        yield running


@dataclass
class Ways:
    """Sends one content by each way in; each returns its prediction."""

    stack: Stack
    client: storage.Client
    kind: str
    content: bytes
    extension: str
    name: str

    @property
    def inline(self) -> dict[str, Any]:
        if self.kind == "text":
            return {"text": self.content.decode()}
        return {"image": {"b64": base64.b64encode(self.content).decode()}}

    def of(self) -> dict[str, Callable[[], dict[str, Any]]]:
        ways = {
            "upload": lambda: self.uploaded(f"{self.name}{self.extension}", self.content),
            "packed upload": lambda: self.uploaded(f"{self.name}{self.extension}.gz", gzip.compress(self.content)),
            "message": lambda: self.published({"instances": [self.inline]})["predictions"][0],
            "manifest by upload": lambda: self.uploaded(f"{self.name}.manifest.json", self.manifest("uploaded")),
            "manifest by message": lambda: self.of_manifest("sent"),
            "JSON line": lambda: self.uploaded(f"{self.name}.jsonl", self.lines()),
            "JSON line that refers": lambda: self.uploaded(
                f"{self.name}-uri.jsonl", json.dumps({"uri": self.uri}).encode() + b"\n"
            ),
            "table": lambda: self.uploaded(f"{self.name}.csv", self.table()),
            "request": lambda: self.requested(self.inline),
            "request that refers": lambda: self.requested({"uri": self.uri}),
            "packed object in a request": lambda: self.requested({"uri": f"{self.uri}.gz"}),
            "tensor": self.inferred,
        }
        if self.kind == "text":  # a table refers to images alone
            return ways
        return ways | {"table of images": lambda: self.uploaded(f"{self.name}-images.csv", self.table())}

    @property
    def uri(self) -> str:
        return f"gs://local-input/objects/{self.name}{self.extension}"

    def put_objects(self) -> None:
        bucket = self.client.bucket("local-input")
        for suffix, data in (("", self.content), (".gz", gzip.compress(self.content))):
            bucket.blob(f"objects/{self.name}{self.extension}{suffix}").upload_from_string(data)

    def manifest(self, id: str) -> bytes:
        return json.dumps({"id": f"{self.name}-{id}", "inputs": [self.uri]}).encode()

    def lines(self) -> bytes:
        """Two lines with the content, of which the first is short, so that it shows what the input is."""
        return "".join(json.dumps(record) + "\n" for record in ({"uri": self.uri}, self.inline)).encode()

    def table(self) -> bytes:
        """Two rows, the second with the content; the first shows what the input is."""
        cells = ["A film that I liked", self.content.decode()] if self.kind == "text" else [self.uri] * 2
        rows = io.StringIO()
        csv.writer(rows).writerows([["id", "review"], *enumerate(cells)])
        return rows.getvalue().encode()

    def uploaded(self, name: str, data: bytes) -> dict[str, Any]:
        blob = self.client.bucket("local-input").blob(name)
        blob.upload_from_string(data, "application/octet-stream")
        return self.prediction(self.document(f"{name}/{blob.generation}"))

    def published(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.document(f"messages/messages/id-{self._publish(body)}")

    def of_manifest(self, id: str) -> dict[str, Any]:
        self._publish(json.loads(self.manifest(id)))
        return self.prediction(self.document(f"manifests/id-{self.name}-{id}"))

    def _publish(self, body: dict[str, Any]) -> str:
        publisher = PublisherClient()
        topic = publisher.topic_path("local-project", "messages")
        message: str = publisher.publish(topic, json.dumps(body).encode()).result(20)
        return message

    def document(self, name: str) -> dict[str, Any]:
        """The result `name` under results/, once it is there."""
        give_up = time.monotonic() + 90
        output = self.client.bucket("local-output")
        while time.monotonic() < give_up:
            if blob := output.get_blob(f"results/{name}.json"):
                return dict(json.loads(blob.download_as_bytes()))
            for other in ("rejected", "failed"):
                assert not output.blob(f"{other}/{name}.json").exists(), f"{other}/{name}.json"
            time.sleep(0.2)
        raise AssertionError(f"{name} did not appear")

    def prediction(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document's own, or the last record's of its data."""
        if "predictions" in document:
            return dict(document["predictions"][0])
        bucket, _, name = document["data"]["uri"].removeprefix("gs://").partition("/")
        data = self.client.bucket(bucket).blob(name).download_as_bytes().decode()
        if name.endswith(".csv"):
            row = list(csv.DictReader(io.StringIO(data, newline="")))[-1]
            return {"label": row["label"], "score": float(row["score"]), "truncated": row["truncated"] == "true"}
        return dict(json.loads(data.splitlines()[-1]))

    def requested(self, instance: dict[str, Any]) -> dict[str, Any]:
        return dict(self.post("/predict", {"instances": [instance]})["predictions"][0])

    def inferred(self) -> dict[str, Any]:
        model = "sentiment" if self.kind == "text" else "wide"
        data = self.content.decode() if self.kind == "text" else self.inline["image"]["b64"]
        tensor = {"name": self.kind, "datatype": "BYTES", "shape": [1], "data": [data]}
        outputs = self.post(f"/v2/models/{model}/infer", {"inputs": [tensor]})["outputs"]
        columns = {output["name"]: output["data"][0] for output in outputs}
        return columns | {"scores": json.loads(columns["scores"])}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.stack.token('gpu-service')}"}
        answer = httpx.post(self.stack.addresses["services"]["gpu-service"] + path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


CONTENTS = {
    "text": ("text", TEXT.encode(), ".txt"),
    "long text": ("text", (TEXT * 1700).encode(), ".txt"),
    "picture": ("image", PICTURE, ".png"),
    "small picture": ("image", SMALL, ".png"),
    "photo turned by the camera": ("image", images.turned(9), ".jpg"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_every_way_in_leads_to_the_same_answer(stack: Stack, client: storage.Client, checkpoint: Path, name: str):
    kind, content, extension = CONTENTS[name]
    ways = Ways(stack, client, kind, content, extension, name.replace(" ", "-"))
    ways.put_objects()
    with ThreadPoolExecutor(3) as pool:
        answers = dict(zip(ways.of(), pool.map(lambda way: way(), ways.of().values()), strict=True))
    expected = answers["request"]
    for way, answer in answers.items():
        assert answer["label"] == expected["label"], way
        assert answer["score"] == pytest.approx(expected["score"], abs=1e-6), way
        assert answer.get("scores", expected["scores"]) == pytest.approx(expected["scores"], abs=1e-6), way
        assert answer.get("truncated", False) == expected.get("truncated", False), way


def test_the_size_of_an_image_follows_the_model(stack: Stack, client: storage.Client, checkpoint: Path):
    uploaded = Ways(stack, client, "image", PICTURE, ".png", "followed").uploaded("followed.png", PICTURE)
    pipeline = transformers.pipeline("image-classification", model=str(checkpoint), device="cpu")
    picture = Image.open(io.BytesIO(PICTURE))
    shrunk = picture.resize((round(700 * 224 / 520), 224), Image.Resampling.LANCZOS)
    whole, small = ({each["label"]: each["score"] for each in pipeline(image)} for image in (picture, shrunk))
    assert uploaded["scores"] == pytest.approx(whole, abs=1e-3)
    assert max(abs(whole[label] - score) for label, score in small.items()) > 0.005, "or the test would prove nothing"
