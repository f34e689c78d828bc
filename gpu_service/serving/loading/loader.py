"""Loads one model: files, weights, parity check, warm-up; the model that it returns is ready for requests."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import prod

import torch

from gpu_service.batching.cost_model import Cost
from gpu_service.batching.threads import Threads
from gpu_service.checkpoints import checkpoint
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import ServiceError, StartError
from gpu_service.inputs.texts import rebuilding
from gpu_service.networks import families
from gpu_service.serving.loading import compilation, memory, precision, warmup
from gpu_service.serving.model import Model
from gpu_service.settings import Settings

Phase = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that has answered, what its batches cost, and how much memory it takes.

    `size` are the bytes of its tensors, `peak` those that a batch needs in addition while it runs.
    """

    model: Model
    cost: Cost
    size: int
    peak: int


class Loader:
    """Loads models onto one device."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self.settings = settings
        self.device = device

    def fetch(self, entry: Entry) -> None:
        """Downloads the model's files, unless they are here. Raises StartError, as `load` does."""
        with named(entry):
            checkpoint.find(entry, self.settings.models)

    def load(self, entry: Entry, phase: Phase = lambda _: nullcontext()) -> Loaded:
        """Loads while nothing else runs, with all threads.

        Raises:
            StartError: the files are not available, or the model does not work; the message names it.
        """
        with named(entry):
            return self._load(entry, phase)

    def load_beside(self, entry: Entry, most: int) -> Loaded:
        """Loads while other models answer: on the calling thread alone, uncompiled, and of at most `most` bytes.

        Raises:
            StartError: as `load` does; also for a model that is larger.
        """
        torch.set_num_threads(1)
        with named(entry):
            return self._load(entry, lambda _: nullcontext(), most)

    def _load(self, entry: Entry, phase: Phase, most: int | None = None) -> Loaded:
        with phase("files"):
            files = replace(checkpoint.find(entry, self.settings.models), defaults=self.settings.parameters)
        if most is not None:
            _check_size(_expected_bytes(files, self.device), most)
        with phase("weights"):
            model = precision.load(files, self.device)
        if self.settings.compile and most is None:
            with phase("compile"):
                compilation.compile_layers(model)
        threads = model.threads
        if most is not None:
            model.threads = Threads(1, fixed=True)
        with phase("warmup"), memory.peak(self.device) as peak:
            warmup.verify(model)
            cost = warmup.measure(model, self.settings.max_batch_s)
        model.threads = threads
        loaded = Loaded(model, cost, memory.tensor_bytes(model.task), peak.size)
        if most is not None:
            _check_size(loaded.size, most)
        return loaded

    def check(self, entry: Entry) -> None:
        """Checks what the files of a model in a local folder tell, without loading it.

        Raises:
            StartError
        """
        with named(entry):
            if not checkpoint.is_local(entry, self.settings.models):
                return
            files = checkpoint.find(entry, self.settings.models)
            if (files.folder / "config.json").is_file():
                files.check()
                _expected_bytes(files, self.device)

    def may_need_transformers(self, entry: Entry) -> bool:
        """Whether loading the model may import transformers; that is not known of files elsewhere."""
        if not checkpoint.is_local(entry, self.settings.models):
            return True
        files = checkpoint.find(entry, self.settings.models)
        if entry.task == "image-classification":
            return files.config.get("model_type") not in ("vit", "resnet")
        is_packed = (files.folder / "config.json").is_file() and families.family(files.config) is not None
        return not is_packed or rebuilding.as_it_stands(files) is None


@contextmanager
def named(entry: Entry) -> Iterator[None]:
    """Adds to an error which model of the profile it is about."""
    name = f"The model {entry.name}, version {entry.version}, cannot be served"
    try:
        yield
    except ServiceError as error:
        raise StartError(f"{name}: {error.message}") from error
    except Exception as error:
        error.add_note(name)
        raise


def _expected_bytes(files: Checkpoint, device: Device) -> int:
    """Of the weights in the device's number format, by the heads of their files; 0 where these have another layout."""
    if not (files.folder / "config.json").is_file():
        return 0
    return device.dtype.itemsize * sum(map(prod, files.shapes.values()))


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise StartError(
            f"it takes {size / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} MB for models; raise MODEL_MEMORY_BYTES, "
            "or serve it alone."
        )
