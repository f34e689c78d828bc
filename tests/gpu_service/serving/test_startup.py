"""Models from a bucket that Vertex AI names, and from the hub's cache without the hub."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from gpu_service.checkpoints import checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import StartError
from gpu_service.serving import startup
from gpu_service.settings import Settings, read

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCE = "someone/some-model"


def upload(gcs: storage.Client, folder: Path, prefix: str) -> str:
    for path in folder.iterdir():
        gcs.bucket("input").blob(f"{prefix}/{path.name}").upload_from_filename(str(path))
    return f"gs://input/{prefix}"


@pytest.mark.parametrize(("name", "task"), [("bert", "text-classification"), ("vit", "image-classification")])
@pytest.mark.parametrize("slash", ["", "/"])
def test_vertex_ai_names_a_bucket_folder_with_the_one_model(
    gcs: storage.Client, cached_models: Path, folder: Callable[[str], Path], name: str, task: str, slash: str
):
    uri = upload(gcs, folder(name), f"models/{name}")
    upload(gcs, folder("distilbert"), f"models/{name}-other")
    loaded = startup.load(read([], {"AIP_STORAGE_URI": uri + slash, "DEVICE": "cpu"}))
    model = loaded.models[0].model
    assert (model.entry.name, model.entry.task, model.entry.source) == ("model", task, uri)
    (copied,) = cached_models.glob("*/snapshots/[0-9]*")
    assert copied.name == model.revision
    assert sorted(path.name for path in copied.iterdir()) == sorted(path.name for path in folder(name).iterdir())
    for path in folder(name).iterdir():
        assert (copied / path.name).read_bytes() == path.read_bytes()


@pytest.mark.release
def test_a_process_serves_the_model_of_vertex_ais_bucket(
    gcs: storage.Client, folder: Callable[[str], Path], serve: Callable[..., Any]
):
    server = serve(AIP_STORAGE_URI=upload(gcs, folder("distilbert"), "vertex"))
    server.wait_until_ready()
    body = server.http.post("/predict", json={"instances": [{"text": "a good film"}]}).json()
    assert body["model"]["name"] == "model"
    assert body["predictions"][0]["label"].startswith("LABEL_")


@pytest.mark.parametrize(("bucket", "reason"), [("input", "no objects under"), ("nowhere", "There is no object")])
def test_an_empty_bucket_prevents_the_start_with_a_clear_message(
    gcs: storage.Client, serve: Callable[..., Any], bucket: str, reason: str
):
    server = serve(AIP_STORAGE_URI=f"gs://{bucket}/no-such-model")
    (line,) = server.stop()
    assert server.process.returncode == 1
    assert line["severity"] == "ERROR"
    assert f"{reason} gs://{bucket}/no-such-model" in line["message"]
    assert "exception" not in line


def test_a_model_other_than_a_classifier_prevents_the_start(gcs: storage.Client):
    gcs.bucket("input").blob("words/config.json").upload_from_string('{"architectures": ["BertForMaskedLM"]}')
    with pytest.raises(StartError, match="is made for no task that is served"):
        startup.load(Settings(storage_uri="gs://input/words"))


def test_a_model_that_cannot_be_served_is_named(tmp_path: Path, folder: Callable[[str], Path]):
    shutil.copytree(folder("distilbert"), tmp_path / "whole")
    shutil.copytree(folder("distilbert"), tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"not weights")
    entries = [{"name": name, "task": "text-classification", "source": name} for name in ("whole", "broken")]
    (tmp_path / "models.json").write_text(json.dumps({"mine": entries}))
    with pytest.raises(StartError, match=r"^The model broken, version 1, cannot be served: .*weights cannot be read"):
        startup.load(read(["--device", "cpu"], {"MODELS": str(tmp_path / "models.json")}))


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        (
            "vit",
            "text-classification",
            "ViTForImageClassification, which cannot do text-classification: set its task to",
        ),
        ("vit", "feature-extraction", "is a model for images; feature-extraction embeds texts only."),
        ("distilbert", "image-classification", "set its task to text-classification."),
        ("distilbert", "token-classification", "set its task to text-classification, or serve a model …ForTokenClass"),
    ],
)
def test_a_model_of_another_task_is_refused_with_its_task(
    tmp_path: Path, folder: Callable[[str], Path], name: str, task: str, said: str
):
    entries = [{"name": "mine", "task": task, "source": str(folder(name))}]
    (tmp_path / "models.json").write_text(json.dumps({"p": entries}))
    with pytest.raises(StartError) as refusal:
        startup.load(read(["--device", "cpu"], {"MODELS": str(tmp_path / "models.json")}))
    assert said in refusal.value.message


def test_weights_of_another_model_are_refused_without_advice_on_the_head(tmp_path: Path, folder: Callable[[str], Path]):
    shutil.copytree(folder("distilbert"), tmp_path / "a")
    shutil.copy(folder("vit") / "model.safetensors", tmp_path / "a")
    (tmp_path / "models.json").write_text('{"p": [{"name": "a", "task": "text-classification", "source": "a"}]}')
    with pytest.raises(StartError, match=r"take the config\.json and the weights that were saved together\."):
        startup.load(read(["--device", "cpu"], {"MODELS": str(tmp_path / "models.json")}))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_refused_with_the_remedy(tmp_path: Path, folder: Callable[[str], Path], name: str):
    shutil.copytree(folder("distilbert"), tmp_path / "a")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 268000000\n"
    (tmp_path / "a" / name).write_text(pointer)
    (tmp_path / "models.json").write_text('{"p": [{"name": "a", "task": "text-classification", "source": "a"}]}')
    with pytest.raises(StartError, match=f"{name} is only Git LFS's pointer to the file: fetch it with git lfs pull"):
        startup.load(read(["--device", "cpu"], {"MODELS": str(tmp_path / "models.json")}))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A hub cache for `HF_HOME`, with one repository that has no files yet."""
    repository = tmp_path / "hub" / "models--someone--some-model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots").mkdir()
    return tmp_path


def snapshot(cache: Path) -> Path:
    return cache / "hub" / "models--someone--some-model" / "snapshots" / COMMIT


def test_a_model_of_the_hub_is_found_in_its_cache_without_the_hub(
    cache: Path, folder: Callable[[str], Path], serve: Callable[..., Any], tmp_path: Path
):
    shutil.copytree(folder("distilbert"), snapshot(cache))
    models = tmp_path / "models.json"
    models.write_text(f'{{"test": [{{"name": "m", "task": "text-classification", "source": "{SOURCE}"}}]}}')
    server = serve("--models", str(models), HF_HOME=str(cache), HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    server.wait_until_ready()
    body = server.http.post("/predict", json={"text": "a good film", "model": SOURCE}).json()
    assert body["model"] == {
        "name": "m",
        "version": "1",
        "task": "text-classification",
        "source": SOURCE,
        "revision": COMMIT,
    }


def test_a_model_missing_from_the_cache_prevents_the_start(cache: Path, serve: Callable[..., Any], tmp_path: Path):
    models = tmp_path / "models.json"
    models.write_text('{"test": [{"name": "m", "task": "text-classification", "source": "someone/another"}]}')
    server = serve("--models", str(models), HF_HOME=str(cache), HF_HUB_OFFLINE="1")
    lines = server.stop()
    assert server.process.returncode == 1
    assert (
        "The model m, version 1, cannot be served: someone/another is neither in the hub's cache"
        in lines[-1]["message"]
    )
    assert "write ./someone/another" in lines[-1]["message"]


def test_a_cached_snapshot_without_its_files_is_not_taken_for_a_model(cache: Path, monkeypatch: pytest.MonkeyPatch):
    snapshot(cache).mkdir()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache / "hub"))
    entry = Entry(name="m", task="text-classification", source=SOURCE)
    with pytest.raises(StartError, match="neither in the hub's cache"):
        checkpoint.find(entry, cache / "models.json")
