"""Runs any other image classifier through transformers' Auto class."""

import copy
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.networks import pretrained


class AutoImageClassifier:
    """Takes images and returns logits (images, labels).

    An image is uint8 (height, width, channels), which `shift` and `scale` normalise for each channel, or float32
    (channels, height, width). Images of the same size run together.
    """

    layout = "padded"

    def __init__(self, checkpoint: Checkpoint, device: Device, shift: Sequence[float], scale: Sequence[float]) -> None:
        self.device = device
        self.model = _image_classifier(checkpoint, device)
        self.shift = torch.tensor(shift, device=device.handle).view(-1, 1, 1)
        self.scale = torch.tensor(scale, device=device.handle).view(-1, 1, 1)

    @torch.inference_mode()
    def __call__(self, images: Sequence[NDArray[Any]]) -> Tensor:
        return by_shape(self._logits, images, self.device)

    def reads(self, shape: Sequence[int], sample: NDArray[Any]) -> bool:
        """Whether it reads images of the shape as well as those of the sample's.

        That is tried on the CPU, as a GPU is lost after an access beyond a table of positions.
        """
        pixels = torch.zeros((1, *(shape if sample.dtype != np.uint8 else (shape[2], *shape[:2]))))
        model = copy.deepcopy(self.model).float().cpu() if self.device.is_cuda else self.model
        try:
            with torch.inference_mode():
                model(pixel_values=pixels.to(model.dtype))
        except (ValueError, RuntimeError, IndexError):
            return False
        return True

    def _logits(self, images: NDArray[Any]) -> Tensor:
        pixels = self.device.send(images)
        if pixels.dtype == torch.uint8:
            pixels = (pixels.permute(0, 3, 1, 2).float() - self.shift) / self.scale
        logits: Tensor = self.model(pixel_values=pixels.to(self.device.dtype)).logits
        return logits


def _image_classifier(checkpoint: Checkpoint, device: Device) -> Any:
    """Raises StartError when transformers cannot load it, or would fill missing weights with random numbers."""
    if "architecture" in checkpoint.config and importlib.util.find_spec("timm") is None:
        raise StartError(
            f"{checkpoint.folder} is a model of timm, which the service does not have; serve the same architecture in "
            "transformers' own format, or add timm to gpu_service/requirements.txt."
        )
    return pretrained.load(checkpoint, device, "AutoModelForImageClassification")


def by_shape(run: Callable[[NDArray[Any]], Tensor], images: Sequence[NDArray[Any]], device: Device) -> Tensor:
    """What `run` returns for each image, of which those of one shape run together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    results = torch.cat([run(np.stack([images[index] for index in group])) for group in groups.values()])
    return results[device.send(np.argsort([index for group in groups.values() for index in group]))]
