"""How much memory prepared instances take is known beforehand, and few enough are prepared at a time."""

import base64
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gpu_service.checkpoints import device
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry, Task
from gpu_service.errors import InstanceError
from gpu_service.inputs.payloads import Payload
from gpu_service.parameters import parse
from gpu_service.serving import sizes
from gpu_service.serving.model import Model
from gpu_service.serving.sizes import MAX_PREPARED_BYTES, chunks, prepared_bytes
from gpu_service.settings import Settings
from tests.gpu_service.conftest import Client
from tests.gpu_service.parity.images import folder_of, named
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.photos import encoded

LABELS = [f"kind {number}" for number in range(100)]
TEXTS = ["", "joy", "a " * 20, "a b c d e f g " * 400, "🎬" * 300, "long" * 3000]
MODELS: dict[str, tuple[Task, Callable[[Path], object], dict[str, Any]]] = {
    "classifier": ("text-classification", lambda path: checkpoints.entailer(path, "bert"), {}),
    "tagger": ("token-classification", lambda path: checkpoints.tagger(path, "bert"), {}),
    "entailer": ("zero-shot-classification", lambda path: checkpoints.entailer(path, "bert"), {"labels": LABELS}),
    "embedder": ("feature-extraction", lambda path: checkpoints.encoder(path, "roberta"), {}),
}
IMAGES: dict[str, tuple[Task, Callable[[Path], object]]] = {
    "of one size": ("image-classification", folder_of("ViT", named("ViT", size=32))),
    "of any size": ("image-classification", folder_of("ResNet", named("ViT", do_resize=False))),
    "for the processor": ("image-classification", folder_of("ViT", named("EfficientNet", size=32))),
    "detector": ("object-detection", lambda path: checkpoints.detector(path, "yolos")),
}


def load(folder: Path, task: Task) -> Model:
    return Model(Checkpoint(Entry(name="m", task=task, source=str(folder)), folder), device.choose("cpu"))


def taken(payload: Payload) -> int:
    return sum(part.data.nbytes for part in payload.parts or [payload])


@pytest.mark.parametrize("name", MODELS)
def test_no_text_takes_more_memory_than_was_expected(name: str, tmp_path: Path):
    task, build, parameters = MODELS[name]
    build(tmp_path)
    model = load(tmp_path, task)
    requested = parse(parameters)
    model.task.payloads(TEXTS, [model.effective(requested)] * len(TEXTS))  # fills caches
    for text in TEXTS:
        tracemalloc.start()
        (payload,) = model.task.payloads([text], [model.effective(requested)])
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        expected = prepared_bytes({"text": text}, len(text.encode()), [model], requested)
        if not isinstance(payload, InstanceError):
            assert taken(payload) <= expected
            assert held <= expected + 4096 + 512 * len(payload.parts)  # the objects around the tokens


@pytest.mark.parametrize("name", IMAGES)
def test_no_image_takes_more_memory_than_was_expected(name: str, tmp_path: Path):
    task, build = IMAGES[name]
    build(tmp_path)
    model = load(tmp_path, task)
    expected = prepared_bytes({"image": {}}, 0, [model], {})
    for size in ((8, 8), (64, 64), (300, 200), (20, 300), (1600, 1200)):
        (payload,) = model.task.payloads([encoded(Image.new("RGB", size))], [model.effective({})])
        if not isinstance(payload, InstanceError):
            assert taken(payload) <= expected


def test_an_instance_s_own_labels_count(tmp_path: Path):
    checkpoints.entailer(tmp_path, "bert")
    model = load(tmp_path, "zero-shot-classification")
    few = prepared_bytes({"text": "a"}, 1, [model], {"labels": ["a"]})
    own = {"text": "a", "parameters": {"labels": ["a"] * 50}}
    assert prepared_bytes(own, 1, [model], {"labels": ["a"]}) == 50 * few
    assert prepared_bytes({"text": "a", "parameters": {"labels": 7}}, 1, [model], {"labels": ["a"]}) == few


def test_an_object_may_be_what_any_model_reads(load: Callable[[str], Model]):
    text, image = load("bert"), load("vit")
    of_image = prepared_bytes({"image": {}}, 0, [text, image], {})
    assert prepared_bytes({"uri": "gs://a/b"}, 0, [text, image], {}) == of_image
    assert prepared_bytes({"text": "a"}, 1, [text, image], {}) < of_image
    assert prepared_bytes({"image": {}}, 0, [text], {}) == 0
    assert prepared_bytes(7, 1, [image], {}) == 0


def test_a_request_is_prepared_in_parts_that_fit(load: Callable[[str], Model]):
    image = load("vit")
    each = prepared_bytes({"image": {}}, 0, [image], {})
    fit = MAX_PREPARED_BYTES // each
    values: list[Any] = [{"image": {}}] * (2 * fit + 1)
    assert [len(part) for part in chunks(values, [image], {})] == [fit, fit, 1]
    assert [len(part) for part in chunks(values[:fit], [image], {})] == [fit]
    assert [value for part in chunks(values, [image], {}) for value in part] == values
    assert list(chunks(["a", 7], [image], {})) == [["a", 7]]


@pytest.fixture
def own(folder: Callable[[str], Path], tmp_path: Path) -> Iterator[Client]:
    models = {"moods": ("text-classification", "distilbert"), "shapes": ("image-classification", "vit")}
    entries = [{"name": name, "task": task, "source": str(folder(of))} for name, (task, of) in models.items()]
    (tmp_path / "models.json").write_text(json.dumps({"p": entries}))
    client = Client(Settings(profile=None, models=tmp_path / "models.json", device="cpu"))
    yield client
    client.close()


def picture(shade: int) -> dict[str, Any]:
    Image.new("RGB", (8, 8), (shade, 90, 255 - shade)).save(out := io.BytesIO(), "PNG")
    return {"image": {"b64": base64.b64encode(out.getvalue()).decode()}}


@pytest.mark.parametrize("parts", ["few", "one each"])
def test_a_request_in_parts_has_the_answers_of_one(own: Client, monkeypatch: pytest.MonkeyPatch, parts: str):
    instances = [
        *(picture(shade) for shade in range(0, 250, 25)),
        {"text": ""},
        {"text": "dull " * 2000},
        7,
        picture(3),
    ]
    body = {"instances": instances, "parameters": {"max_length": 8, "top_k": 2}}  # max_length is for texts alone
    whole = own.post("/predict", body)
    assert whole.status_code == 200
    of_image = prepared_bytes(instances[0], 0, [each.model for each in own.loaded.models], {})
    monkeypatch.setattr(sizes, "MAX_PREPARED_BYTES", 4 * of_image if parts == "few" else 1)
    cut = own.post("/predict", body)
    assert cut.status_code == 200
    for one, other in zip(whole.json()["predictions"], cut.json()["predictions"], strict=True):
        assert one.keys() == other.keys()
        if "scores" in one:
            assert other["scores"] == pytest.approx(one["scores"], abs=1e-5)
        else:
            assert one == other
    for key in ("model", "parameters", "device"):
        assert whole.json()[key] == cut.json()[key]
    assert cut.json()["timing"]["gpu_seconds"] > 0
    refused = own.post("/predict", {"instances": instances[:6], "parameters": {"max_length": 8}})
    assert refused.json()["error"]["code"] == "invalid_parameters"
