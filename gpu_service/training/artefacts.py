"""Saves a trained model and its metrics as a folder for `from_pretrained`, with weights in half precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from transformers import PreTrainedModel

MODELS = Path(__file__).parents[1] / "models"


class Saveable(Protocol):
    """A tokenizer or an image processor."""

    def save_pretrained(self, save_directory: str, /) -> object: ...


def save(model: PreTrainedModel, preprocessor: Saveable, metrics: dict[str, object], folder: Path) -> None:
    """config.json keeps float32 as its dtype, so that loading converts the weights back."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder))
    preprocessor.save_pretrained(str(folder))
    _halve(folder / "model.safetensors")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _halve(weights: Path) -> None:
    tensors = load_file(weights)
    tensors = {name: each.half() if each.is_floating_point() else each for name, each in tensors.items()}
    weights.write_bytes(serialised(tensors, metadata={"format": "pt"}))


def rounded(share: torch.Tensor | float) -> float:
    """To four decimals, which is more precise than the held-out data."""
    return round(float(share), 4)
