"""models.json: finding models, and reporting invalid files."""

import json
from pathlib import Path

import pytest

from gpu_service.checkpoints import registry
from gpu_service.checkpoints.registry import Entry, Registry
from gpu_service.errors import ModelNotFound, StartError
from gpu_service.settings import MODELS_FILE, read

TEXT, IMAGE = "text-classification", "image-classification"


def test_the_included_profiles():
    starter = registry.load(MODELS_FILE, "starter")
    assert [entry.task for entry in starter.entries] == [TEXT, IMAGE]
    assert registry.folder(starter.default(IMAGE), MODELS_FILE) == MODELS_FILE.parent / "models" / "digits"
    hub = registry.load(MODELS_FILE, "hub")
    assert hub.find("google/vit-base-patch16-224", None).task == IMAGE


def test_versions_and_defaults():
    served = Registry(
        [
            Entry(name="a", version="1", task=TEXT, source="x"),
            Entry(name="a", version="2", task=TEXT, source="x", default=True),
            Entry(name="a", version="3", task=TEXT, source="x"),
            Entry(name="b", version="7", task=TEXT, source="y"),
        ]
    )
    assert [served.find("a", version).version for version in (None, "1", "3")] == ["2", "1", "3"]
    assert served.find("b", None).version == "7"
    assert served.default(TEXT).version == "2"
    for name, version in (("c", None), ("a", "9")):
        with pytest.raises(ModelNotFound):
            served.find(name, version)
    with pytest.raises(ModelNotFound, match="No model for image-classification"):
        served.default(IMAGE)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"p": [{}]}', '{"p": [{"name": "a", "task": "chat", "source": "x"}]}', '{"p": []}', "{}"],
)
def test_an_invalid_file_prevents_the_start(tmp_path: Path, content: str):
    path = tmp_path / "models.json"
    path.write_text(content)
    with pytest.raises(StartError):
        registry.load(path, "p")


def test_a_duplicate_model_prevents_the_start(tmp_path: Path):
    entry = {"name": "a", "task": TEXT, "source": "x"}
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"p": [entry, entry]}))
    with pytest.raises(StartError, match="unique name and version"):
        registry.load(path, "p")


def test_settings_come_from_the_command_line_then_the_environment():
    environ = {"PORT": "9000", "PROFILE": "hub", "GPU_REQUIRED": "1", "INPUT_BUCKET": "in", "MAX_WAIT_SECONDS": "2.5"}
    read_ = read(["--port", "9001"], environ)
    assert (read_.port, read_.profile, read_.gpu_required, read_.max_wait_s) == (9001, "hub", True, 2.5)
    assert (read_.input_bucket, read_.work_bucket) == ("in", None)
    assert read([], {**environ, "AIP_HTTP_PORT": "9002"}).port == 9002


@pytest.mark.parametrize(
    "environ", [{"PORT": "x"}, {"MAX_QUEUE": "-1"}, {"DRAIN_SECONDS": "0"}, {"DEADLINE_SECONDS": "x"}]
)
def test_an_invalid_setting_prevents_the_start(environ: dict[str, str]):
    with pytest.raises(StartError):
        read([], environ)
