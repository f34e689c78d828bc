"""The ASGI application: the routes' handlers, and errors as a status and a body in the form of the route's protocol."""

import logging
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from gpu_service import logs, parameters
from gpu_service.errors import ModelUnavailable, RequestError, ServiceError, Unavailable
from gpu_service.serving.predictions import Failure
from gpu_service.settings import Settings
from gpu_service.tasks.predictions import Prediction
from gpu_service.web import asgi, open_inference, protocol
from gpu_service.web.asgi import Disconnected, Receive, Request, Response, Scope, Send
from gpu_service.web.cancellation import Cancellation
from gpu_service.web.routing import Router, Routes

if TYPE_CHECKING:  # these modules import torch, and /health answers before that
    from gpu_service.checkpoints.registry import Entry
    from gpu_service.serving.catalog import EntryStatus
    from gpu_service.serving.metrics import Metrics
    from gpu_service.serving.service import Result, Service
    from gpu_service.tasks.task import Task
    from gpu_service.web.tracing import Tracing

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499  # nginx's status for it; nobody receives it


class App:
    """Answers /health immediately, and predicts from `attach` until `draining` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.service: Service | None = None
        self.metrics: Metrics | None = None
        self.tracing: Tracing | None = None
        self.draining = False
        self.active = 0
        self.cancellation = Cancellation()
        self.router = Router(self._routes(), self._model_routes())

    def attach(self, service: "Service", metrics: "Metrics", tracing: "Tracing | None" = None) -> None:
        self.service, self.metrics, self.tracing = service, metrics, tracing
        metrics.active.set_function(lambda: self.active)

    def _routes(self) -> Routes:
        routes: dict[str, Any] = {
            "/predict": ("POST", self.predict),
            "/predict-shard": ("POST", self.predict_shard),
            "/health": ("GET", self.health),
            "/ready": ("GET", self.ready),
            "/metrics": ("GET", self.show_metrics),
            "/models": ("GET", self.show_models),
            "/openapi.json": ("GET", self.show_openapi),
            "/": ("GET", self.alive),
            "/v1/models": ("GET", self.model_names),
            "/v2": ("GET", self.server_metadata),
            "/v2/health/live": ("GET", self.server_live),
            "/v2/health/ready": ("GET", self.server_ready),
            "/v2/models": ("GET", self.model_names),
            "/v2/repository/index": ("POST", self.repository_index),
        }
        if self.settings.predict_route:
            routes[self.settings.predict_route] = ("POST", self.predict_for_vertex)
        if self.settings.health_route:
            routes[self.settings.health_route] = ("GET", self.ready)
        return routes

    def _model_routes(self) -> Routes:
        return {
            "/v1/models/{name}": ("GET", self.model_status),
            "/v1/models/{name}:predict": ("POST", self.predict),
            "/v2/models/{name}": ("GET", self.model_metadata),
            "/v2/models/{name}/ready": ("GET", self.model_ready),
            "/v2/models/{name}/infer": ("POST", self.infer),
            "/v2/repository/models/{name}/load": ("POST", self.load_model),
            "/v2/repository/models/{name}/unload": ("POST", self.unload_model),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.active += 1
        request = Request(scope, receive)
        began_ns = time.time_ns() if self.tracing else 0
        route = "unknown"
        try:
            route, handler, arguments = self.router.find(request)
            response = await handler(request, *arguments)
        except ServiceError as error:
            response = self._failure(request, error)
        except Disconnected:
            response = Response(CLIENT_CLOSED_REQUEST, b"")
        except Exception:
            logger.exception("unexpected error", extra=logs.fields(route=route, **self._trace(request)))
            response = self._failure(request, ServiceError("The service failed on this request."))
        finally:
            self.active -= 1
        if self.metrics:
            self.metrics.requests.labels(route, response.status).inc()
        if self.tracing and began_ns and request.method == "POST":
            self.tracing.record(request, route, response.status, began_ns)
        if response.status != CLIENT_CLOSED_REQUEST:
            await response.fit(request)
            await response.send(send)

    async def predict_for_vertex(self, request: Request) -> Response:
        """As `predict`, but what is wrong with a readable request is in place of its predictions.

        Vertex AI passes on neither the status nor the code of a refusal.
        """
        content = await request.body(self.settings.max_body)
        _, instances, _ = protocol.predict_request(content, self.settings.max_instances)
        try:
            return await self.predict(request, content=content)
        except RequestError as error:
            return asgi.json(protocol.refusal(error, len(instances)))

    async def predict(
        self, request: Request, name: str | None = None, version: str | None = None, *, content: bytes | None = None
    ) -> Response:
        service = self._ready_service()
        content = await request.body(self.settings.max_body) if content is None else content
        body, instances, is_short = protocol.predict_request(content, self.settings.max_instances)
        entry = await service.select(name or body.model, version or body.version)
        work = service.predict(instances, entry, parameters.parse(body.parameters))
        result = await self._result(request, work)
        if is_short and isinstance(error := result.outcomes[0], ServiceError):
            raise error
        response = protocol.predict_response(
            result.outcomes,
            result.model.describe(),
            result.parameters,
            result.model.device.name,
            result.timing,
            service.revision,
        )
        if is_short:
            protocol.add_short_form(response)
        self._log_result(request, "predicted", result)
        return asgi.json(response)

    async def predict_shard(self, request: Request) -> Response:
        service = self._ready_service()
        from gpu_service.shards import prediction  # after loading, whose thread imports numpy too

        request.check_json()
        body = protocol.shard_request(await request.body(self.settings.max_body))
        entry = await service.select(body.model, body.version)
        work = prediction.predict(service, body, entry, parameters.parse(body.parameters))
        response, _ = await self.cancellation.guard(request, work)
        fields = {"records": response.records, "failed": response.failed, "gpu_seconds": response.timing.gpu_seconds}
        logger.info("predicted a shard", extra=logs.fields(**fields, **self._trace(request)))
        return asgi.json(response)

    async def infer(self, request: Request, name: str, version: str | None = None) -> Response:
        service = self._ready_service()
        content = await request.body(self.settings.max_body)
        entry = await service.find(name, version)
        task = self._task(entry)
        json_size = request.header(open_inference.HEADER_LENGTH.encode())
        outputs = task.prediction.outputs
        inference = open_inference.infer_request(content, json_size, task.kind, outputs, self.settings.max_instances)
        work = service.predict(inference.instances, entry, parameters.parse(inference.parameters))
        result = await self._result(request, work)
        predictions: list[Prediction] = []
        for index, outcome in enumerate(result.outcomes):
            if isinstance(outcome, ServiceError):
                raise outcome.of_instance(index)
            predictions.append(outcome)
        self._log_result(request, "inferred", result)
        body, size = open_inference.infer_response(inference, entry, outputs, predictions)
        if size is None:
            return Response(200, body)
        return Response(200, body, open_inference.BINARY, {open_inference.HEADER_LENGTH: str(size)})

    async def health(self, _: Request) -> Response:
        """Fails only when the device's thread has ended."""
        if self.service is not None and not self.service.batcher.is_alive and not self.draining:
            raise ServiceError("The thread that runs the models has ended.", "dead")
        return asgi.json(protocol.Status("ok"))

    async def ready(self, _: Request) -> Response:
        self._ready_service()
        return asgi.json(protocol.Status("ready"))

    async def alive(self, request: Request) -> Response:
        await self.health(request)
        return asgi.json(protocol.Status("alive"))

    async def server_live(self, request: Request) -> Response:
        await self.health(request)
        return asgi.json(open_inference.Live(True))

    async def server_ready(self, _: Request) -> Response:
        self._ready_service()
        return asgi.json(open_inference.Ready(True))

    async def show_metrics(self, _: Request) -> Response:
        if self.metrics is None:
            raise Unavailable("The models are not loaded yet.")
        return Response(200, self.metrics.text(), b"text/plain; version=0.0.4; charset=utf-8")

    async def show_models(self, _: Request) -> Response:
        service = self._ready_service()
        residents, refresh = service.catalog.residents, service.refresh
        return asgi.json(
            protocol.ModelList(
                models=[_listed(status) for status in service.catalog.statuses()],
                memory=protocol.ModelMemory(residents.size, residents.limits.memory),
                error=refresh.error if refresh else None,
            )
        )

    async def show_openapi(self, _: Request) -> Response:
        from gpu_service.web.openapi import document

        return asgi.json(document(self.settings))

    async def model_names(self, _: Request) -> Response:
        return asgi.json(protocol.ModelNames(self._ready_service().catalog.names))

    async def server_metadata(self, _: Request) -> Response:
        metadata = open_inference.ServerMetadata("gpu-service", self.settings.revision, open_inference.EXTENSIONS)
        return asgi.json(metadata)

    async def model_metadata(self, _: Request, name: str, version: str | None = None) -> Response:
        service = self._ready_service()
        entry = await service.find(name, version)
        task, versions = self._task(entry), service.catalog.versions(entry.name)
        return asgi.json(open_inference.model_metadata(entry, versions, task.kind, task.prediction))

    async def model_ready(self, _: Request, name: str, version: str | None = None) -> Response:
        """Fails for a model that cannot be loaded; one that is not loaded yet is ready to be."""
        service = self._ready_service()
        status = service.catalog.status(await service.find(name, version))
        if status.state == "failed":
            raise ModelUnavailable(f"The model {status.entry.key} cannot be loaded: {status.error}")
        return asgi.json(protocol.ModelReady(status.entry.name))

    async def model_status(self, _: Request, name: str, version: str | None = None) -> Response:
        service = self._ready_service()
        entry = await service.find(name, version)
        versions = service.catalog.versions(entry.name) if version is None else [entry.version]
        entries = [await service.find(entry.name, version) for version in versions]
        statuses = [protocol.version_status(service.catalog.status(each)) for each in entries]
        is_ready = service.catalog.status(entry).state != "failed"
        return asgi.json(protocol.ModelStatus(entry.name, ready=is_ready, model_version_status=statuses))

    async def repository_index(self, request: Request) -> Response:
        service = self._ready_service()
        only_ready = open_inference.index_request(await request.body(self.settings.max_body))
        statuses = [status for status in service.catalog.statuses() if not only_ready or status.state == "loaded"]
        return asgi.json([open_inference.indexed(status) for status in statuses])

    async def load_model(self, request: Request, name: str, version: str | None = None) -> Response:
        """Loads a model of models.json, after another look at the file. Answers when it works."""
        service = self._ready_service()
        open_inference.load_request(await request.body(self.settings.max_body), may_have_parameters=False)
        entry = await service.find(name, version)
        service.catalog.residents.failures.pop(entry.weights, None)  # try again, however lately it failed
        async with service.catalog.lent(entry):
            return asgi.json(open_inference.Done())

    async def unload_model(self, request: Request, name: str, version: str | None = None) -> Response:
        """Removes a model from memory. The next request for it loads it again."""
        service = self._ready_service()
        open_inference.load_request(await request.body(self.settings.max_body), may_have_parameters=True)
        entry = await service.find(name, version)
        versions = service.catalog.versions(entry.name) if version is None else [entry.version]
        for each in versions:
            service.catalog.residents.forget(service.catalog.find(entry.name, each))
        return asgi.json(open_inference.Done())

    def _task(self, entry: "Entry") -> "type[Task]":
        from gpu_service.tasks.registry import TASKS

        return TASKS[entry.task]

    def _ready_service(self) -> "Service":
        """Raises Unavailable."""
        if self.draining:
            raise Unavailable("The service is stopping.")
        if self.service is None or not self.service.batcher.is_alive:
            raise Unavailable("The models are not loaded yet.")
        return self.service

    async def _result(self, request: Request, work: "Coroutine[Any, Any, Result]") -> "Result":
        result = await self.cancellation.guard(request, work)
        request.order = result.order
        return result

    def _log_result(self, request: Request, message: str, result: "Result") -> None:
        """Counts failed instances; logs only for a caller that traces, as a line costs more than a small model."""
        for outcome in result.outcomes:
            if isinstance(outcome, ServiceError):
                self._count_error(outcome)
        if trace := self._trace(request):
            fields: dict[str, Any] = {
                "model": result.model.key,
                "instances": len(result.outcomes),
                "queue_ms": result.timing.queue_ms,
                "inference_ms": result.timing.inference_ms,
            }
            logger.info(message, extra=logs.fields(**fields, **trace))

    def _failure(self, request: Request, error: ServiceError) -> Response:
        self._count_error(error)
        is_open_inference = (request.path + "/").startswith("/v2/")
        body = open_inference.failure(error) if is_open_inference else Failure.of(error)
        return asgi.json(body, error.status, error.headers)

    def _count_error(self, error: ServiceError) -> None:
        if self.metrics:
            self.metrics.errors.labels(error.code).inc()

    def _trace(self, request: Request) -> dict[str, str]:
        return logs.trace(request.header(b"traceparent"), self.settings.project)


def _listed(status: "EntryStatus") -> protocol.ListedModel:
    entry, resident = status.entry, status.resident
    model = resident.model if resident else None
    return protocol.ListedModel(
        name=entry.name,
        version=entry.version,
        task=entry.task,
        source=entry.source,
        revision=model.revision if model else entry.revision,
        default=status.is_default,
        state=status.state,
        error=status.error,
        labels=len(model.labels) if model else None,
        device=model.device.name if model else None,
        compiled=model.is_compiled if model else False,
        bytes=resident.size if resident else 0,
    )
