"""A served model: one checkpoint on one device, and its task."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.batching.cost_model import Slowness
from gpu_service.batching.threads import Threads
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.checkpoints.registry import Entry
from gpu_service.networks.bert import PackedClassifier
from gpu_service.parameters import Parameters, Requested, chosen, of_model
from gpu_service.serving import parts
from gpu_service.serving.predictions import ServedModel
from gpu_service.tasks.registry import TASKS

SMALL = 4_000_000  # weights: below, threads cost more in waiting for each other than they gain
CORES = torch.get_num_threads()


class Pending:
    """A batch that was sent to the device. Its results are one tensor, of which `rows` makes one row per payload."""

    def __init__(self, results: Tensor, rows: Callable[[Tensor], list[Any]]) -> None:
        self._results = results
        self._rows = rows
        self._event = None
        if results.is_cuda:
            self._results = torch.empty(results.shape, dtype=results.dtype, pin_memory=True)
            self._results.copy_(results, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(results.device))

    @property
    def is_async(self) -> bool:
        return self._event is not None

    def rows(self) -> list[Any]:
        """Waits for the batch; one row for each payload, whose numbers may be NaN."""
        if self._event is not None:
            self._event.synchronize()
        return self._rows(self._results)


class Model:
    """One checkpoint on one device."""

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        self.entry = checkpoint.entry
        self.deployed = checkpoint.defaults
        self.defaults = self._defaults()
        self.flow = self.key  # names it in the batcher
        self.revision = checkpoint.revision
        self.state = checkpoint.state
        self.device = device
        self.task = TASKS[checkpoint.entry.task](checkpoint, device)
        self.labels = self.task.labels
        self.inputs = self.task.inputs
        self.network = self.task.network
        most = 1 if self.task.checkpoint.dense_weights < SMALL else CORES
        divisible = type(self.network) is PackedClassifier
        self.threads = Threads(most, divisible=divisible, fixed=device.is_cuda)
        self.is_compiled = False

    @property
    def key(self) -> str:
        return self.entry.key

    def with_entry(self, entry: Entry) -> Self:
        """The same weights with the defaults of another entry."""
        model = copy.copy(self)
        model.entry = entry
        model.defaults = model._defaults()
        return model

    def _defaults(self) -> Parameters:
        return of_model(self.deployed, self.entry.task, self.entry.parameters, self.entry.thresholds)

    @property
    def is_packed(self) -> bool:
        return self.network.layout == "packed"

    @torch.inference_mode()
    def launch(self, data: Sequence[Any], parameters: Sequence[Parameters]) -> Pending:
        """Sends one batch: the data of its payloads and the parameters of each."""
        self.set_threads()
        results = self.task.reduced(parts.run(self.network, data, self.threads.way.parts), data, parameters)
        return Pending(results, partial(self.task.rows, data=data))

    @torch.inference_mode()
    def scores(self, data: Sequence[Any]) -> Tensor:
        """The outputs for a batch in float32, on a scale on which two number formats are compared."""
        return self.task.scores(self.network(data), data)

    def set_threads(self) -> None:
        """Sets how many threads the calling thread's computations use."""
        if not self.device.is_cuda:
            torch.set_num_threads(self.threads.way.threads)

    def check(self) -> None:
        """Raises RuntimeError when the device no longer computes, as after an illegal access to a GPU's memory."""
        if self.device.is_cuda:
            torch.cuda.synchronize(self.device.handle)

    def ran(self, slowness: Slowness) -> None:
        self.threads.ran(*slowness)

    def effective(self, requested: Requested) -> Parameters:
        """The values that shape a prediction: the requested ones, else the model's defaults."""
        parameters = chosen(self.defaults, requested, self.entry.task)
        if parameters.score_columns:
            parameters = replace(parameters, top_k=max(1, len(self.labels)), threshold=0.0)
        longest = getattr(self.inputs, "max_length", parameters.max_length)
        return parameters if parameters.max_length <= longest else replace(parameters, max_length=longest)

    def describe(self) -> ServedModel:
        entry = self.entry
        return ServedModel(entry.name, entry.version, entry.task, entry.source, self.revision)


def samples(model: Model, sizes: Sequence[int]) -> list[NDArray[Any]]:
    """The data of made-up payloads of the given sizes."""
    return model.task.samples(sizes)
