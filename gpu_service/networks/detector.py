"""Runs object detectors through transformers' Auto class, images of the same size together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.networks import pretrained
from gpu_service.networks.auto import by_shape

BOX = 4  # numbers: centre, width and height, as shares of the image's sides


class Detector:
    """Takes images as the checkpoint's processor makes them and returns (images, objects, labels + BOX).

    An image is (3, height, width), or (4, height, width) with its mask. Some detectors would see the padding of a
    batch, so only images of one size run together.
    """

    layout = "padded"

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        self.device = device
        self.model: Any = pretrained.load(checkpoint, device, "AutoModelForObjectDetection")

    @torch.inference_mode()
    def __call__(self, images: Sequence[NDArray[np.float32]]) -> Tensor:
        return by_shape(self._found, images, self.device)

    def _found(self, batch: NDArray[np.float32]) -> Tensor:
        sent = {"pixel_values": self.device.send(batch[:, :3]).to(self.device.dtype)}
        if batch.shape[1] > 3:
            sent["pixel_mask"] = self.device.send(batch[:, 3]).long()
        outputs = self.model(**sent)
        return torch.cat((outputs.logits.float(), outputs.pred_boxes.float()), dim=-1)
