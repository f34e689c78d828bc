"""Fixtures of the client's tests: the emulator's APIs without services, a cloud's stand-in, documents, the command."""

import json
import os
import subprocess
import sys
import threading
from asyncio import AbstractEventLoop, new_event_loop, run_coroutine_threadsafe
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from emulator.server import Emulator
from emulator.stack.loader import load
from event_inference import Client
from event_inference import names as naming
from event_inference.cli import run as command
from event_inference.targets import Target
from tests.emulator.vertex_ai.conftest import Containers
from tests.event_inference import cloud as stand_in
from tests.event_inference.cloud import PROJECT, TokenCloud

ROOT = Path(__file__).parents[2]
WORKFLOW = """
main:
  params: [job]
  steps:
    - decide:
        switch:
          - condition: ${job.fails}
            next: break_off
    - wait:
        call: sys.sleep
        args: {seconds: 600}
    - break_off:
        raise: "as the test requires"
"""
STACK = """
project: PROJECT_ID
buckets: {INPUT: {}, WORK: {}, OUTPUT: {}, MODELS: {}}
topics: [TOPIC, promotions, notification-retries]
subscriptions:
  orders: {topic: TOPIC}
  promotions: {topic: promotions}
  notification-retries: {topic: notification-retries}
workflows: {inference: {source: workflow.yaml}}
containers: {model: {image: "*/gpu-service*", command: [none], service_account: server}}
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


class Emulated:
    """A running emulator without services: its addresses, and what a pipeline would write."""

    def __init__(self, emulator: Emulator, target: Target) -> None:
        self.http, self.grpc, self.target = emulator.http, emulator.grpc, target
        self.client = Client(target=target)

    def document(
        self, folder: str, name: str, generation: int = 1, *, age: timedelta = timedelta(), **fields: Any
    ) -> dict[str, Any]:
        """Write a terminal document of an object, as postprocess does."""
        finished = datetime.now(UTC) - age
        bucket = self.target.input_bucket
        content: dict[str, Any] = {
            "schema": {"results": "result/v1"}.get(folder, f"{folder}/v1"),
            "status": {"results": "succeeded"}.get(folder, folder),
            "job": naming.job(bucket, name, generation),
            "input": {"bucket": bucket, "name": name, "generation": str(generation), "size": 1, "content_type": None},
            "kind": "text",
            "timing": {
                "received_at": (finished - timedelta(seconds=2)).isoformat(),
                "started_at": None,
                "finished_at": finished.isoformat(),
            },
            "lineage": {"event_id": "1", "execution": None},
        }
        content |= _OWN.get(folder, {}) | fields
        self.write(f"{folder}/{naming.document(name, generation)}.json", json.dumps(content))
        return content

    def write(self, name: str, content: str) -> None:
        self.client.connection.output.blob(name).upload_from_string(content)

    def orders(self, name: str = "orders") -> list[dict[str, Any]]:
        """The messages published since the last call, those that a subscription holds."""
        subscription = f"projects/{self.target.project}/subscriptions/{name}"
        subscriber = self.client.connection.subscriber
        pulled = subscriber.pull(
            request={"subscription": subscription, "max_messages": 100, "return_immediately": True}, timeout=10
        )
        acknowledged = [message.ack_id for message in pulled.received_messages]
        if acknowledged:
            subscriber.acknowledge(subscription=subscription, ack_ids=acknowledged)
        return [json.loads(message.message.data) for message in pulled.received_messages]

    def execution(self, job: str, **argument: Any) -> str:
        execution = {"argument": json.dumps({"fails": False, **argument}), "labels": {"job": job}}
        request = {"parent": self.target.workflow, "execution": execution}
        created = self.client.connection.executions.create_execution(request=request)
        name: str = created.name
        return name


_OWN: dict[str, dict[str, Any]] = {
    "results": {
        "model": {"name": "sentiment", "version": "1", "task": "text-classification"},
        "parameters": {},
        "predictions": [{"label": "POSITIVE", "score": 0.99}],
        "quality": {"confidence": 0.99, "high_confidence": True, "requires_review": False},
        "cost": {"device": {"seconds": 0.1, "usd": 0.00003}, "total": {"usd": 0.0003, "parts": {}}},
    },
    "rejected": {"reason": {"code": "empty", "message": "The input is empty."}},
    "failed": {"error": {"code": "http_503", "message": "No answer.", "step": "predict"}, "replay": "…"},
}


@contextmanager
def running_loop() -> Iterator[AbstractEventLoop]:
    running = new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


@pytest.fixture(scope="session")
def loop() -> Iterator[AbstractEventLoop]:
    with running_loop() as running:
        yield running


@contextmanager
def emulated(loop: AbstractEventLoop, folder: Path, target: Target) -> Iterator[Emulated]:
    resources = {
        "PROJECT_ID": target.project, "INPUT": target.input_bucket, "WORK": target.work_bucket,
        "OUTPUT": target.output_bucket, "MODELS": target.models_bucket, "TOPIC": target.topic,
    }  # fmt: skip
    text = STACK
    for placeholder, name in resources.items():
        text = text.replace(placeholder, name)
    (folder / "stack.yaml").write_text(text)
    (folder / "workflow.yaml").write_text(WORKFLOW)
    emulator = Emulator(load(folder / "stack.yaml"), services={}, start_container=Containers().start)

    async def start() -> None:
        await emulator.__aenter__()

    run_coroutine_threadsafe(start(), loop).result(30)
    running = Target.laptop(
        origin="test", http=emulator.http, grpc=emulator.grpc, project=target.project, variables=_variables(target)
    )
    yield Emulated(emulator, running)
    run_coroutine_threadsafe(emulator.close(), loop).result(30)


def _variables(target: Target) -> dict[str, str]:
    return {
        "INPUT_BUCKET": target.input_bucket, "WORK_BUCKET": target.work_bucket, "OUTPUT_BUCKET": target.output_bucket,
        "MODELS_BUCKET": target.models_bucket, "MESSAGES_TOPIC": target.topic, "WORKFLOW": target.workflow,
    }  # fmt: skip


@contextmanager
def a_cloud(loop: AbstractEventLoop, folder: Path) -> Iterator[tuple[Emulated, TokenCloud]]:
    """The resources of a deployment, and what guards them."""
    target = Target.cloud(origin="test", project=PROJECT, names={"workflow": "inference"})
    with (
        emulated(loop, folder, target) as deployed,
        stand_in.serving(deployed.http, deployed.grpc, folder) as serving,
    ):
        yield deployed, serving


@pytest.fixture
def laptop(loop: AbstractEventLoop, tmp_path: Path) -> Iterator[Emulated]:
    """The resources of a local stack."""
    with emulated(loop, tmp_path, Target.laptop(origin="test", http="", grpc="")) as running:
        yield running


@pytest.fixture
def guarded(loop: AbstractEventLoop, tmp_path: Path) -> Iterator[tuple[Emulated, TokenCloud]]:
    with a_cloud(loop, tmp_path) as both:
        yield both


@pytest.fixture
def deployed(guarded: tuple[Emulated, TokenCloud]) -> Emulated:
    """The resources of a deployment in a cloud; `cloud` guards them."""
    return guarded[0]


@pytest.fixture
def cloud(guarded: tuple[Emulated, TokenCloud]) -> TokenCloud:
    return guarded[1]


@pytest.fixture
def einf(tmp_path: Path) -> Run:
    """Runs the command in an empty folder, home and environment, apart from what a test adds."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()

    def run(
        *arguments: str, env: dict[str, str] | None = None, input: str | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "event_inference", *arguments],
            cwd=cwd or folder,
            env=environment(home) | (env or {}),
            input=input,
            stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON in each line of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs the command in this process, where no variable, home or folder of the developer reaches it."""
    home = tmp_path / "home"
    home.mkdir()
    for name in os.environ:
        if name.startswith(("EINF_", "CLOUDSDK_", "GOOGLE_")) or name.endswith("_EMULATOR_HOST"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(home)

    def run(*arguments: str, env: dict[str, str] | None = None, input: bytes = b"") -> Ended:
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", TextIOWrapper(BytesIO(input)))
            status = command(list(arguments))
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return run


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def local_environment(emulated: Emulated) -> dict[str, str]:
    """The variables of a shell that points at the laptop."""
    return {
        "STORAGE_EMULATOR_HOST": f"http://{emulated.http}",
        "PUBSUB_EMULATOR_HOST": emulated.grpc,
        "WORKFLOWS_EMULATOR_HOST": emulated.grpc,
        "GOOGLE_CLOUD_PROJECT": emulated.target.project,
    }


def cloud_environment(cloud: TokenCloud, folder: Path) -> dict[str, str]:
    """The variables of a user whose configuration has the context `standin`."""
    (folder / "config.toml").write_text(cloud.context)
    return {"EINF_CONFIG": str(folder / "config.toml"), "GOOGLE_APPLICATION_CREDENTIALS": str(cloud.key)}
