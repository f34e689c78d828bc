"""What a task decides about its models: what they read, what leaves the device, and the prediction made of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.checkpoints.registry import Task as Name
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload
from gpu_service.parameters import Parameters
from gpu_service.tasks.predictions import Prediction

HEADS: dict[str, Name] = {  # by the ending of an architecture's name
    "ForSequenceClassification": "text-classification",
    "ForImageClassification": "image-classification",
    "ForTokenClassification": "token-classification",
    "ForObjectDetection": "object-detection",
}


class Network(Protocol):
    """Returns a tensor on its device for the data of many payloads."""

    layout: str

    def __call__(self, data: Sequence[Any], /) -> Tensor: ...


class Inputs(Protocol):
    kind: Kind

    def payloads(self, values: Sequence[Any], /) -> Sequence[Payload | InstanceError]: ...


class Task(ABC):
    """The inputs, network and labels of one checkpoint; made of a checkpoint and a device.

    A row is what a payload brings back from the device.
    """

    kind: ClassVar[Kind]
    prediction: ClassVar[type[Prediction]]
    reads_pairs: ClassVar[bool] = False  # of texts
    checkpoint: Checkpoint  # whose weights the network runs
    inputs: Inputs
    network: Network
    labels: list[str]

    @abstractmethod
    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        """Raises StartError when the checkpoint is not made for the task, or cannot be loaded."""

    def payloads(self, values: Sequence[Any], parameters: Sequence[Parameters]) -> Sequence[Payload | InstanceError]:
        """The payload or error of each instance, with the parameters of each."""
        return self.inputs.payloads(values)

    @abstractmethod
    def prepared_bytes(self, size: int, parameters: Parameters) -> int:
        """The most memory that an instance of `size` bytes takes once it is prepared."""

    @abstractmethod
    def samples(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        """The data of made-up payloads of the given sizes."""

    @abstractmethod
    def scores(self, output: Tensor, data: Sequence[NDArray[Any]]) -> Tensor:
        """The network's output in float32 and on a scale on which two number formats are compared."""

    def reduced(self, output: Tensor, data: Sequence[NDArray[Any]], parameters: Sequence[Parameters]) -> Tensor:
        """What is copied from the device, in one tensor."""
        return self.scores(output, data)

    def rows(self, copied: Tensor, data: Sequence[NDArray[Any]]) -> list[Any]:
        """One row for each payload."""
        return list(copied.numpy())

    def is_finite(self, row: Any) -> bool:
        return bool(np.isfinite(row).all())

    @abstractmethod
    def predict(self, rows: Sequence[Any], payload: Payload, parameters: Parameters) -> Prediction:
        """The prediction for an instance, of the row of its payload or those of its parts."""


def trained_task(checkpoint: Checkpoint) -> Name | None:
    """The task of the checkpoint's head by the name of its architecture; None if that says nothing."""
    architecture = _architecture(checkpoint)
    return next((task for ending, task in HEADS.items() if architecture.endswith(ending)), None)


def refuse_other_head(checkpoint: Checkpoint) -> None:
    """Raises StartError when the checkpoint has the head of another task."""
    task = trained_task(checkpoint)
    if task not in (None, checkpoint.entry.task):
        raise StartError(_other_head(checkpoint) + f"set its task to {task}.")


def check_head(checkpoint: Checkpoint, ending: str) -> None:
    """Raises StartError unless the checkpoint has the head that the ending of its architecture's name says."""
    if _architecture(checkpoint).endswith(ending):
        return
    task = trained_task(checkpoint)
    remedy = f"set its task to {task}" if task else "choose the task that it was trained for"
    raise StartError(_other_head(checkpoint) + f"{remedy}, or serve a model …{ending}.")


def _other_head(checkpoint: Checkpoint) -> str:
    architecture = _architecture(checkpoint) or "model without an architecture"
    return f"{checkpoint.folder} is a {architecture}, which cannot do {checkpoint.entry.task}: "


def _architecture(checkpoint: Checkpoint) -> str:
    return str((checkpoint.config.get("architectures") or [""])[0])
