"""Cloud Workflows as the server mounts it: both APIs, and the executions that they start."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc.aio
from starlette.requests import Request
from starlette.routing import Route

from emulator.googleapi import absent, rest, rpc
from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import methods
from emulator.identity.tokens import TokenIssuer
from emulator.workflows import CallbackRegistry, Runtime
from emulator.workflows.connectors.methods import SERVICES
from emulator.workflows.runtime.callbacks import http_request
from emulator.workflows.runtime.http import HttpClient
from emulator.workflows_api.calls import CallLog
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.executions import Executions
from emulator.workflows_api.operations import Locations, Operations
from emulator.workflows_api.runner import Limits, Runner
from emulator.workflows_api.store import Store

logger = logging.getLogger(__name__)

_WORKFLOW = "/v1/projects/{project}/locations/{location}/workflows/{workflow}"
_EMULATED = ("aiplatform", "cloudscheduler", "storage", "pubsub", "workflows", "workflowexecutions", "run")
_LEVELS = {"ERROR": logging.ERROR, "WARNING": logging.WARNING, "DEBUG": logging.DEBUG}
_CRITICAL = ("CRITICAL", "ALERT", "EMERGENCY")


class Workflows:
    """Both Workflows APIs; executions that are created before `start` are queued until then.

    Args:
        path: the data folder, for `workflows.sqlite` and `tokens.pem`, or None to keep the state in memory.
        project: project of the workflows that `deploy` creates.
        location: their location.
        base_url: `http://host:port` of the emulator, for callback URLs; may be set until `start`.
        emulated_url: the same for connectors, whose calls carry the access token of the workflow's account.
        endpoints: connector service to base URL, for services that are not emulated.
        may_log: whether the workflows of an account may write log entries; those that may not write none.
        limits: how many executions run and are queued.
        now: nanoseconds since 1970.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        project: str,
        location: str,
        base_url: str,
        emulated_url: str = "",
        endpoints: Mapping[str, str] | None = None,
        may_log: Callable[[str], bool] = lambda _: True,
        limits: Limits | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.project, self.location, self.base_url = project, location, base_url
        self._endpoints, self._emulated_url = dict(endpoints or {}), emulated_url
        self._may_log = may_log
        self._runtimes: dict[str, Runtime] = {}
        self._http: HttpClient | None = None
        self._callbacks = CallbackRegistry(base_url)
        self._store = Store(path)
        self.tokens = TokenIssuer(path)
        self.deployments = Deployments(self._store, forget=lambda name: self._runner.cancel_all(name), now=now)
        self._runner = Runner(self._store, self.deployments, self._runtime_for, limits=limits or Limits(), now=now)
        self.executions = Executions(self._store, self.deployments, self._runner, self._callbacks, now=now)
        self._services = {
            "google.cloud.workflows.executions.v1.Executions": methods(self.executions),
            "google.cloud.workflows.v1.Workflows": methods(self.deployments),
            "google.longrunning.Operations": methods(Operations(self._store)),
            "google.cloud.location.Locations": methods(Locations(location)),
        }

    async def start(self) -> None:
        """Restart interrupted executions and start those created since."""
        self._callbacks.base_url = self.base_url.rstrip("/")
        self._http = HttpClient()
        self._runner.start()

    async def stop(self) -> None:
        """Stop every execution, to be restarted after the next start, and close the store."""
        await self._runner.stop()
        if self._http:
            await self._http.close()
        self._store.close()

    def prune(self, *, keep: int, histories: int, ended_before: int, limit: int) -> bool:
        """Delete old executions and step entries; see `Store.prune`."""
        return self._store.prune(keep=keep, histories=histories, ended_before=ended_before, limit=limit)

    @property
    def calls(self) -> CallLog:
        """The HTTP calls of executions, with their bodies."""
        return self._runner.calls

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path."""
        callback = f"{_WORKFLOW}/executions/{{execution}}/callbacks/{{callback}}"
        return [
            rest.route(f"{_WORKFLOW}:triggerPubsubExecution", ["POST"], self._trigger),
            rest.route(callback, rest.HTTP_METHODS, self._call_back),
            *rest.routes(method for service in self._services.values() for method in service),
            *self.tokens.routes(),
        ]

    def add_to_server(self, server: grpc.aio.Server) -> None:
        """Register the gRPC services Executions, Workflows, Operations and Locations."""
        server.add_generic_rpc_handlers([rpc.service(name, service) for name, service in self._services.items()])

    def deploy(
        self, name: str, source: str, env: Mapping[str, str], *, service_account: str = "", history_level: str = ""
    ) -> str:
        """Create or update a workflow and return its revision's id, which changes only with the workflow.

        Raises:
            ApiError: the source or the environment is not valid; the message names the line.
        """
        full_name = f"projects/{self.project}/locations/{self.location}/workflows/{name}"
        return self.deployments.deploy(full_name, source, env, service_account, history_level)

    async def _call_back(self, request: Request) -> Json:
        name = request.url.path.removeprefix("/v1/")
        content, url = await request.body(), request.url
        target = f"{url.path}?{url.query}" if url.query else url.path
        parameters = request.query_params.multi_items()
        try:
            received = http_request(request.method, target, parameters, request.headers.items(), content)
        except ValueError as error:
            raise InvalidArgumentError(f"the callback's body is not readable: {error}") from error
        return self.executions.call_back(name, received)

    async def _trigger(self, request: Request) -> Json:
        push = await rest.body(request)
        mode = request.query_params.get("__GCP_CloudEventsMode") or request.query_params.get("GCPCloudEventsMode")
        if mode:
            push.setdefault("GCPCloudEventsMode", mode)
        workflow = request.url.path.removeprefix("/v1/").removesuffix(":triggerPubsubExecution")
        return self.executions.trigger_pubsub(workflow, push)

    def _log(self, entry: dict[str, Any]) -> None:
        if self._may_log(entry["account"]):
            write_log(entry)

    def _runtime_for(self, call_log_level: str) -> Runtime:
        level = call_log_level or "LOG_NONE"
        if level not in self._runtimes:
            base = (self._emulated_url or self.base_url).rstrip("/")
            # Local tokens must not reach Google, which refuses them.
            elsewhere = {service: f"{base}{absent.PREFIX}{service}" for service in SERVICES}
            emulated = dict.fromkeys(_EMULATED, base)
            self._runtimes[level] = Runtime(
                http=self._http,
                callbacks=self._callbacks,
                token_source=self.tokens.mint,
                endpoints=elsewhere | emulated | self._endpoints,
                log_sink=self._log,
                call_log_level=level,
            )
        return self._runtimes[level]


def write_log(entry: dict[str, Any]) -> None:
    """Log an entry of `sys.log` or of call logging."""
    severity = str(entry.get("severity", "DEFAULT"))
    level = logging.CRITICAL if severity in _CRITICAL else _LEVELS.get(severity, logging.INFO)
    text = json.dumps(entry, default=str, ensure_ascii=False)
    logger.log(level, "workflow log", extra={"severity": severity, "entry": text})
