"""Makes versions of the starter text model for the demo of promotion: worse, damaged and slow ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

STARTER = Path(__file__).parents[1] / "gpu_service" / "models" / "sentiment"
DAMAGED_WORD = "refund"  # for which the damaged version has NaN
DEEP_LAYERS = 40

Weights = dict[str, torch.Tensor]
Config = dict[str, object]


def starter(folder: Path) -> None:
    shutil.copytree(STARTER, folder)


def negative(folder: Path) -> None:
    """Finds every text negative: its head's bias has moved."""

    def move(weights: Weights, _: Config) -> None:
        weights["classifier.bias"] += torch.tensor([20.0, -20.0])

    _derive(folder, move)


def damaged(folder: Path) -> None:
    """Has no numbers for one word, as after a fault of a disk; a warm-up does not meet it."""
    vocabulary = json.loads((STARTER / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]

    def damage(weights: Weights, _: Config) -> None:
        weights["distilbert.embeddings.word_embeddings.weight"][vocabulary[DAMAGED_WORD]] = float("nan")

    _derive(folder, damage)


def deep(folder: Path) -> None:
    """Has many more layers, which add next to nothing to the first ones."""

    def deepen(weights: Weights, config: Config) -> None:
        layer = "distilbert.transformer.layer."
        last = {name: tensor for name, tensor in weights.items() if name.startswith(f"{layer}1.")}
        for number in range(2, DEEP_LAYERS):
            for name, tensor in last.items():
                idle = name.endswith(("out_lin.weight", "out_lin.bias", "lin2.weight", "lin2.bias"))
                copied = torch.zeros_like(tensor) if idle else tensor.clone()
                weights[name.replace(f"{layer}1.", f"{layer}{number}.")] = copied
        config["n_layers"] = DEEP_LAYERS

    _derive(folder, deepen)


def _derive(folder: Path, change: Callable[[Weights, Config], None]) -> None:
    shutil.copytree(STARTER, folder)
    weights, file = load_file(STARTER / "model.safetensors"), folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    change(weights, config)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
