"""Runs residual networks for image classification without the transformers library.

Each batch normalisation is folded into its convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.networks.transformer import ACTIVATIONS, Linear, Weights

CHANNELS = 3
LAYER_TYPES = ("basic", "bottleneck")
DEPTHS = (3, 4, 6, 3)
EPS = 1e-5  # of batch normalisation


def is_known(config: dict[str, Any], size: tuple[int, int] | None) -> bool:
    """Whether this module can run the checkpoint with images that all have the size (width, height)."""
    known = (config.get("architectures") or [""])[0] == "ResNetForImageClassification"
    return (
        known
        and size is not None
        and config.get("num_channels", 3) == CHANNELS
        and config.get("layer_type", "bottleneck") in LAYER_TYPES
        and config.get("hidden_act", "relu") in ACTIVATIONS
    )


@dataclass(frozen=True, slots=True)
class Convolution:
    weight: Tensor
    bias: Tensor
    stride: int

    def __call__(self, images: Tensor) -> Tensor:
        return F.conv2d(images, self.weight, self.bias, self.stride, self.weight.shape[-1] // 2)

    @staticmethod
    def read(weights: Weights, name: str, stride: int, dtype: torch.dtype) -> "Convolution":
        kernel, norm = weights[f"{name}.convolution.weight"].float(), f"{name}.normalization"
        scale = weights[f"{norm}.weight"].float() / (weights[f"{norm}.running_var"].float() + EPS).sqrt()
        bias = weights[f"{norm}.bias"].float() - weights[f"{norm}.running_mean"].float() * scale
        return Convolution((kernel * scale[:, None, None, None]).to(dtype), bias.to(dtype), stride)


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions with a shortcut, which is None where the block changes neither size nor depth."""

    convolutions: tuple[Convolution, ...]
    shortcut: Convolution | None

    def __call__(self, images: Tensor, activation: Any) -> Tensor:
        residual = images if self.shortcut is None else self.shortcut(images)
        for convolution in self.convolutions[:-1]:
            images = activation(convolution(images))
        return activation(self.convolutions[-1](images).add_(residual))  # type: ignore[no-any-return]


class ResidualClassifier:
    """Takes images of the model's size (height, width, 3) and returns logits (images, labels)."""

    layout = "padded"

    def __init__(self, checkpoint: Checkpoint, device: Device, shift: Sequence[float], scale: Sequence[float]) -> None:
        config = checkpoint.config
        weights = checkpoint.tensors(str(device.handle))
        self.device = device
        self.activation = ACTIVATIONS[config.get("hidden_act", "relu")]
        self.stem = Convolution.read(weights, "resnet.embedder.embedder", 2, device.dtype)
        self.blocks = _blocks(weights, config, device.dtype)
        head = Linear.read(weights, "classifier.1")
        self.head = Linear(head.weight.to(device.dtype), None if head.bias is None else head.bias.to(device.dtype))
        self.shift = torch.tensor(shift, device=device.handle).view(CHANNELS, 1, 1)
        self.scale = torch.tensor(scale, device=device.handle).view(CHANNELS, 1, 1)

    @torch.inference_mode()
    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        sent = self.device.send(np.stack(images))
        pixels = ((sent.permute(0, 3, 1, 2).float() - self.shift) / self.scale).to(self.device.dtype)
        hidden = F.max_pool2d(self.activation(self.stem(pixels)), 3, 2, 1)
        for block in self.blocks:
            hidden = block(hidden, self.activation)
        return self.head(hidden.mean((2, 3)))


def _blocks(weights: Weights, config: dict[str, Any], dtype: torch.dtype) -> list[Block]:
    blocks = []
    is_bottleneck = config.get("layer_type", "bottleneck") == "bottleneck"
    early = bool(config.get("downsample_in_bottleneck")) or not is_bottleneck
    for stage, depth in enumerate(config.get("depths") or DEPTHS):
        for layer in range(int(depth)):
            halves = layer == 0 and (stage > 0 or config.get("downsample_in_first_stage", False))
            strides = [1] * (3 if is_bottleneck else 2)
            strides[0 if early else 1] = 2 if halves else 1
            name = f"resnet.encoder.stages.{stage}.layers.{layer}"
            convolutions = tuple(
                Convolution.read(weights, f"{name}.layer.{index}", stride, dtype)
                for index, stride in enumerate(strides)
            )
            has_shortcut = f"{name}.shortcut.convolution.weight" in weights
            shortcut = Convolution.read(weights, f"{name}.shortcut", max(strides), dtype) if has_shortcut else None
            blocks.append(Block(convolutions, shortcut))
    return blocks
