"""A served model: inputs, network and labels put together, from an instance to a prediction."""

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
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.text import TextInputs
from gpu_service.networks import bert, resnet, vit
from gpu_service.networks.auto import AutoImageClassifier, AutoTextClassifier

SMALL = 4_000_000  # weights: with fewer, threads that wait for each other cost more than they bring
CORES = torch.get_num_threads()
FEW_LABELS = 64  # all of them are brought back; of more only the best


class Network(Protocol):
    """Turns the data of many payloads into logits (rows, labels) on its device."""

    layout: str

    def __call__(self, data: Sequence[Any], /) -> Tensor: ...


class Inputs(Protocol):
    kind: str

    def payload(self, value: Any, /) -> Payload: ...

    def payloads(self, values: Sequence[Any], /) -> Sequence[Payload | InstanceError]: ...


@dataclass(frozen=True)
class Row:
    """The best scores of one instance, falling, and their labels' numbers."""

    scores: list[float]
    labels: list[int]


class Pending:
    """A batch that was sent to the device; `rows` waits for it. Answers lie in one tensor: scores, then labels."""

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
        """One row for each payload; a score that is no number comes back as NaN."""
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
        self.several = checkpoint.config.get("problem_type") == "multi_label_classification" or len(self.labels) == 1
        self.inputs: Inputs
        self.network: Network
        self.inputs, self.network = _parts(checkpoint, device)
        self.threads = 1 if checkpoint.multiplied < SMALL else CORES
        self.is_compiled = False

    @property
    def key(self) -> str:
        return f"{self.entry.name}@{self.entry.version}"

    @property
    def is_packed(self) -> bool:
        return self.network.layout == "packed"

    @torch.inference_mode()
    def launch(self, data: Sequence[Any], top: int) -> Pending:
        """Sends one batch; `top` is how many labels the callers want at most."""
        self.set_threads()
        scores = self.scores(self.network(data))
        wanted = len(self.labels) if len(self.labels) <= FEW_LABELS else min(top, len(self.labels))
        best, labels = scores.topk(wanted, dim=-1)
        return Pending(torch.cat((best, labels.float()), dim=1))

    def set_threads(self) -> None:
        """How many the calling thread's computations take."""
        if not self.device.is_cuda:
            torch.set_num_threads(self.threads)

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities in float32: of one label among all, or of each by itself."""
        logits = logits.float()
        return logits.sigmoid() if self.several else logits.softmax(-1)

    def prediction(self, row: Row, top: int) -> dict[str, Any]:
        scores = {self.labels[label]: score for label, score in zip(row.labels[:top], row.scores[:top], strict=True)}
        return {"label": self.labels[row.labels[0]], "score": row.scores[0], "scores": scores}

    def describe(self) -> dict[str, Any]:
        entry = self.entry
        return {
            "name": entry.name,
            "version": entry.version,
            "task": entry.task,
            "source": entry.source,
            "revision": self.revision,
        }


def samples(model: Model, sizes: Sequence[int]) -> list[NDArray[Any]]:
    """Made-up payloads of the given sizes, for warm-up."""
    if isinstance(model.inputs, TextInputs):
        limit = model.inputs.tokenizer.get_vocab_size()
        return [np.arange(size, dtype=np.int64) % limit for size in sizes]
    if not isinstance(model.inputs, ImageInputs):
        raise TypeError("samples are texts or images")
    shape = (model.inputs.geometry.height, model.inputs.geometry.width, 3)
    return [np.full(shape, 128, dtype=np.uint8) for _ in sizes]


def _parts(checkpoint: Checkpoint, device: Device) -> tuple[Inputs, Network]:
    if checkpoint.entry.task == "text-classification":
        is_packed = bert.family(checkpoint.config) is not None
        network = bert.PackedClassifier(checkpoint, device) if is_packed else AutoTextClassifier(checkpoint, device)
        return TextInputs(checkpoint, network.max_length), network
    inputs = ImageInputs(checkpoint)
    mean, std = inputs.geometry.mean, inputs.geometry.std
    if vit.is_known(checkpoint.config):
        return inputs, vit.VisionClassifier(checkpoint, device, mean, std)
    if resnet.is_known(checkpoint.config):
        return inputs, resnet.ResidualClassifier(checkpoint, device, mean, std)
    return inputs, AutoImageClassifier(checkpoint, device, mean, std)
