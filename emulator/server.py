"""All APIs in one process, on one HTTP port and one gRPC port, and the delivery of events."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc.aio
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from emulator import disk, ports, storage
from emulator.cloud_run_jobs import Attempt, Jobs, StartTask, TaskProcess
from emulator.cloud_scheduler import Scheduler
from emulator.disk import DiskError
from emulator.enforcement import Enforcement
from emulator.eventarc import OutboxRelay, Triggers
from emulator.eventarc.triggers import ensure_subscription, ensure_topic
from emulator.googleapi import absent
from emulator.googleapi.errors import ApiError
from emulator.googleapi.timestamps import NANOS
from emulator.identity import policy
from emulator.identity.gate import Gate
from emulator.identity.metadata import MetadataServer
from emulator.inspection.api import Inspection
from emulator.pubsub import PubSub
from emulator.stack import model
from emulator.stack.model import Address, Stack
from emulator.vertex_ai import StartContainer, VertexAI
from emulator.vertex_ai.containers import start_nothing
from emulator.web import WebServer
from emulator.workflows_api import Workflows

_MAX_GRPC_MESSAGE = 20 * 2**20
_LIFECYCLE_INTERVAL_S = 3600
_PRUNE_INTERVAL_S, _PRUNE_PAUSE_S, _PRUNE_BATCH = 60, 0.05, 200


async def _start_nothing(attempt: Attempt) -> TaskProcess:
    raise OSError(f"this emulator cannot start processes, so job {attempt.job} cannot run")


class Emulator:
    """Storage, Pub/Sub, Eventarc, Workflows, Cloud Run jobs, Scheduler and Vertex AI; an async context manager.

    Args:
        stack: the buckets, topics, triggers, workflows and jobs that exist from the start.
        data: folder of the state; None keeps the state in memory.
        services: URL of each service of the stack, by name; the caller starts the services.
        start_task: starts the process of a task of a job.
        start_container: starts the process that serves a model on an endpoint of Vertex AI.
        forget_execution: called with the id of each job execution that is deleted.
        http_port: port of the HTTP APIs; 0 means any free one.
        grpc_port: port of the gRPC APIs; 0 means any free one.
        logs: folder of the services' log files, for the debug API.

    Attributes:
        http: `host:port` of the APIs over REST, for the developer.
        grpc: `host:port` of Pub/Sub and Workflows over gRPC, for the developer.
    """

    storage: storage.Store
    pubsub: PubSub
    workflows: Workflows
    jobs: Jobs
    scheduler: Scheduler
    vertex_ai: VertexAI

    def __init__(
        self,
        stack: Stack,
        data: Path | None = None,
        *,
        services: Mapping[str, str],
        start_task: StartTask = _start_nothing,
        start_container: StartContainer = start_nothing,
        forget_execution: Callable[[str], None] = lambda _: None,
        http_port: int = 0,
        grpc_port: int = 0,
        logs: Path | None = None,
    ) -> None:
        self.stack, self.data, self.services, self._start_task = stack, data, services, start_task
        self._forget_execution, self._start_container, self._logs = forget_execution, start_container, logs
        self._http_port, self._grpc_port = http_port, grpc_port
        self._resources = AsyncExitStack()
        self._enforcement = Enforcement(stack) if stack.iam else None

    async def open(self) -> None:
        """Answer requests. Until `resume`, no event is delivered and no workflow or job runs.

        Raises:
            PortTakenError: another process listens on one of the ports.
            BlockingIOError: another emulator uses the data folder.
        """
        async with AsyncExitStack() as opened:
            bound = ports.listen(self._http_port, "the emulator's HTTP", "--http-port or --port-base")
            opened.callback(bound.close)
            self.http = f"{ports.HOST}:{bound.getsockname()[1]}"
            if self._enforcement:
                self._enforcement.listen(opened)
            await self._open_stores(opened)
            await self._open_grpc(opened)
            await self._open_http(opened, bound)
            self._resources = opened.pop_all()

    async def resume(self) -> None:
        """Deploy the workflows, resume interrupted executions of workflows and jobs, and deliver events.

        Raises:
            StackError: the file of a workflow cannot be read, or its deployment is refused.
        """
        self._resources.push_async_callback(self.jobs.stop)
        await self.jobs.start()
        await self.workflows.start()
        self._resources.push_async_callback(self.workflows.stop)
        self._deploy()
        for service in self.services:
            self.release(service)
        self._resources.push_async_callback(self.vertex_ai.stop)
        await self.vertex_ai.start()
        await self.scheduler.start()
        self._resources.push_async_callback(self.scheduler.stop)
        for work in (self._retain(), self._lifecycle()):
            self._resources.callback(asyncio.create_task(work).cancel)

    def placeholders(self, account: str = "") -> dict[str, str]:
        """The values of the placeholders of a stack file for a part that runs as an account, or for a workflow."""
        main = Address(self.http, self.grpc)
        if self._enforcement:
            main = self.accounts.get(account) or Address(self._enforcement.anonymous, self.grpc)
        everyone = {model.DEVELOPER: Address(self.http, self.grpc), **self.accounts}
        return model.placeholders(main, self.services, everyone)

    @property
    def accounts(self) -> dict[str, Address]:
        """Where the parts of the stack find the APIs, by the account as which they run."""
        if self._enforcement:
            return self._enforcement.addresses
        return dict.fromkeys(policy.local_accounts(self.stack), Address(self.http, self.grpc))

    def gate(self, service: model.Service, url: str) -> Gate:
        """The check of the callers of a service."""
        if self._enforcement:
            return self._enforcement.gate(service, url, self.workflows.tokens)
        return Gate(self.workflows.tokens, url, policy.invokers(self.stack, service))

    def deploy(self) -> None:
        """Deploy the workflows whose source has changed.

        Raises:
            StackError: the file of a workflow cannot be read, or its deployment is refused.
        """
        self._deploy()

    def hold(self, service: str) -> None:
        """Pause delivery to this service; events wait without using up delivery attempts."""
        for name in self.triggers.subscriptions(service):
            self.pubsub.hold(name)

    def release(self, service: str) -> None:
        """Resume delivery to this service."""
        for name in self.triggers.subscriptions(service):
            self.pubsub.release(name)

    async def close(self) -> None:
        """Close the ports and the stores."""
        await self._resources.aclose()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
            await self.resume()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open_stores(self, opened: AsyncExitStack) -> None:
        base_url, project = f"http://{self.http}", self.stack.project
        # What services and workflows are told must not lead them to the developer's ports.
        shared_url = f"http://{self._enforcement.anonymous}" if self._enforcement else base_url
        folder = self.data / "storage" if self.data else None
        self.storage = storage.Store(folder, project=project, base_url=shared_url)
        opened.callback(self.storage.close)
        self.workflows = Workflows(
            self.data,
            project=project,
            location=self.stack.location,
            base_url=base_url,
            emulated_url=shared_url,
            may_log=lambda account: self._permits(account, "logging.logEntries.create", f"projects/{project}"),
        )
        agent = policy.email(self.stack, policy.PUBSUB_AGENT)
        self.pubsub = PubSub(
            self.data,
            mint=self.workflows.tokens.mint,
            may=lambda permission, resource: self._permits(agent, permission, resource),
        )
        self.triggers = Triggers(self.stack, self.pubsub, self.services)
        parent = f"projects/{project}/locations/{self.stack.location}"
        self.jobs = Jobs(self.data, parent, self.stack.jobs, self._start_task)
        opened.callback(self.jobs.close)
        self.scheduler = Scheduler(self.data, parent, self.stack.schedules, self.pubsub.publish)
        opened.callback(self.scheduler.close)
        accounts = {policy.email(self.stack, name): name for name in policy.local_accounts(self.stack)}
        self.vertex_ai = VertexAI(self.data, self.stack.containers, accounts, self._start_container)
        opened.callback(self.vertex_ai.close)
        for service in self.services:
            self.hold(service)
        await self.pubsub.start()
        opened.push_async_callback(self.pubsub.stop)
        self._seed()
        if self._enforcement:
            self._enforcement.apply(self.storage, self.pubsub)
        relay = OutboxRelay(self.storage, self.pubsub, self.triggers, self._permits)
        relay.start()
        opened.push_async_callback(relay.stop)

    def _permits(self, account: str, permission: str, resource: str) -> bool:
        return self._enforcement is None or self._enforcement.permits(account, permission, resource)

    async def _open_grpc(self, opened: AsyncExitStack) -> None:
        option = "--grpc-port or --port-base"
        ports.check(self._grpc_port, "the emulator's gRPC", option)
        self.grpc = await self._serve_rpc(opened, port=self._grpc_port)
        if self._enforcement:
            await self._enforcement.open_rpc(opened, self._serve_rpc)

    async def _serve_rpc(self, opened: AsyncExitStack, *interceptors: grpc.aio.ServerInterceptor, port: int = 0) -> str:
        """Open a server of the gRPC APIs; returns its address."""
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MAX_GRPC_MESSAGE)]
        server = grpc.aio.server(interceptors=interceptors, options=options)
        self.pubsub.add_to_server(server)
        self.workflows.add_to_server(server)
        bound = server.add_insecure_port(f"{ports.HOST}:{port}")
        await server.start()
        opened.push_async_callback(server.stop, 1)
        return f"{ports.HOST}:{bound}"

    async def _open_http(self, opened: AsyncExitStack, bound: socket.socket) -> None:
        metadata = MetadataServer(self.stack, self.workflows.tokens)
        apis = [*self.pubsub.routes(), *self.workflows.routes(), *self.jobs.routes()]
        apis += [*self.scheduler.routes(), *self.vertex_ai.routes(), *metadata.routes()]
        apis += Inspection(self.stack, self.services, self.pubsub, self.workflows, self._logs).routes()
        policies = self._enforcement.routes() if self._enforcement else []
        app: ASGIApp = Starlette(routes=[*policies, *apis, *absent.routes(), Mount("", storage.app(self.storage))])
        sockets = [bound]
        if self._enforcement:
            app = self._enforcement.identified(app, self.workflows.tokens)
            sockets += self._enforcement.sockets
        web = WebServer(app, *sockets)
        await web.start()
        opened.push_async_callback(web.stop)

    def _seed(self) -> None:
        """Create the buckets, topics, subscriptions and triggers of the stack that do not exist yet."""
        present = {bucket.name for bucket in self.storage.buckets.listing()}
        for bucket in self.stack.buckets:
            if bucket.name not in present:
                self.storage.buckets.create(bucket.name, _lifecycle(bucket))
        prefix = f"projects/{self.stack.project}"
        for topic in self.stack.topics:
            ensure_topic(self.pubsub, f"{prefix}/topics/{topic}")
        for pull in self.stack.subscriptions:
            name, topic = f"{prefix}/subscriptions/{pull.name}", f"{prefix}/topics/{pull.topic}"
            ensure_subscription(self.pubsub, name, topic, pull.ack_deadline)
        self.triggers.apply()
        for notification in self.stack.notifications:
            self._apply_notification(notification)

    def _apply_notification(self, notification: model.Notification) -> None:
        """Create a bucket's notification, or remove the one that an earlier start has created."""
        configs = self.storage.notifications
        topic = f"//pubsub.googleapis.com/projects/{self.stack.project}/topics/{notification.topic}"
        config = {"topic": topic, "event_types": ["OBJECT_FINALIZE"], "object_name_prefix": notification.prefix}
        wanted = {key: value for key, value in config.items() if value}
        present = [each["id"] for each in configs.listing(notification.bucket) if wanted.items() <= each.items()]
        if not model.is_wanted(notification):
            for id in present:
                configs.delete(notification.bucket, id)
        elif not present:
            configs.create(notification.bucket, config)

    def _deploy(self) -> None:
        values = self.placeholders()
        for workflow in self.stack.workflows:
            file = self.stack.root / workflow.source
            try:
                source = file.read_text(encoding="utf-8")
            except OSError as error:
                raise model.StackError(f"workflow {workflow.name}: {file}: {error.strerror}") from error
            env = {name: model.fill(text, values) for name, text in workflow.env.items()}
            account = policy.email(self.stack, workflow.service_account)
            try:
                level = f"EXECUTION_HISTORY_{workflow.history.upper()}"
                self.workflows.deploy(workflow.name, source, env, service_account=account, history_level=level)
            except ApiError as error:
                raise model.StackError(f"workflow {workflow.name}: {file}: {error}") from error

    async def _retain(self) -> None:
        """Once a minute, delete the history that exceeds the stack's retention, a little at a time."""
        retention = self.stack.retention
        while True:
            try:
                more = self._prune(retention)
            except DiskError as error:
                disk.report(str(error))
                more = False
            await asyncio.sleep(_PRUNE_PAUSE_S if more else _PRUNE_INTERVAL_S)

    def _prune(self, retention: model.Retention) -> bool:
        """Delete up to a batch of old executions; returns whether there may be more."""
        ended_before = time.time_ns() - retention.days * 86_400 * NANOS
        more = self.workflows.prune(
            keep=retention.executions,
            histories=retention.step_entries,
            ended_before=ended_before,
            limit=_PRUNE_BATCH,
        )
        forgotten = self.jobs.prune(keep=retention.executions, ended_before=ended_before, limit=_PRUNE_BATCH)
        for execution in forgotten:
            self._forget_execution(execution)
        return more or len(forgotten) == _PRUNE_BATCH

    async def _lifecycle(self) -> None:
        """Apply the lifecycle rules of buckets and the retention of subscriptions once an hour."""
        while True:
            try:
                await asyncio.to_thread(self.storage.sweep)
                self.pubsub.expire()
                await asyncio.to_thread(self.storage.expire, datetime.now(UTC))
            except DiskError as error:
                disk.report(str(error))
            await asyncio.sleep(_LIFECYCLE_INTERVAL_S)


def _lifecycle(bucket: model.Bucket) -> dict[str, object]:
    if bucket.lifecycle_days is None:
        return {}
    rule = {"action": {"type": "Delete"}, "condition": {"age": bucket.lifecycle_days}}
    return {"lifecycle": {"rule": [rule]}}
