"""The service that the emulator mounts: both Workflows APIs and the executions that they start."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc.aio
from starlette.routing import Route

from emulator.identity.tokens import TokenIssuer
from emulator.workflows import CallbackRegistry, Runtime
from emulator.workflows.runtime.http import HttpClient
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.executions import Executions
from emulator.workflows_api.operations import Operations
from emulator.workflows_api.rest_executions import ExecutionRoutes
from emulator.workflows_api.rest_workflows import WorkflowRoutes
from emulator.workflows_api.rpc_executions import executions_service
from emulator.workflows_api.rpc_workflows import locations_service, operations_service, workflows_service
from emulator.workflows_api.runner import Limits, Runner
from emulator.workflows_api.store import Store

logger = logging.getLogger(__name__)

_OWN_SERVICES = ("storage", "pubsub", "workflows", "workflowexecutions", "run")
_LEVELS = {"ERROR": logging.ERROR, "WARNING": logging.WARNING, "DEBUG": logging.DEBUG}
_CRITICAL = ("CRITICAL", "ALERT", "EMERGENCY")


class Workflows:
    """Everything that the emulator's server needs of Cloud Workflows.

    Both APIs answer from the beginning; executions that are created before ``start`` are queued until then.

    Args:
        path: the data folder (``workflows.sqlite`` and ``tokens.pem`` lie in it), or None to keep all in memory.
        project: project of the workflows that ``deploy`` creates.
        location: their location.
        base_url: ``http://host:port`` of the emulator, for callback URLs and connectors; may be set until ``start``.
        endpoints: connector service to base URL, for those that are not the emulator's own.
        limits: how many executions run and wait at once.
        now: nanoseconds since 1970.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        project: str,
        location: str,
        base_url: str,
        endpoints: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.project, self.location, self.base_url = project, location, base_url
        self._endpoints = dict(endpoints or {})
        self._runtimes: dict[str, Runtime] = {}
        self._http: HttpClient | None = None
        self._callbacks = CallbackRegistry(base_url)
        self._store = Store(path)
        self.tokens = TokenIssuer(path)
        self.deployments = Deployments(self._store, forget=self._forget, now=now)
        self._runner = Runner(self._store, self.deployments, self._runtime_for, limits=limits or Limits(), now=now)
        self.operations = Operations(self._store)
        self.executions = Executions(self._store, self.deployments, self._runner, self._callbacks, now=now)

    async def start(self) -> None:
        """Run again what was interrupted, and what was created since."""
        self._callbacks.base_url = self.base_url.rstrip("/")
        self._http = HttpClient()
        self._runner.start()

    async def stop(self) -> None:
        """Stop every execution where it is (it runs again after the next start) and close the store."""
        await self._runner.stop()
        if self._http:
            await self._http.close()
        self._store.close()

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path."""
        return [
            *ExecutionRoutes(self.executions).routes(),
            *WorkflowRoutes(self.deployments, self.operations, self.location).routes(),
            *self.tokens.routes(),
        ]

    def add_to_server(self, server: grpc.aio.Server) -> None:
        """Register the gRPC services Executions, Workflows, Operations and Locations."""
        server.add_generic_rpc_handlers(
            (
                executions_service(self.executions),
                workflows_service(self.deployments),
                operations_service(self.operations),
                locations_service(self.location),
            )
        )

    def deploy(self, name: str, source: str, env: Mapping[str, str], *, service_account: str = "") -> str:
        """Create or update the workflow of that id and return its revision's id.

        An unchanged source, environment and service account keep the revision that is there.

        Raises:
            ApiError: the source or the environment is refused; the message names the line.
        """
        full_name = f"projects/{self.project}/locations/{self.location}/workflows/{name}"
        return self.deployments.deploy(full_name, source, env, service_account)

    def _forget(self, workflow: str) -> None:
        self._runner.cancel_all(workflow)

    def _runtime_for(self, call_log_level: str) -> Runtime:
        level = call_log_level or "LOG_NONE"
        if level not in self._runtimes:
            own = dict.fromkeys(_OWN_SERVICES, self.base_url.rstrip("/"))
            self._runtimes[level] = Runtime(
                http=self._http,
                callbacks=self._callbacks,
                token_source=self.tokens.mint,
                endpoints=own | self._endpoints,
                log_sink=write_log,
                call_log_level=level,
            )
        return self._runtimes[level]


def write_log(entry: dict[str, Any]) -> None:
    """One line of our log for an entry of ``sys.log`` or of call logging."""
    severity = str(entry.get("severity", "DEFAULT"))
    level = logging.CRITICAL if severity in _CRITICAL else _LEVELS.get(severity, logging.INFO)
    text = json.dumps(entry, default=str, ensure_ascii=False)
    logger.log(level, "workflow log", extra={"severity": severity, "entry": text})
