"""Brings the service up: device, models, warm-up, batcher; and records the time of each phase."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_service import logs, storage
from gpu_service.batching.batcher import Batcher
from gpu_service.batching.cost_model import Cost
from gpu_service.batching.scheduler import Scheduler
from gpu_service.checkpoints import bucket, checkpoint, device, registry
from gpu_service.checkpoints.registry import Entry, Registry, Task
from gpu_service.errors import ServiceError, StartError
from gpu_service.serving import compilation, precision, warmup
from gpu_service.serving.catalog import Catalog
from gpu_service.serving.metrics import Metrics
from gpu_service.serving.model import Model
from gpu_service.serving.service import Service
from gpu_service.settings import Settings
from gpu_service.tasks.task import trained_task

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

    def end(self) -> None:
        self.seconds["total"] = _since_process_start()


def _since_process_start() -> float:
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return time.process_time()
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Models that have run, and what their batches cost."""

    catalog: Catalog
    costs: dict[str, Cost]
    phases: Phases


def load(settings: Settings) -> Loaded:
    """Loads and warms up every model.

    Raises:
        StartError: a required GPU or a model is missing, or a model cannot run.
    """
    phases = Phases()
    with phases.phase("device"):
        chosen = device.choose(settings.device, settings.dtype, required=settings.gpu_required)
    entries = _from_vertex(settings.storage_uri) if settings.storage_uri else _from_profile(settings)
    models: dict[str, Model] = {}
    costs: dict[str, Cost] = {}
    for entry in entries.entries:
        with _named(entry):
            with phases.phase("files"):
                files = replace(checkpoint.find(entry, settings.models), defaults=settings.parameters)
            with phases.phase("weights"):
                model = precision.load(files, chosen)
            if settings.compile:
                with phases.phase("compile"):
                    compilation.compile_layers(model)
            with phases.phase("warmup"):
                costs[model.key] = warmup.measure(model, settings.max_batch_s)
        models[model.key] = model
    return Loaded(Catalog(entries, models), costs, phases)


@contextmanager
def _named(entry: Entry) -> Iterator[None]:
    """Adds to an error which model of the profile it is about."""
    name = f"The model {entry.name}, version {entry.version}, cannot be served"
    try:
        yield
    except ServiceError as error:
        raise StartError(f"{name}: {error.message}") from error
    except Exception as error:
        error.add_note(name)
        raise


def start(settings: Settings, loaded: Loaded) -> tuple[Service, Metrics]:
    """Starts the batcher in the running event loop."""
    catalog = loaded.catalog
    scheduler = Scheduler(loaded.costs, max_queue=settings.max_queue, max_wait_s=settings.max_wait_s)
    metrics = Metrics(catalog.models, scheduler)
    batcher = Batcher(catalog.models, scheduler, metrics)
    batcher.start()
    service = Service(
        catalog,
        batcher,
        storage.Storage(settings.input_bucket, settings.work_bucket),
        deadline_s=settings.deadline_s,
        revision=settings.revision,
        is_traced=settings.traces is not None,
    )
    _report(loaded, metrics)
    return service, metrics


def _report(loaded: Loaded, metrics: Metrics) -> None:
    """Publishes how long each phase took, and logs it with the costs of batches."""
    loaded.phases.end()
    for phase, seconds in loaded.phases.seconds.items():
        metrics.start_seconds.labels(phase).set(seconds)
    costs = {
        key: {"base_ms": 1e3 * cost.base, "each_us": 1e6 * cost.each, "budget": cost.budget}
        for key, cost in loaded.costs.items()
    }
    rounded = {phase: round(seconds, 3) for phase, seconds in loaded.phases.seconds.items()}
    device_name = loaded.catalog.first().device.name
    logger.info("ready", extra=logs.fields(start_seconds=rounded, costs=costs, device=device_name))


def _from_profile(settings: Settings) -> Registry:
    return registry.load(settings.models, settings.profile)


def _from_vertex(uri: str) -> Registry:
    """The one model in the folder that Vertex AI names."""
    source = uri.rstrip("/")
    return Registry([Entry(name="model", task=_task(bucket.download(source), uri), source=source, default=True)])


def _task(folder: Path, uri: str) -> Task:
    """The task that the model was made for, by its files. Raises StartError when there is none."""
    if (folder / "modules.json").is_file():
        return "feature-extraction"
    entry = Entry(name="model", task="text-classification", source=str(folder))
    model = checkpoint.Checkpoint(entry, folder)
    if task := trained_task(model):
        return task
    architecture = str((model.config.get("architectures") or [""])[0])
    if architecture.endswith("Model"):
        return "feature-extraction"
    raise StartError(f"The model at {uri} ({architecture or 'no architecture'}) is made for no task that is served.")
