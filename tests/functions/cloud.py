"""The cloud for the functions' tests: the emulated object store behind HTTP, with faults on demand, and a
gRPC server that records executions."""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import grpc
import uvicorn
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.workflows import executions_v1 as api
from google.cloud.workflows.executions_v1.types import executions as messages
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types as pubsub
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import emulator.storage
from pipeline.inputs.events import Receipt
from pipeline.inputs.uploads import Upload
from pipeline.jobs.claims import Claims

WORKFLOW = "projects/p/locations/l/workflows/inference"
UPLOAD_NAME = re.compile(rb'"name":\s*"([^"]*)"')
SERVICE = "google.cloud.workflows.executions.v1.Executions"
PUBLISHER = "google.pubsub.v1.Publisher"
SUBSCRIBER = "google.pubsub.v1.Subscriber"


@dataclass
class Fault:
    """Answers the requests that `matches` selects, in place of the store or after it (`done_first`)."""

    matches: Callable[[str, str], bool]  # method, path
    status: int = 503
    times: int = 1
    done_first: bool = False


@dataclass
class Faulty:
    """The store's application behind injected faults, with a record of the requests."""

    app: ASGIApp
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)  # method, decoded target

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _body(receive)
        target = f"{scope['raw_path'].decode()}?{scope['query_string'].decode()}"
        if match := UPLOAD_NAME.search(body[:4096]):  # an upload names its object in the body
            target += f"&name={match[1].decode()}"
        target = unquote(target)
        self.requests.append((scope["method"], target))
        fault = next((f for f in self.faults if f.times and f.matches(scope["method"], target)), None)
        again = _again(body, receive)
        if fault is None:
            await self.app(scope, again, send)
            return
        fault.times -= 1
        if fault.done_first:
            await self.app(scope, again, _nowhere)
        await send({"type": "http.response.start", "status": fault.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Replays a body that was already read, then receives what follows it."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


async def _nowhere(message: Message) -> None:
    """Discards a lost response."""


class Subscription:
    """Pub/Sub's subscriber with one subscription, as far as the functions call it; only `redeliver` ends a lease."""

    def __init__(self) -> None:
        self.waiting: dict[str, pubsub.PubsubMessage] = {}
        self.leased: dict[str, pubsub.PubsubMessage] = {}
        self.refusals: list[grpc.StatusCode] = []  # of acknowledgements
        self.renewal_refusals: list[grpc.StatusCode] = []
        self.most = 1000  # the most messages that a pull returns
        self.waits: list[bool] = []  # of each pull: whether it waits for a first message
        self.extended: list[list[str]] = []  # the ids in each request to extend leases

    def add(self, message: pubsub.PubsubMessage) -> None:
        self.waiting[uuid.uuid4().hex] = message

    def redeliver(self) -> None:
        """Ends the leases of all unacknowledged messages."""
        self.waiting |= self.leased
        self.leased.clear()

    def pull(self, request: pubsub.PullRequest, context: grpc.ServicerContext) -> pubsub.PullResponse:
        self.waits.append(not request.return_immediately)
        taken = list(self.waiting)[: min(request.max_messages, self.most)]
        self.leased |= {ack_id: self.waiting.pop(ack_id) for ack_id in taken}
        received = [pubsub.ReceivedMessage(ack_id=ack_id, message=self.leased[ack_id]) for ack_id in taken]
        return pubsub.PullResponse(received_messages=received)

    def acknowledge(self, request: pubsub.AcknowledgeRequest, context: grpc.ServicerContext) -> Empty:
        if self.refusals:
            context.abort(self.refusals.pop(0), "refused")
        for ack_id in request.ack_ids:
            del self.leased[ack_id]
        return Empty()

    def modify(self, request: pubsub.ModifyAckDeadlineRequest, context: grpc.ServicerContext) -> Empty:
        if request.ack_deadline_seconds == 0:
            self.waiting |= {ack_id: self.leased.pop(ack_id) for ack_id in request.ack_ids}
        elif self.renewal_refusals:
            context.abort(self.renewal_refusals.pop(0), "refused")
        else:
            self.extended.append(sorted(request.ack_ids))
        return Empty()


class Executions:
    """Google's Executions service, and Pub/Sub's publisher, as far as the functions call them."""

    def __init__(self) -> None:
        self.created: list[messages.Execution] = []
        self.states: dict[str, messages.Execution.State] = {}
        self.refusals: list[grpc.StatusCode] = []
        self.before_create: Callable[[], None] = lambda: None
        self.published: list[tuple[str, Any]] = []  # topic, decoded body
        self.attributes: list[dict[str, str]] = []  # of the published messages
        self.publish_refusals: list[grpc.StatusCode] = []
        self.list_refusals: list[grpc.StatusCode] = []
        self.answers_lost = 0  # responses lost although the execution was created
        self.uploads = Subscription()

    def create(self, request: messages.CreateExecutionRequest, context: grpc.ServicerContext) -> messages.Execution:
        self.before_create()
        if self.refusals:
            context.abort(self.refusals.pop(0), "refused")
        name = f"{request.parent}/executions/{uuid.uuid4()}"
        execution = messages.Execution(
            name=name,
            argument=request.execution.argument,
            labels=request.execution.labels,
            state="ACTIVE",
            start_time=datetime.now(UTC),
        )
        self.created.append(execution)
        if self.answers_lost:
            self.answers_lost -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
        return execution

    def get(self, request: messages.GetExecutionRequest, context: grpc.ServicerContext) -> messages.Execution:
        if request.name not in {execution.name for execution in self.created}:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such execution")
        return messages.Execution(name=request.name, state=self.states.get(request.name, "ACTIVE"))

    def newest(
        self, request: messages.ListExecutionsRequest, context: grpc.ServicerContext
    ) -> messages.ListExecutionsResponse:
        """Newest first; the only filter is on the label `kind`."""
        if self.list_refusals:
            context.abort(self.list_refusals.pop(0), "refused")
        kept = [each for each in self.created if f'labels.kind="{each.labels["kind"]}"' == request.filter]
        return messages.ListExecutionsResponse(executions=kept[::-1][: request.page_size])

    def publish(self, request: pubsub.PublishRequest, context: grpc.ServicerContext) -> pubsub.PublishResponse:
        if self.publish_refusals:
            context.abort(self.publish_refusals.pop(0), "refused")
        self.published += [(request.topic, json.loads(message.data)) for message in request.messages]
        self.attributes += [dict(message.attributes) for message in request.messages]
        return pubsub.PublishResponse(message_ids=[str(uuid.uuid4().int % 10**12) for _ in request.messages])

    def end_all(self, state: str = "FAILED") -> None:
        self.states |= {execution.name: messages.Execution.State[state] for execution in self.created}

    @property
    def arguments(self) -> list[dict[str, Any]]:
        return [json.loads(execution.argument) for execution in self.created]


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serves an application in a thread; gives its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    started = threading.Event()
    app_startup = server.startup

    async def startup(*args: Any, **kwargs: Any) -> None:
        await app_startup(*args, **kwargs)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread.start()
    assert started.wait(20)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@contextmanager
def serving_storage() -> Iterator[tuple[str, Faulty]]:
    store = emulator.storage.Store()
    app = Faulty(emulator.storage.app(store))
    with serving(app) as store.base_url:
        yield store.base_url, app
    store.close()


@contextmanager
def serving_executions() -> Iterator[tuple[str, Executions]]:
    fake = Executions()
    server = grpc.server(futures.ThreadPoolExecutor(8))

    def handler(call: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=request.deserialize, response_serializer=api.Execution.serialize
        )

    handlers = {
        "CreateExecution": handler(lambda *call: fake.create(*call), api.CreateExecutionRequest),
        "GetExecution": handler(lambda *call: fake.get(*call), api.GetExecutionRequest),
        "ListExecutions": _unary(
            lambda *call: fake.newest(*call), api.ListExecutionsRequest, api.ListExecutionsResponse.serialize
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    publisher = grpc.unary_unary_rpc_method_handler(
        lambda *call: fake.publish(*call),
        request_deserializer=pubsub.PublishRequest.deserialize,
        response_serializer=pubsub.PublishResponse.serialize,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(PUBLISHER, {"Publish": publisher}),))
    subscriber = {
        "Pull": _unary(lambda *call: fake.uploads.pull(*call), pubsub.PullRequest, pubsub.PullResponse.serialize),
        "Acknowledge": _unary(
            lambda *call: fake.uploads.acknowledge(*call), pubsub.AcknowledgeRequest, Empty.SerializeToString
        ),
        "ModifyAckDeadline": _unary(
            lambda *call: fake.uploads.modify(*call), pubsub.ModifyAckDeadlineRequest, Empty.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SUBSCRIBER, subscriber),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", fake
    server.stop(None).wait()


def _unary(call: Callable[..., Any], request: Any, serialize: Callable[[Any], bytes]) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=request.deserialize, response_serializer=serialize
    )


class Cloud:
    """Fresh buckets on the shared servers, and their contents."""

    def __init__(self, host: str, faulty: Faulty, grpc_host: str, executions: Executions) -> None:
        self.host, self.grpc_host = host, grpc_host
        self.faulty, self.executions = faulty, executions
        self.client = storage.Client(
            project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": host}
        )
        suffix = uuid.uuid4().hex[:8]
        self.input, self.work, self.output = (
            self.client.create_bucket(f"{role}-{suffix}") for role in ("input", "work", "output")
        )

    @property
    def env(self) -> dict[str, str]:
        return {
            "GOOGLE_CLOUD_PROJECT": "p",
            "STORAGE_EMULATOR_HOST": self.host,
            "WORKFLOWS_EMULATOR_HOST": self.grpc_host,
            "PUBSUB_EMULATOR_HOST": self.grpc_host,
            "INPUT_BUCKET": self.input.name,
            "WORK_BUCKET": self.work.name,
            "OUTPUT_BUCKET": self.output.name,
            "WORKFLOW": WORKFLOW,
        }

    def upload(
        self, name: str, data: bytes | str, content_type: str | None = None, metadata: dict[str, str] | None = None
    ) -> storage.Blob:
        blob = self.input.blob(name)
        blob.metadata = metadata
        blob.upload_from_string(data, content_type or "application/octet-stream")
        return blob

    def fault(self, method: str, *parts: str, **more: Any) -> Fault:
        """Makes the next request fail that has the method and all the parts in its target."""
        fault = Fault(lambda m, target: m == method and all(part in target for part in parts), **more)
        self.faulty.faults.append(fault)
        return fault

    def documents(self, *folders: str) -> dict[str, dict[str, Any]]:
        """The terminal documents by name, or the objects in the given folders."""
        wanted = folders or ("results", "rejected", "failed")
        return {
            blob.name: json.loads(blob.download_as_bytes())
            for folder in wanted
            for blob in self.client.list_blobs(self.output, prefix=f"{folder}/")
            if blob.name.endswith(".json")
        }

    def only_document(self) -> dict[str, Any]:
        (document,) = self.documents().values()
        return document

    def claim(self, job: str) -> dict[str, Any]:
        """The claim's fields as handlers read them, with the execution of the run that it names."""
        claim = Claims(self.work, 60).read(job)
        assert claim
        fields: dict[str, Any] = json.loads(claim.json())
        return fields

    def claim_upload(self, blob: storage.Blob) -> None:
        """Claims an upload as a handler that dies before it starts the execution."""
        job = Upload.of_blob(blob).job(Receipt("dead", "2026-01-01T12:00:00Z"))
        assert Claims(self.work, 60).acquire(job)
