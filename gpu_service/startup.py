"""Brings the service up: device, models, warm-up, batcher; and keeps the time of each phase."""

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_service import logs, storage
from gpu_service.batching.batcher import Batcher
from gpu_service.batching.cost_model import Cost
from gpu_service.batching.scheduler import Scheduler
from gpu_service.checkpoints import checkpoint, device, registry
from gpu_service.checkpoints.registry import Entry, Registry
from gpu_service.errors import StartError
from gpu_service.metrics import Metrics
from gpu_service.service import Service
from gpu_service.serving_model import compilation, precision, warmup
from gpu_service.serving_model.model import Model
from gpu_service.settings import Settings
from gpu_service.web.app import App

if TYPE_CHECKING:
    from gpu_service.tracing import Tracing

logger = logging.getLogger(__name__)


class Phases:
    """Seconds by phase, from the start of the process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"imports": _since_process_start()}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def _since_process_start() -> float:
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return time.process_time()
    import os

    return uptime - ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the service is made of."""

    registry: Registry
    models: dict[str, Model]
    scheduler: Scheduler
    tracing: "Tracing | None"
    phases: Phases


def load(settings: Settings) -> Loaded:
    """Loads and warms every model.

    Raises:
        StartError: a GPU or a model that was promised is not there.
    """
    phases = Phases()
    with phases.phase("device"):
        chosen = device.choose(settings.device, settings.dtype, required=settings.gpu_required)
    models_file, profile = settings.models, settings.profile
    entries = _of_vertex(settings.storage_uri) if settings.storage_uri else registry.load(models_file, profile)
    models: dict[str, Model] = {}
    costs: dict[str, Cost] = {}
    for entry in entries.entries:
        with phases.phase("weights"):
            model = precision.settle(checkpoint.find(entry, models_file), chosen)
        if settings.compile:
            with phases.phase("compile"):
                compilation.attempt(model)
        with phases.phase("warmup"):
            costs[model.key] = warmup.measure(model, settings.max_batch_s)
        models[model.key] = model
    scheduler = Scheduler(costs, max_queue=settings.max_queue, max_wait_s=settings.max_wait_s)
    return Loaded(entries, models, scheduler, _tracing(settings, phases), phases)


def _tracing(settings: Settings, phases: Phases) -> "Tracing | None":
    if settings.traces is None:
        return None
    with phases.phase("tracing"):
        from gpu_service.tracing import Tracing

        return Tracing(settings.traces, settings.revision)


def serve(app: App, loaded: Loaded) -> None:
    """From here on the app is ready."""
    app.service, app.metrics = service(app.settings, loaded)
    app.metrics.active.set_function(lambda: app.active)
    app.tracing = loaded.tracing
    app.service.is_traced = loaded.tracing is not None


def service(settings: Settings, loaded: Loaded) -> tuple[Service, Metrics]:
    """Starts the batcher in the running event loop."""
    models, scheduler, phases = loaded.models, loaded.scheduler, loaded.phases
    metrics = Metrics(models, scheduler)
    batcher = Batcher(models, scheduler, metrics)
    batcher.start()
    objects = storage.Storage(settings.buckets)
    made = Service(
        loaded.registry, models, batcher, objects, deadline_s=settings.deadline_s, revision=settings.revision
    )
    phases.seconds["total"] = _since_process_start()
    for phase, seconds in phases.seconds.items():
        metrics.start_seconds.labels(phase).set(seconds)
    described = {
        key: {"base_ms": 1e3 * cost.base, "each_us": 1e6 * cost.each, "budget": cost.budget}
        for key, cost in scheduler.costs.items()
    }
    rounded = {phase: round(seconds, 3) for phase, seconds in phases.seconds.items()}
    logger.info("ready", extra=logs.fields(start_seconds=rounded, costs=described, device=made.any().device.name))
    return made, metrics


def _of_vertex(uri: str) -> Registry:
    """The one model that Vertex AI copied beside the container's image."""
    folder = Path(tempfile.mkdtemp(prefix="model-"))
    storage.download(uri, folder)
    entry = Entry(name="model", task="text-classification", source=str(folder), default=True)
    architecture = str((checkpoint.Checkpoint(entry, folder).config.get("architectures") or [""])[0])
    if "Classification" not in architecture:
        raise StartError(f"{uri} holds no classifier.")
    return Registry([replace_task(entry, architecture)])


def replace_task(entry: Entry, architecture: str) -> Entry:
    import msgspec

    task = "image-classification" if "Image" in architecture else "text-classification"
    return msgspec.structs.replace(entry, task=task)
