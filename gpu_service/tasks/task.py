"""What a task decides about its models: what they read, what leaves the device, and the prediction made of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload
from gpu_service.parameters import Parameters
from gpu_service.tasks.predictions import Prediction


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
    inputs: Inputs
    network: Network
    labels: list[str]

    @abstractmethod
    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        """Raises StartError when the checkpoint is not made for the task, or cannot be loaded."""

    def dense_weights(self, checkpoint: Checkpoint) -> int:
        """How many weights each token or pixel is multiplied with."""
        return checkpoint.dense_weights

    def payloads(self, values: Sequence[Any], parameters: Sequence[Parameters]) -> Sequence[Payload | InstanceError]:
        """The payload or error of each instance, with the parameters of each."""
        return self.inputs.payloads(values)

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


def check_head(checkpoint: Checkpoint, ending: str) -> None:
    """Raises StartError unless the checkpoint has the head that the ending of its architecture's name says."""
    architecture = (checkpoint.config.get("architectures") or [""])[0]
    if not architecture.endswith(ending):
        raise StartError(
            f"{checkpoint.folder} is a {architecture or 'model without an architecture'}, which cannot do "
            f"{checkpoint.entry.task}: choose the task that it was trained for, or a model …{ending}."
        )
