"""Finds or makes the checkpoints: of realistic size, with random weights, one for each architecture."""

import json
from pathlib import Path
from typing import Any

from benchmarks.gpu import tasks
from benchmarks.serving import models
from benchmarks.serving.texts import SEED, VOCABULARY_SIZE
from gpu_service.checkpoints import registry
from gpu_service.checkpoints.checkpoint import Checkpoint, find
from gpu_service.checkpoints.registry import Entry
from gpu_service.settings import MODELS_FILE

STARTER = ("sentiment", "digits")
TEXTS = ("distilbert", "bert", "roberta", "electra")  # electra and convnext run through transformers' Auto classes
IMAGES = ("vit", "resnet", "convnext")
CLASSIFIERS = (*STARTER, *TEXTS, *IMAGES)
TEXT = {"vocab_size": VOCABULARY_SIZE, "initializer_range": 0.05}
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}


def served_name(*, quick: bool) -> str:
    """The model of benchmarks/serving that is checked as `distilbert` and measured."""
    return "tiny" if quick else "large"


def checkpoint(name: str, folder: Path, *, quick: bool) -> Checkpoint:
    """A checkpoint that `make` has made, or a starter model."""
    if name in STARTER:
        entry = registry.load(MODELS_FILE, "starter").find(name, None)
    else:
        source = models.folder(served_name(quick=quick)) if name == "distilbert" else folder / name
        entry = Entry(name=name, task=_task(name), source=str(source))
    return find(entry, MODELS_FILE)


def _task(name: str) -> registry.Task:
    return tasks.TASKS.get(name) or ("text-classification" if name in TEXTS else "image-classification")


def make(name: str, folder: Path, *, quick: bool) -> None:
    import torch
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    if name == "distilbert":
        models.folder(served_name(quick=quick))
        return
    path = folder / name
    if name in tasks.TASKS:
        tasks.make(name, path, quick=quick)
        return
    torch.manual_seed(SEED)
    if name in TEXTS:
        AutoModelForSequenceClassification.from_config(_config(name, TINY if quick else {})).save_pretrained(path)
        models.wordpiece().save_pretrained(path)
        return
    model = AutoModelForImageClassification.from_config(_config(name, TINY if quick else {}))
    _randomise_statistics(model)
    model.save_pretrained(path)
    geometry = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 224, "width": 224},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (path / "preprocessor_config.json").write_text(json.dumps(geometry))


def _config(name: str, tiny: dict[str, int]) -> Any:
    """The defaults are the base models; `tiny` replaces their sizes."""
    import transformers

    configs: Any = transformers
    if name == "bert":
        return configs.BertConfig(**TEXT, **tiny)
    if name == "roberta":
        return configs.RobertaConfig(**TEXT, **tiny, max_position_embeddings=514, pad_token_id=1)
    if name == "electra":
        return configs.ElectraConfig(**TEXT, **tiny)
    if name == "vit":
        return configs.ViTConfig(**tiny, num_labels=1000, initializer_range=0.05)
    depths = {"depths": [1, 1, 1, 1]} if tiny else {}
    if name == "resnet":
        return configs.ResNetConfig(**depths, num_labels=1000)
    if name == "convnext":
        return configs.ConvNextConfig(**depths, num_labels=1000, initializer_range=0.05)
    raise ValueError(f"There is no architecture {name!r}; choose one of {', '.join(CLASSIFIERS)}.")


def _randomise_statistics(model: Any) -> None:
    """Fresh batch normalisation changes nothing, so a mistake in folding it would not show."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1)
