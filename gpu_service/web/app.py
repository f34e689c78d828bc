"""The ASGI application: routes, and every error as a status with `{"error": {"code", "message"}}`."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from gpu_service import logs, protocol
from gpu_service.errors import (
    InferenceFailed,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    ServiceError,
    Unavailable,
)
from gpu_service.protocol import Answer
from gpu_service.settings import Settings
from gpu_service.web import asgi
from gpu_service.web.asgi import Disconnected, Receive, Request, Response, Scope, Send

if TYPE_CHECKING:  # they bring torch, and /health answers before that is imported
    from gpu_service.metrics import Metrics
    from gpu_service.service import Outcome, Service
    from gpu_service.tracing import Tracing

logger = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[..., Awaitable[Response]]
PATIENCE_S = 0.2  # an answer that takes longer watches whether its client is still there


class App:
    """Serves once `service` is set; `ready` says whether it takes work."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.service: Service | None = None
        self.metrics: Metrics | None = None
        self.tracing: Tracing | None = None
        self.draining = False
        self.active = 0
        self.watches: dict[asyncio.Task[Any], asyncio.TimerHandle | asyncio.Task[None]] = {}
        self.gone: set[asyncio.Task[Any]] = set()
        self.routes: dict[str, tuple[str, Handler]] = {
            "/predict": ("POST", self.predict),
            "/predict-shard": ("POST", self.predict_shard),
            "/health": ("GET", self.health),
            "/ready": ("GET", self.is_ready),
            "/metrics": ("GET", self.show_metrics),
            "/models": ("GET", self.show_models),
            "/openapi.json": ("GET", self.show_openapi),
            "/v2": ("GET", self.server_metadata),
            "/v2/health/live": ("GET", self.health),
            "/v2/health/ready": ("GET", self.is_ready),
        }
        if settings.predict_route:
            self.routes[settings.predict_route] = ("POST", self.predict)
        if settings.health_route:
            self.routes[settings.health_route] = ("GET", self.is_ready)

    @property
    def ready(self) -> bool:
        return self.service is not None and not self.draining and self.service.batcher.is_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.active += 1
        request = Request(scope, receive)
        began_ns = time.time_ns() if self.tracing else 0
        route = "unknown"
        try:
            route, handler, arguments = self._route(request)
            response = await handler(request, *arguments)
        except ServiceError as error:
            response = asgi.failure(error)
            self._count_error(error.code)
        except Disconnected:
            response = Response(499, b"")
        except Exception:
            logger.exception("unexpected error", extra=logs.fields(route=route, **self._trace(request)))
            response = asgi.failure(ServiceError("The service failed on this request."))
            self._count_error("internal")
        finally:
            self.active -= 1
        if self.metrics:
            self.metrics.requests.labels(route, response.status).inc()
        if self.tracing and began_ns and request.method == "POST":
            self.tracing.answered(request, route, response.status, began_ns)
        if response.status != 499:
            await response.send(send)

    def _route(self, request: Request) -> tuple[str, Handler, tuple[str, ...]]:
        path = request.path
        arguments: tuple[str, ...] = ()
        found = self.routes.get(path)
        if found is None:
            path, found, arguments = self._model_route(path)
        method, handler = found
        if request.method != method and not (method == "GET" and request.method == "HEAD"):
            raise MethodNotAllowed(method)
        return path, handler, arguments

    def _model_route(self, path: str) -> tuple[str, tuple[str, Handler], tuple[str, ...]]:
        """/v2/models/NAME[/versions/VERSION][/infer|/ready] and /v1/models/NAME[:predict]; a name may hold slashes."""
        if path.startswith("/v1/models/"):
            name, colon, _ = path.removeprefix("/v1/models/").partition(":predict")
            if colon:
                return "/v1/models/{name}:predict", ("POST", self.predict), (name,)
            return "/v1/models/{name}", ("GET", self.model_ready), (name,)
        if not path.startswith("/v2/models/"):
            raise RouteNotFound("There is no such route.")
        rest = path.removeprefix("/v2/models/")
        handlers: dict[str, tuple[str, Handler]] = {
            "/infer": ("POST", self.infer),
            "/ready": ("GET", self.model_ready),
        }
        suffix = next((suffix for suffix in handlers if rest.endswith(suffix)), "")
        name, _, version = rest.removesuffix(suffix).partition("/versions/")
        arguments = (name, version) if version else (name,)
        return f"/v2/models/{{name}}{suffix}", handlers.get(suffix, ("GET", self.model_metadata)), arguments

    async def predict(self, request: Request, name: str | None = None) -> Response:
        service = self._serving()
        body = await request.body(self.settings.max_body)
        asked, is_short = protocol.predict(body, self.settings.max_instances)
        model = service.select(name or asked.model, asked.version)
        top = protocol.top(asked.parameters)
        assert asked.instances is not None
        outcome = await self._watched(request, service.predict(asked.instances, model, top))
        self._closing_line(request, "predicted", outcome)
        return Response(200, protocol.encode(_answer(service, outcome, is_short=is_short)))

    async def predict_shard(self, request: Request) -> Response:
        from gpu_service.shards.runner import Work

        service = self._serving()
        body = await request.body(self.settings.max_body)
        asked = protocol.shard(body)
        work = Work(service, asked, service.select(asked.model, asked.version), protocol.top(asked.parameters))
        answer = await self._watched(request, work.run())
        fields = {"records": answer.records, "failed": answer.failed, "gpu_seconds": answer.timing.gpu_seconds}
        logger.info("predicted a shard", extra=logs.fields(**fields, **self._trace(request)))
        return asgi.json(answer)

    async def infer(self, request: Request, name: str, version: str | None = None) -> Response:
        service = self._serving()
        body = await request.body(self.settings.max_body)
        model = service.select(name, version)
        assert model is not None
        asked, instances = protocol.infer(body, self.settings.max_instances)
        top = protocol.top(asked.parameters)
        outcome = await self._watched(request, service.predict(instances, model, top))
        for index, prediction in enumerate(outcome.predictions):
            if "error" in prediction:
                error = prediction["error"]
                kind = InferenceFailed if error["code"] == InferenceFailed.code else InvalidRequest
                raise kind(f"Instance {index}: {error['message']}", error["code"])
        self._closing_line(request, "inferred", outcome)
        return asgi.json(protocol.inferred(asked, model.entry.name, model.entry.version, outcome.predictions))

    async def health(self, _: Request) -> Response:
        """Alive unless the device's thread died."""
        if self.service is not None and not self.service.batcher.is_alive and not self.draining:
            raise ServiceError("The thread that runs the models has ended.", "dead")
        return asgi.json({"status": "ok"})

    async def is_ready(self, _: Request) -> Response:
        self._serving()
        return asgi.json({"status": "ready"})

    async def show_metrics(self, _: Request) -> Response:
        if self.metrics is None:
            raise Unavailable("The models are not loaded yet.")
        return Response(200, self.metrics.text(), b"text/plain; version=0.0.4; charset=utf-8")

    async def show_models(self, _: Request) -> Response:
        service = self._serving()
        described = [
            {
                **model.describe(),
                "default": service.registry.default(model.entry.task) is model.entry,
                "labels": len(model.labels),
                "device": model.device.name,
                "compiled": model.is_compiled,
            }
            for model in service.models.values()
        ]
        return asgi.json({"models": described})

    async def show_openapi(self, _: Request) -> Response:
        from gpu_service.web.openapi import document

        return asgi.json(document(self.settings))

    async def server_metadata(self, _: Request) -> Response:
        return asgi.json({"name": "gpu-service", "version": self.settings.revision, "extensions": []})

    async def model_metadata(self, _: Request, name: str, version: str | None = None) -> Response:
        model = self._serving().select(name, version)
        assert model is not None
        return asgi.json(protocol.metadata(model.entry, model.inputs.kind))

    async def model_ready(self, _: Request, name: str, version: str | None = None) -> Response:
        model = self._serving().select(name, version)
        assert model is not None
        return asgi.json({"name": model.entry.name, "ready": True})

    def _serving(self) -> "Service":
        if self.draining:
            raise Unavailable("The service is stopping.")
        if self.service is None or not self.service.batcher.is_alive:
            raise Unavailable("The models are not loaded yet.")
        return self.service

    async def _watched(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; the work is cancelled when the client goes away.

        Raises:
            Disconnected: it did.
        """
        current = asyncio.current_task()
        assert current is not None
        watch = asyncio.get_running_loop().call_later(PATIENCE_S, self._watch, request, current)
        self.watches[current] = watch
        try:
            return await work
        except asyncio.CancelledError:
            if current in self.gone:
                current.uncancel()
                raise Disconnected from None
            raise
        finally:
            self._unwatch(current)

    def _watch(self, request: Request, waiting: "asyncio.Task[Any]") -> None:
        async def cancel_when_gone() -> None:
            await request.disconnected()
            self.gone.add(waiting)
            waiting.cancel()

        self.watches[waiting] = asyncio.create_task(cancel_when_gone())

    def _unwatch(self, waiting: "asyncio.Task[Any]") -> None:
        self.watches.pop(waiting).cancel()
        self.gone.discard(waiting)

    def _closing_line(self, request: Request, message: str, outcome: "Outcome") -> None:
        """Only for a caller that traces: a line costs more than a small model's answer."""
        request.order = outcome.order
        for prediction in outcome.predictions:
            if "error" in prediction:
                self._count_error(prediction["error"]["code"])
        if trace := self._trace(request):
            fields: dict[str, Any] = {
                "model": outcome.model.key,
                "instances": len(outcome.predictions),
                "queue_ms": outcome.timing.queue_ms,
                "inference_ms": outcome.timing.inference_ms,
            }
            logger.info(message, extra=logs.fields(**fields, **trace))

    def _trace(self, request: Request) -> dict[str, str]:
        return logs.trace(request.header(b"traceparent"), self.settings.project)

    def _count_error(self, code: str) -> None:
        if self.metrics:
            self.metrics.errors.labels(code).inc()


def _answer(service: "Service", outcome: "Outcome", *, is_short: bool) -> Answer:
    model = outcome.model
    answer = Answer(outcome.predictions, service.modelled(model), model.device.name, outcome.timing, service.revision)
    if is_short:
        first = outcome.predictions[0]
        if "error" in first:
            raise InvalidRequest(first["error"]["message"], first["error"]["code"])
        answer.prediction = list(first["scores"].values())
        answer.confidence = first["score"]
        answer.device_used = answer.device
    return answer
