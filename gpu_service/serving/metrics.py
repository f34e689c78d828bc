"""Metrics for Prometheus: queues, batches, device time and errors, by model and version."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gpu_service.batching.scheduler import Batch, Scheduler

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
LABELS = ("model", "version")


class Metrics:
    """Batches are counted on the device's thread, all else on the event loop."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.registry = CollectorRegistry()
        self._scheduler = scheduler
        self.requests = self._counter("requests", "Requests by route and status.", ("route", "status"))
        self.errors = self._counter("errors", "Failed requests and instances by code.", ("code",))
        self.instances = self._counter("instances", "Instances that a model ran on.", LABELS)
        self.units = self._counter("units", "Tokens or images that a model ran on.", LABELS)
        self.padding = self._counter("padding_units", "Units of padding that a model ran on.", LABELS)
        self.device_seconds = self._counter("device_seconds", "Time that batches took on the device.", LABELS)
        self.rows = self._histogram("batch_rows", "Instances per batch.", ROWS)
        self.batch_seconds = self._histogram("batch_seconds", "Duration of batches.", SECONDS)
        self.queue_seconds = self._histogram("queue_seconds", "Time that instances waited.", SECONDS)
        self.start_seconds = self._gauge("start_seconds", "Duration of each phase of the start.", ("phase",))
        self.queue = self._gauge("queue_instances", "Waiting instances.", ())
        self.queue.set_function(lambda: self._scheduler.waiting)
        self.active = self._gauge("active_requests", "Requests in progress.", ())
        self.memory = self._gauge("gpu_memory_bytes", "GPU memory.", ("state",))
        self.utilization = self._gauge("gpu_utilization_ratio", "Recent share of time that the GPU was busy.", ())
        self.models = self._gauge("models_loaded", "Models in memory.", ())
        self.model_bytes = self._gauge("model_bytes", "Memory of a model's weights; 0 when it is not loaded.", LABELS)
        self.memory_limit = self._gauge("model_memory_limit_bytes", "Memory for all models.", ())
        self.loads = self._counter("model_loads", "Loads of models, by result.", (*LABELS, "result"))
        self.load_seconds = self._histogram("model_load_seconds", "Duration of loads.", LOAD_SECONDS)
        self.evictions = self._counter("model_evictions", "Models removed from memory, by reason.", (*LABELS, "reason"))
        self.refreshes = self._counter("models_file_refreshes", "Readings of models.json, by result.", ("result",))
        self.is_current = self._gauge("models_file_valid", "1 if models.json is served as it is, 0 if not.", ())
        self.is_current.set(1)
        self._children: dict[str, _Children] = {}

    def batch(self, batch: Batch, units: int, queue_s: Sequence[float], seconds: float) -> None:
        children = self._children.get(batch.model) or self._add(batch.model)
        computed = batch.flow.cost.units([ticket.size for ticket in batch.tickets])
        children.instances.inc(len(batch.tickets))
        children.units.inc(units)
        children.padding.inc(computed - units)
        children.device_seconds.inc(seconds)
        children.rows.observe(len(batch.tickets))
        children.batch_seconds.observe(seconds)
        for waited in queue_s:
            children.queue_seconds.observe(waited)

    def _add(self, flow: str) -> "_Children":
        """The metrics of a flow, which is called name@version or, after the model's first load, name@version#number."""
        name, _, version = flow.partition("#")[0].rpartition("@")
        children = self._children[flow] = _Children(self, (name, version))
        return children

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self._update_gpu()
        return generate_latest(self.registry)

    def _update_gpu(self) -> None:
        import torch

        if not torch.cuda.is_initialized():
            return
        free, total = torch.cuda.mem_get_info()
        self.memory.labels("used").set(total - free)
        self.memory.labels("total").set(total)
        self.memory.labels("allocated").set(torch.cuda.memory_allocated())
        try:
            self.utilization.set(torch.cuda.utilization() / 100)
        except Exception:  # noqa: BLE001  NVIDIA's library is missing, or refuses with an error type of its own
            self.utilization.set(float("nan"))

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(f"gpu_service_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauge:
        return Gauge(f"gpu_service_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"gpu_service_{name}", text, LABELS, registry=self.registry, buckets=buckets)


class _Children:
    """The metrics of one model, so that batches need no look-up by label."""

    def __init__(self, metrics: Metrics, names: tuple[str, str]) -> None:
        self.instances = metrics.instances.labels(*names)
        self.units = metrics.units.labels(*names)
        self.padding = metrics.padding.labels(*names)
        self.device_seconds = metrics.device_seconds.labels(*names)
        self.rows = metrics.rows.labels(*names)
        self.batch_seconds = metrics.batch_seconds.labels(*names)
        self.queue_seconds = metrics.queue_seconds.labels(*names)
