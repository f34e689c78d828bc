"""Runs any other image classifier through transformers' Auto class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device


class AutoImageClassifier:
    """Takes images of one size (height, width, 3) and returns logits (images, labels)."""

    layout = "padded"

    def __init__(self, checkpoint: Checkpoint, device: Device, mean: Sequence[float], std: Sequence[float]) -> None:
        from transformers import AutoModelForImageClassification

        self.device = device
        self.model: Any = AutoModelForImageClassification.from_pretrained(
            checkpoint.folder, dtype=device.dtype, local_files_only=True
        )
        self.model.to(device.handle).eval()
        self.mean = torch.tensor(mean, device=device.handle).view(3, 1, 1) * 255
        self.std = torch.tensor(std, device=device.handle).view(3, 1, 1) * 255

    @torch.inference_mode()
    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        pixels = send(np.stack(images), self.device).permute(0, 3, 1, 2).float()
        logits: Tensor = self.model(((pixels - self.mean) / self.std).to(self.device.dtype)).logits
        return logits


def send(array: NDArray[Any], device: Device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device.handle, non_blocking=True) if device.is_cuda else tensor
