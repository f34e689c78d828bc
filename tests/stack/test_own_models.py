"""Models of one's own on the local stack: from folders, and through the models bucket."""

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from PIL import Image
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    DistilBertConfig,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTImageProcessor,
)

from emulator.process import Stack, StackError
from gpu_service.checkpoints import manifest

LABELS = ["billing", "delivery", "praise", "returns", "other"]
VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"##{c}" for c in "abcdefghijklmnop"),
]
ENTRIES: list[dict[str, Any]] = [
    {"name": "topics", "version": "1", "task": "text-classification", "source": "topics/1"},
    {"name": "topics", "version": "2", "task": "text-classification", "source": "./topics/2", "default": True},
    {"name": "parts", "task": "image-classification", "source": "parts"},
]

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def save_text_classifier(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    names = dict(enumerate(LABELS))
    sizes: dict[str, Any] = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64}
    config = DistilBertConfig(**sizes, vocab_size=len(VOCABULARY), initializer_range=0.3, id2label=names)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    made = Tokenizer(WordPiece({word: number for number, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=64, **special).save_pretrained(folder)


def save_image_classifier(folder: Path) -> None:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    config = ViTConfig(**sizes, patch_size=8, image_size=32, id2label={0: "bolt", 1: "nut", 2: "washer"})
    AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models.json whose one profile has a name of its own, beside its models."""
    folder = tmp_path_factory.mktemp("mine")
    for version in (1, 2):
        save_text_classifier(folder / "topics" / str(version), version)
    save_image_classifier(folder / "parts")
    path = folder / "models.json"
    path.write_text(json.dumps({"shop": ENTRIES}))
    return path


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("PROFILE", raising=False)
    return tmp_path_factory.mktemp("state")


def client(stack: Stack) -> storage.Client:
    options = {"api_endpoint": stack.http}
    return storage.Client("local-project", AnonymousCredentials(), client_options=options)


def document(buckets: storage.Client, name: str, content: bytes, media_type: str, **parameters: str) -> dict[str, Any]:
    """Uploads an input, and waits for its document."""
    blob = buckets.bucket("local-input").blob(name)
    blob.metadata = parameters
    blob.upload_from_string(content, media_type)
    give_up = time.monotonic() + 60
    while not (found := buckets.bucket("local-output").get_blob(f"latest/{name}.json")):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    result: dict[str, Any] = json.loads(found.download_as_bytes())
    assert result["status"] == "succeeded", result
    return result


def answers(stack: Stack, folder: str) -> dict[str, dict[str, Any]]:
    """The documents of a text, the same text for the first version, and an image."""
    text, image = b"where is my order, and who pays for it", io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(image, "PNG")
    buckets = client(stack)
    return {
        "default": document(buckets, f"{folder}/mail.txt", text, "text/plain"),
        "first": document(buckets, f"{folder}/mail-1.txt", text, "text/plain", model="topics", version="1"),
        "image": document(buckets, f"{folder}/part.png", image.getvalue(), "image/png"),
    }


def served(documents: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {key: (each["model"]["name"], each["model"]["version"]) for key, each in documents.items()}


@pytest.mark.long
def test_own_models_are_served_from_folders_and_through_the_models_bucket(
    models: Path, state: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MODELS", str(models))
    with Stack(state) as stack:
        stack.start()
        from_folders = answers(stack, "from-folders")
        for folder in ("topics/1", "topics/2", "parts"):
            manifest.write(models.parent / folder)
        for path in sorted(models.parent.rglob("*.*")):
            if path.is_file():
                name = path.relative_to(models.parent).as_posix()
                client(stack).bucket("local-models").blob(f"shop/{name}").upload_from_filename(str(path))
    assert served(from_folders) == {"default": ("topics", "2"), "first": ("topics", "1"), "image": ("parts", "1")}
    assert set(from_folders["default"]["predictions"][0]["scores"]) == set(LABELS)
    assert from_folders["default"]["predictions"] != from_folders["first"]["predictions"]

    monkeypatch.setenv("MODELS", "gs://local-models/shop/models.json")
    with Stack(state) as stack:
        stack.start()
        from_bucket = answers(stack, "from-bucket")
        objects = list(client(stack).list_blobs("local-models", prefix="shop/topics/1/"))
    assert served(from_bucket) == served(from_folders)
    for key, each in from_bucket.items():
        assert each["predictions"] == from_folders[key]["predictions"]
    assert from_bucket["first"]["model"]["revision"] == str(max(blob.generation for blob in objects))


@pytest.mark.long
@pytest.mark.parametrize(
    ("profiles", "said"),
    [
        ({"a": ENTRIES, "b": ENTRIES}, "has several profiles; set PROFILE to one of a, b."),
        ({"a": [{**ENTRIES[0], "source": "topics/9"}]}, "entry 1 (topics): there is no folder"),
    ],
)
def test_a_mistake_stops_the_stack_with_its_place(
    models: Path, state: Path, monkeypatch: pytest.MonkeyPatch, profiles: dict[str, Any], said: str
):
    path = models.parent / "wrong.json"
    path.write_text(json.dumps(profiles))
    monkeypatch.setenv("MODELS", str(path))
    with Stack(state) as stack, pytest.raises(StackError) as refusal:
        stack.start()
    assert said in str(refusal.value)
