"""Trains the handwritten-digit model: `python -m gpu_service.training.digits` writes gpu_service/models/digits."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn.functional import interpolate, one_hot
from transformers import PreTrainedModel, ResNetConfig, ResNetForImageClassification, ViTImageProcessorPil

from gpu_service.training import artefacts, augment, learning

CLASSES = 10
HELD_OUT = 360
SAMPLE = 5  # which digit of each class the repository's sample images show
SEED = 7
BATCH = 128
STEPS = 1200
CERTAINTY = 0.95


class Digits(NamedTuple):
    """Ink (n, 1, 8, 8) in 0 to 1, and the digits' values."""

    images: Tensor
    labels: Tensor


def split() -> tuple[Digits, Digits]:
    """Training and held-out digits: the latter are a stratified fifth, with the ten digits of the sample images."""
    data = load_digits()
    samples = np.array([np.flatnonzero(data.target == digit)[SAMPLE] for digit in range(CLASSES)])
    others = np.setdiff1d(np.arange(len(data.target)), samples)
    train, held_out = train_test_split(
        others, test_size=HELD_OUT - CLASSES, stratify=data.target[others], random_state=SEED
    )
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / data.images.max()
    labels = torch.tensor(data.target)
    return tuple(Digits(images[part], labels[part]) for part in (train, np.concatenate([samples, held_out])))  # type: ignore[return-value]


def architecture() -> PreTrainedModel:
    config = ResNetConfig(
        embedding_size=32,
        hidden_sizes=[48, 96, 192],
        depths=[2, 2, 1],
        layer_type="basic",
        id2label={digit: str(digit) for digit in range(CLASSES)},
        label2id={str(digit): digit for digit in range(CLASSES)},
    )
    return ResNetForImageClassification(config)


def normalised(images: Tensor) -> Tensor:
    """From 0 to 1 into -1 to 1, as the saved processor does."""
    return (images - 0.5) / 0.5


def batches(digits: Digits, rng: torch.Generator) -> Iterator[learning.Batch]:
    """Endless batches of all digits in random order, augmented differently each time."""
    while True:
        for chosen in torch.randperm(len(digits.labels), generator=rng).split(BATCH):
            targets = one_hot(digits.labels[chosen], CLASSES).float()
            targets = targets * CERTAINTY + (1 - CERTAINTY) / CLASSES
            images = augment.uploads(digits.images[chosen], rng)
            yield learning.Batch({"pixel_values": normalised(images)}, targets)


def accuracy(model: PreTrainedModel, images: Tensor, labels: Tensor) -> float:
    with torch.inference_mode():
        predicted = [model(pixel_values=normalised(part)).logits.argmax(1) for part in images.split(256)]
    return artefacts.rounded((torch.cat(predicted) == labels).float().mean())


def measure(model: PreTrainedModel, held_out: Digits, variants: int = 5) -> dict[str, object]:
    """Accuracy on the held-out digits as they are, and in several variants of an upload each."""
    plain = interpolate(held_out.images, size=(augment.SIZE, augment.SIZE), mode="bilinear").expand(-1, 3, -1, -1)
    rng = torch.Generator().manual_seed(SEED)
    worn = torch.cat([augment.uploads(held_out.images, rng) for _ in range(variants)])
    return {
        "held_out_digits": len(held_out.labels),
        "accuracy": accuracy(model, plain, held_out.labels),
        "accuracy_as_uploads": accuracy(model, worn, held_out.labels.repeat(variants)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="batches to train on")
    parser.add_argument("--out", type=Path, default=artefacts.MODELS / "digits", help="folder to write")
    arguments = parser.parse_args()
    rng = learning.make_deterministic(SEED)
    train, held_out = split()
    began = time.monotonic()
    model = learning.fit(architecture(), batches(train, rng), arguments.steps, rate=2e-3, keep=0.995)
    metrics = {"train_digits": len(train.labels), **measure(model, held_out)}
    processor = ViTImageProcessorPil(size={"height": augment.SIZE, "width": augment.SIZE})
    artefacts.save(model, processor, metrics, arguments.out)
    print(f"{metrics} after {time.monotonic() - began:.0f} s, written to {arguments.out}")


if __name__ == "__main__":
    main()
