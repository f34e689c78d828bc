"""Write a trained model as a folder that `from_pretrained` loads, weights in half precision, with its metrics."""

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


def save(model: PreTrainedModel, reader: Saveable, metrics: dict[str, object], folder: Path) -> None:
    """config.json keeps float32 as its dtype, so that loading widens the halved weights again."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder))
    reader.save_pretrained(str(folder))
    _halve(folder / "model.safetensors")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _halve(weights: Path) -> None:
    tensors = load_file(weights)
    tensors = {name: kept.half() if kept.is_floating_point() else kept for name, kept in tensors.items()}
    weights.write_bytes(serialised(tensors, metadata={"format": "pt"}))


def rounded(share: torch.Tensor | float) -> float:
    """Four decimals say more than the held-out part can."""
    return round(float(share), 4)
