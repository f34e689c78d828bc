"""Which files of a folder are pushed, their manifest, and the model's task."""

import json
from pathlib import Path

import pytest

from event_inference.errors import InputError
from event_inference.registry.folder import ALL_TASKS, ModelFolder, needed
from gpu_service.checkpoints import files, manifest
from gpu_service.tasks.registry import TASKS
from tests.event_inference.registry.conftest import Make

LISTINGS = [
    ["config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json", "vocab.txt", "README.md"],
    ["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
    ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "onnx/model.onnx"],
    ["modules.json", "0_Transformer/model.safetensors", "1_Pooling/config.json", "2_Dense/pytorch_model.bin"],
    ["config.json", "model.safetensors", "checkpoint-500/model.safetensors", "trainer_state.json", "spiece.model"],
    ["config.json", "model.safetensors", "chat_template.jinja", "a/b/c.json", "all_results.json", ".hidden.json"],
]


@pytest.mark.parametrize("names", LISTINGS)
def test_the_files_are_those_that_the_gpu_service_needs(names: list[str]) -> None:
    assert sorted(needed(names)) == sorted(files.needed(names))


def test_the_gpu_service_accepts_the_manifest(make: Make) -> None:
    folder = ModelFolder(make())
    assert "optimizer.pt" not in folder.files
    (folder.path / "MANIFEST.json").write_bytes(folder.manifest)
    manifest.check("model", folder.path, folder.files)
    assert json.loads(folder.manifest) == json.loads(manifest.write(folder.path).read_bytes())


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "text-classification"),
        ("RobertaForTokenClassification", "token-classification"),
        ("ViTForImageClassification", "image-classification"),
        ("YolosForObjectDetection", "object-detection"),
        ("BertForPreTraining", None),
    ],
)
def test_the_architecture_tells_the_task(make: Make, architecture: str, task: str | None) -> None:
    assert ModelFolder(make(architectures=[architecture])).task == task
    assert ModelFolder(make(architectures=[])).task is None


def test_a_folder_of_sentence_transformers_embeds(make: Make) -> None:
    folder = make()
    (folder / "modules.json").write_text("[]")
    assert ModelFolder(folder).task == "feature-extraction"


def test_the_tasks_are_those_of_the_gpu_service() -> None:
    assert set(ALL_TASKS) == set(TASKS)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_what_is_no_model_is_refused(make: Make, missing: str) -> None:
    folder = make()
    (folder / missing).unlink()
    with pytest.raises(InputError, match=r"has no (config\.json|weights)"):
        ModelFolder(folder)
    with pytest.raises(InputError, match="There is no folder"):
        ModelFolder(Path("nowhere"))
