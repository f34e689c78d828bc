"""A served model: the inputs, network and labels of one checkpoint on one device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import InstanceError
from gpu_service.inputs.image import ImageInputs
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.text import TextInputs
from gpu_service.networks import resnet, text, vit
from gpu_service.networks.auto import AutoImageClassifier
from gpu_service.parameters import Parameters
from gpu_service.serving.predictions import Prediction, ServedModel

SMALL = 4_000_000  # weights: below, threads cost more in waiting for each other than they gain
CORES = torch.get_num_threads()
FEW_LABELS = 64  # all their scores are copied from the device; of more labels only the best


class Network(Protocol):
    """Returns logits (rows, labels) on its device for the data of many payloads."""

    layout: str

    def __call__(self, data: Sequence[Any], /) -> Tensor: ...


class Inputs(Protocol):
    kind: Kind

    def payloads(self, values: Sequence[Any], /) -> Sequence[Payload | InstanceError]: ...


@dataclass(frozen=True)
class Row:
    """The best scores of one instance, in falling order, and the numbers of their labels."""

    scores: list[float]
    labels: list[int]


class Pending:
    """A batch that was sent to the device. Its results are one tensor: the scores, then the labels' numbers."""

    def __init__(self, best: Tensor) -> None:
        self._best = best
        self._event = None
        if best.is_cuda:
            self._best = torch.empty(best.shape, dtype=best.dtype, pin_memory=True)
            self._best.copy_(best, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    @property
    def is_async(self) -> bool:
        return self._event is not None

    def rows(self) -> list[Row]:
        """Waits for the batch; one row for each payload, in which scores may be NaN."""
        if self._event is not None:
            self._event.synchronize()
        half = self._best.shape[1] // 2
        return [Row(row[:half], [int(label) for label in row[half:]]) for row in self._best.tolist()]


class Model:
    """One checkpoint on one device."""

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        self.entry = checkpoint.entry
        self.revision = checkpoint.revision
        self.labels = checkpoint.labels
        self.device = device
        self.scoring = checkpoint.scoring
        self.inputs: Inputs
        self.network: Network
        self.inputs, self.network = _parts(checkpoint, device)
        self.threads = 1 if checkpoint.dense_weights < SMALL else CORES
        self.is_compiled = False

    @property
    def key(self) -> str:
        return f"{self.entry.name}@{self.entry.version}"

    @property
    def is_packed(self) -> bool:
        return self.network.layout == "packed"

    @torch.inference_mode()
    def launch(self, data: Sequence[Any], parameters: Sequence[Parameters]) -> Pending:
        """Sends one batch: the data of its payloads and the parameters of each."""
        self.set_threads()
        scores = self.scores(self.network(data))
        count = len(self.labels)
        if count > FEW_LABELS:
            count = min(count, max(each.top_k for each in parameters))
        best, labels = scores.topk(count, dim=-1)
        return Pending(torch.cat((best, labels.float()), dim=1))

    def set_threads(self) -> None:
        """Sets how many threads the calling thread's computations use."""
        if not self.device.is_cuda:
            torch.set_num_threads(self.threads)

    def scores(self, logits: Tensor) -> Tensor:
        """In float32: probabilities over all labels, or of each label by itself, or a regression's values."""
        logits = logits.float()
        if self.scoring == "none":
            return logits
        return logits.sigmoid() if self.scoring == "sigmoid" else logits.softmax(-1)

    def prediction(self, row: Row, parameters: Parameters) -> Prediction:
        scores: dict[str, float] = {}
        for label, score in zip(row.labels[: parameters.top_k], row.scores, strict=False):
            scores.setdefault(self.labels[label], score)  # of two labels with one name, as ImageNet has, the better one
        return Prediction(self.labels[row.labels[0]], row.scores[0], scores)

    def describe(self) -> ServedModel:
        entry = self.entry
        return ServedModel(entry.name, entry.version, entry.task, entry.source, self.revision)


def samples(model: Model, sizes: Sequence[int]) -> list[NDArray[Any]]:
    """The data of made-up payloads of the given sizes."""
    if isinstance(model.inputs, TextInputs):
        return [model.inputs.sample(size) for size in sizes]
    if not isinstance(model.inputs, ImageInputs):
        raise TypeError("Samples are texts or images.")
    shape = (model.inputs.geometry.height, model.inputs.geometry.width, 3)
    return [np.full(shape, 128, dtype=np.uint8) for _ in sizes]


def _parts(checkpoint: Checkpoint, device: Device) -> tuple[Inputs, Network]:
    if checkpoint.entry.task == "text-classification":
        network = text.network(checkpoint, device)
        return TextInputs(checkpoint, network.max_length, network.vocabulary), network
    checkpoint.check()
    inputs = ImageInputs(checkpoint)
    mean, std = inputs.geometry.mean, inputs.geometry.std
    if vit.is_known(checkpoint.config):
        return inputs, vit.VisionClassifier(checkpoint, device, mean, std)
    if resnet.is_known(checkpoint.config):
        return inputs, resnet.ResidualClassifier(checkpoint, device, mean, std)
    return inputs, AutoImageClassifier(checkpoint, device, mean, std)
