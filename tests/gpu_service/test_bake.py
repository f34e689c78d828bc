"""The default cloud profile: what its repositories hold is baked, starts, and answers as transformers' pipeline."""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from gpu_service.bake import answer
from gpu_service.checkpoints import registry
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import StartError
from gpu_service.settings import MODELS_FILE
from tests.gpu_service.parity.texts import INPUTS, calibrate
from tests.gpu_service.parity.vocabularies import WORD_PIECES, word_pieces

ROOT = Path(__file__).parents[2]
COMMIT = "714eb0fa89d2f80546fda750413ed43d93601a13"
TOKENIZER_CONFIG = '{"do_lower_case": true, "model_max_length": 512}'
PREPROCESSOR = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 224},
}
TEXTS = [*INPUTS[:13], INPUTS[13] * 4]
CHECK = (
    "import sys; from gpu_service import settings; from gpu_service.serving import startup; "
    "startup.load(settings.read(sys.argv[1:])); sys.exit('transformers' in sys.modules)"
)


def text_repository(folder: Path) -> None:
    """The files of distilbert-base-uncased-finetuned-sst-2-english, with a small model."""
    torch.manual_seed(3)
    labels = {"id2label": {0: "NEGATIVE", 1: "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1}}
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "initializer_range": 0.3}
    config = transformers.DistilBertConfig(vocab_size=len(WORD_PIECES), finetuning_task="sst-2", **sizes, **labels)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    calibrate(model, word_pieces(model_max_length=512))
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORD_PIECES) + "\n")
    (folder / "tokenizer_config.json").write_text(TOKENIZER_CONFIG)


def image_repository(folder: Path) -> None:
    """The files of google/vit-base-patch16-224, with a small model."""
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    names = ["crane", "tabby", "crane", "lynx", "puma", "otter", "mink"]  # ImageNet has two cranes
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}
    config = transformers.ViTConfig(image_size=224, patch_size=16, initializer_range=0.3, **sizes, **labels)
    transformers.AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))


REPOSITORIES = {"text-classification": text_repository, "image-classification": image_repository}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with the default cloud profile's repositories as they are."""
    home = tmp_path_factory.mktemp("hub-home")
    for entry in registry.load(MODELS_FILE, "hub").entries:
        folder = snapshot(home, entry)
        folder.mkdir(parents=True)
        refs = folder.parent.parent / "refs"
        refs.mkdir()
        (refs / "main").write_text(folder.name)
        REPOSITORIES[entry.task](folder)
    return home


def snapshot(home: Path, entry: registry.Entry) -> Path:
    return home / "hub" / f"models--{entry.source.replace('/', '--')}" / "snapshots" / (entry.revision or COMMIT)


def run(home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def bake(home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return run(home, "-m", "gpu_service.bake", *(options or ("--models", str(MODELS_FILE), "--profile", "hub")))


@pytest.fixture(scope="module")
def baked(cache: Path) -> Path:
    ended = bake(cache)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("answers") == 2
    return cache


@pytest.mark.release
def test_the_default_cloud_profile_is_baked_and_starts_without_transformers(baked: Path):
    text, image = (snapshot(baked, entry) for entry in registry.load(MODELS_FILE, "hub").entries)
    assert sorted(path.name for path in text.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    assert sorted(path.name for path in image.iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    started = run(baked, "-c", CHECK, "--models", str(MODELS_FILE), "--profile", "hub")
    assert started.returncode == 0, started.stderr


@pytest.mark.release
def test_the_default_cloud_profile_answers_as_transformers(baked: Path, serve: Callable[..., Any]):
    text, image = (snapshot(baked, entry) for entry in registry.load(MODELS_FILE, "hub").entries)
    server = serve("--models", str(MODELS_FILE), "--profile", "hub", HF_HOME=str(baked), DEVICE="cpu")
    server.wait_until_ready()
    answers = server.http.post("/predict", json={"instances": [{"text": text} for text in TEXTS]}).json()["predictions"]
    classify: Any = transformers.pipeline("text-classification", str(text), dtype=torch.float32, device="cpu")
    for served, content in zip(answers, TEXTS, strict=True):
        expected = {each["label"]: each["score"] for each in classify(content, top_k=None, truncation=True)}
        assert served["scores"] == pytest.approx(expected, abs=1e-3)
    pixels = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    body = {"image": {"b64": base64.b64encode(encoded.getvalue()).decode()}, "parameters": {"top_k": 7}}
    (served,) = server.http.post("/predict", json=body).json()["predictions"]
    see: Any = transformers.pipeline("image-classification", str(image), dtype=torch.float32, device="cpu")
    expected = {each["label"]: each["score"] for each in reversed(see(Image.fromarray(pixels), top_k=7))}
    assert served["scores"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.release
def test_a_folder_without_tokenizer_json_starts_and_stays_as_it_is(serve: Callable[..., Any], tmp_path: Path):
    folder = tmp_path / "own"
    folder.mkdir()
    text_repository(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    models = profile(tmp_path, folder)
    server = serve("--models", str(models))
    server.wait_until_ready()
    (served,) = server.http.post("/predict", json={"text": "a good film"}).json()["predictions"]
    classify: Any = transformers.pipeline("text-classification", str(folder), dtype=torch.float32, device="cpu")
    expected = {each["label"]: each["score"] for each in classify("a good film", top_k=None)}
    assert served["scores"] == pytest.approx(expected, abs=1e-3)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_model_whose_answer_is_not_a_number_is_refused(tmp_path: Path):
    text_repository(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({name: tensor * float("nan") for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    entry = registry.Entry(name="m", task="text-classification", source=str(tmp_path))
    with pytest.raises(StartError, match=r"The model m@1 .* does not answer with a number"):
        answer(Checkpoint(entry, tmp_path))


@pytest.mark.release
def test_a_model_without_its_head_fails_the_build_with_one_sentence(tmp_path: Path):
    folder = tmp_path / "own"
    folder.mkdir()
    text_repository(folder)
    path = folder / "model.safetensors"
    kept = {name: tensor.clone() for name, tensor in load_file(path).items() if "classifier" not in name}
    save_file(kept, path, {"format": "pt"})
    ended = bake(tmp_path, "--models", str(profile(tmp_path, folder)), "--profile", "test")
    assert ended.returncode == 1
    (line,) = ended.stderr.strip().splitlines()
    assert "lacks weights of a classifier (classifier.bias, classifier.weight" in line


def profile(home: Path, folder: Path) -> Path:
    path = home / "models.json"
    entry = {"name": "m", "task": "text-classification", "source": str(folder), "default": True}
    path.write_text(json.dumps({"test": [entry]}))
    return path
