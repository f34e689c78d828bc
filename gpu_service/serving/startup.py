"""Brings the service up: device, models, warm-up, batcher; and records the time of each phase."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gpu_service import logs, storage
from gpu_service.batching.batcher import Batcher
from gpu_service.batching.scheduler import Scheduler
from gpu_service.checkpoints import bucket, checkpoint, device, registry
from gpu_service.checkpoints.registry import Entry, Registry, Task
from gpu_service.errors import StartError
from gpu_service.networks import pretrained
from gpu_service.serving.catalog import Catalog
from gpu_service.serving.loading import memory
from gpu_service.serving.loading.loader import Loaded, Loader
from gpu_service.serving.metrics import Metrics
from gpu_service.serving.refresh import Refresh
from gpu_service.serving.residents import Limits, Residents
from gpu_service.serving.service import Service
from gpu_service.settings import Settings
from gpu_service.tasks.task import trained_task

Select = Callable[[Registry], Sequence[Entry]]

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
class Start:
    """The models that were loaded at the start, in the order of models.json, and what else it lists."""

    registry: Registry
    loader: Loader
    models: Sequence[Loaded]
    memory: int  # for models, beside those
    phases: Phases


def load(settings: Settings, select: Select | None = None) -> Start:
    """Loads and warms up the models that are to be loaded at the start, and checks the files of the others.

    Args:
        select: chooses other models to load, when no others will be needed.

    Raises:
        StartError: a required GPU or a model is missing, or a model cannot run.
        ModelNotFound: from `select`.
    """
    phases = Phases()
    with phases.phase("device"):
        loader = Loader(settings, device.choose(settings.device, settings.dtype, required=settings.gpu_required))
    entries = _from_vertex(settings.storage_uri) if settings.storage_uri else _from_profile(settings)
    memory_limit = settings.model_memory or memory.budget(loader.device)
    chosen = select(entries) if select else [entry for entry in entries.entries if entries.loads_at_start(entry)]
    models = [loader.load(entry, phases.phase) for entry in chosen]
    if select is None:
        with phases.phase("lazy"):
            _prepare(loader, [entry for entry in entries.entries if entry not in chosen])
    return Start(entries, loader, models, memory_limit, phases)


def _prepare(loader: Loader, lazy: Sequence[Entry]) -> None:
    """Checks models that will be loaded later, and imports what would delay other requests then."""
    for entry in lazy:
        loader.check(entry)
    if any(map(loader.may_need_transformers, lazy)):
        pretrained.prepare()


def start(settings: Settings, started: Start) -> tuple[Service, Metrics]:
    """Starts the batcher in the running event loop."""
    scheduler = Scheduler({}, max_queue=settings.max_queue, max_wait_s=settings.max_wait_s)
    metrics = Metrics(scheduler)
    batcher = Batcher({}, scheduler, metrics)
    residents = Residents(started.loader, batcher, metrics, _limits(settings, started))
    catalog = Catalog(started.registry, residents)
    for loaded in started.models:
        residents.add(loaded)
    batcher.start()
    service = Service(
        catalog,
        batcher,
        storage.Storage(settings.input_bucket, settings.work_bucket),
        deadline_s=settings.deadline_s,
        revision=settings.revision,
        is_traced=settings.traces is not None,
        refresh=None if settings.storage_uri else Refresh(catalog, metrics, settings),
    )
    _report(started, metrics)
    return service, metrics


def _limits(settings: Settings, started: Start) -> Limits:
    """The limits of models in memory, which hold at least those that are loaded at the start."""
    size = sum(loaded.size for loaded in started.models) + max((loaded.peak for loaded in started.models), default=0)
    if size > started.memory:
        fields = logs.fields(bytes=size, limit=started.memory)
        logger.warning("the models of the start take more memory than there is for models", extra=fields)
    return Limits(max(size, started.memory), settings.max_queue, settings.load_wait_s)


def _report(started: Start, metrics: Metrics) -> None:
    """Publishes how long each phase took, and logs it with the costs of batches."""
    started.phases.end()
    for phase, seconds in started.phases.seconds.items():
        metrics.start_seconds.labels(phase).set(seconds)
    costs = {
        loaded.model.key: {
            "base_ms": 1e3 * loaded.cost.base,
            "each_us": 1e6 * loaded.cost.each,
            "budget": loaded.cost.budget,
            "bytes": loaded.size,
        }
        for loaded in started.models
    }
    rounded = {phase: round(seconds, 3) for phase, seconds in started.phases.seconds.items()}
    logger.info("ready", extra=logs.fields(start_seconds=rounded, costs=costs, device=started.loader.device.name))


def _from_profile(settings: Settings) -> Registry:
    return registry.load(settings.models, settings.profile, settings.load)


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
