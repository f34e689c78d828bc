"""Runs vision transformers for image classification without the transformers library."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.networks.attention import Uniform
from gpu_service.networks.transformer import ACTIVATIONS, Layer, Linear, Norm, Weights, encode

CHANNELS = 3
Pixels = NDArray[np.uint8]  # (height, width, 3), of the model's size


def is_known(config: dict[str, Any], size: tuple[int, int] | None) -> bool:
    """Whether this module can run the checkpoint with images that all have the size (width, height)."""
    known = (config.get("architectures") or [""])[0] == "ViTForImageClassification"
    side = config.get("image_size", 224)
    height, width = (side, side) if isinstance(side, int) else side
    return (
        known
        and size == (width, height)
        and isinstance(config.get("patch_size", 16), int)
        and config.get("num_channels", 3) == CHANNELS
        and config.get("hidden_act", "gelu") in ACTIVATIONS
    )


class VisionClassifier:
    """Takes images of the model's size and returns logits (images, labels)."""

    layout = "padded"

    def __init__(self, checkpoint: Checkpoint, device: Device, shift: Sequence[float], scale: Sequence[float]) -> None:
        config = checkpoint.config
        weights = {
            name.removeprefix("vit."): tensor.to(device.dtype)
            for name, tensor in checkpoint.tensors(str(device.handle)).items()
        }
        eps = float(config.get("layer_norm_eps", 1e-12))
        self.device = device
        self.patch = int(config.get("patch_size", 16))
        self._read_patches(weights, shift, scale)
        self.cls = weights["embeddings.cls_token"][0]
        self.positions = weights["embeddings.position_embeddings"]
        self.layers = _layers(weights, config, eps)
        self.norm = Norm.read(weights, "layernorm", eps)
        self.head = Linear.read(weights, "classifier")

    def _read_patches(self, weights: Weights, shift: Sequence[float], scale: Sequence[float]) -> None:
        """Folds the normalisation of pixels, `(pixel - shift) / scale`, into the projection of patches."""
        name = "embeddings.patch_embeddings.projection"
        kernel, bias = weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float()
        folded = kernel / kernel.new_tensor(scale)[None, :, None, None]
        centred = kernel.new_tensor(shift)[None, :, None, None] - 127.5
        self.bias = (bias - (folded * centred).sum((1, 2, 3))).to(self.device.dtype)
        self.kernel = folded.permute(0, 2, 3, 1).flatten(1).to(self.device.dtype)

    @torch.inference_mode()
    def __call__(self, images: Sequence[Pixels]) -> Tensor:
        pixels = self.device.send(np.stack(images))
        count, height, width, _ = pixels.shape
        side = self.patch
        centred = pixels.to(self.device.dtype).sub_(127.5)  # small numbers keep half precision accurate
        patches = centred.view(count, height // side, side, width // side, side, CHANNELS).transpose(2, 3)
        embedded = F.linear(patches.reshape(count, -1, side * side * CHANNELS), self.kernel, self.bias)
        rows = torch.cat((self.cls.expand(count, 1, -1), embedded), 1) + self.positions
        sequences = Uniform(count, rows.shape[1], self.device.handle)
        return self.head(self.norm(encode(self.layers, rows.flatten(0, 1), sequences)))


def _layers(weights: Weights, config: dict[str, Any], eps: float) -> list[Layer]:
    layers = []
    for index in range(int(config.get("num_hidden_layers", 12))):
        at = f"encoder.layer.{index}."
        layers.append(
            Layer(
                qkv=Linear.read(weights, *(f"{at}attention.attention.{part}" for part in ("query", "key", "value"))),
                out=Linear.read(weights, f"{at}attention.output.dense"),
                norm_attention=Norm.read(weights, f"{at}layernorm_before", eps),
                widen=Linear.read(weights, f"{at}intermediate.dense"),
                narrow=Linear.read(weights, f"{at}output.dense"),
                norm_output=Norm.read(weights, f"{at}layernorm_after", eps),
                heads=int(config.get("num_attention_heads", 12)),
                activation=ACTIVATIONS[config.get("hidden_act", "gelu")],
                norm_first=True,
            )
        )
    return layers
