"""Every input ends in exactly one document, the right one, while services and calls fail."""

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from rich.console import Console
from rich.table import Table

from emulator.process import Stack
from tests.chaos import arrangement
from tests.chaos.inputs import Sent, mixed

RARER = {"kill_after_claim": 0.005, "kill_after_result": 0.005}  # a service that dies often is restarted ever later
FOLDERS = ("results", "rejected", "failed")


@dataclass
class Run:
    """A stack under chaos, and its inputs."""

    stack: Stack
    client: storage.Client
    publisher: pubsub_v1.PublisherClient
    sent: dict[str, Sent]  # by document
    sweep_every_s: float

    def order(self, **body: Any) -> None:
        topic = self.publisher.topic_path("local-project", "messages")
        self.publisher.publish(topic, json.dumps(body).encode()).result(timeout=30)

    def documents(self) -> dict[str, list[str]]:
        """The terminal documents of each input, by full name."""
        names: dict[str, list[str]] = defaultdict(list)
        for folder in FOLDERS:
            for blob in self.client.list_blobs("local-output", prefix=f"{folder}/"):
                document = blob.name.partition("/")[2].removesuffix(".json")
                if blob.name.endswith(".json"):
                    names[document].append(blob.name)
        return names

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = httpx.get(self.chaos + "/counts", timeout=30).json()
        return counts

    @property
    def chaos(self) -> str:
        address: str = self.stack.addresses["services"]["chaos"]
        return address

    def wait(self, done: Any, timeout_s: float, **order: Any) -> None:
        """Waits until `done()`, publishing a message as often as a scheduler would."""
        give_up, next_order = time.monotonic() + timeout_s, 0.0
        while not done():
            self.stack.check()
            if time.monotonic() > give_up:
                return
            if time.monotonic() > next_order:
                self.order(**order)
                next_order = time.monotonic() + self.sweep_every_s
            time.sleep(0.5 + len(self.sent) / 1000)  # polling loads the store


def undergo(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    count: int,
    seed: int,
    kills: int,
    kill_every_s: float,
    timeout_s: float,
    sweep_every_s: float,
    **odds: float,
) -> None:
    path = arrangement.write(folder, seed=seed, kills=kills, kill_every_s=kill_every_s, odds=odds)
    with Stack(folder / "data", stack=path) as stack:
        stack.start(timeout_s=120)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.http)
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", stack.grpc)
        client = storage.Client(project="local-project", credentials=AnonymousCredentials())
        run = Run(stack, client, pubsub_v1.PublisherClient(), {}, sweep_every_s)
        began = time.monotonic()
        httpx.post(run.chaos + "/storm", timeout=30)
        run.sent |= upload(client, mixed(count, seed))
        run.wait(lambda: run.documents().keys() >= run.sent.keys(), timeout_s, sweep={})
        while sum(n for name, n in run.counts().items() if "random point" in name) < kills:
            time.sleep(0.5)
        stormy = run.documents()
        httpx.post(run.chaos + "/calm", timeout=30)
        run.wait(lambda: run.documents().keys() >= run.sent.keys(), timeout_s, sweep={})
        run.order(replay={})  # inputs that failed in the storm
        run.wait(lambda: is_over(run), timeout_s, sweep={})
        report(run, stormy, time.monotonic() - began)
        assert wrong(run) == {}


def upload(client: storage.Client, inputs: Iterator[Sent]) -> dict[str, Sent]:
    bucket = client.bucket("local-input")

    def send(sent: Sent) -> tuple[str, Sent]:
        blob = bucket.blob(sent.name)
        blob.upload_from_string(sent.content, "application/octet-stream")
        return f"{sent.name}/{blob.generation}", sent

    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(send, inputs))


def is_over(run: Run) -> bool:
    documents = run.documents()
    return all(len(documents[name]) == 1 and not documents[name][0].startswith("failed/") for name in run.sent)


def wrong(run: Run) -> dict[str, str]:
    """The inputs with a wrong document, or not exactly one, and a description."""
    documents, problems = run.documents(), {}
    for document, sent in run.sent.items():
        names = documents.get(document, [])
        if len(names) != 1:
            problems[sent.name] = f"{len(names)} documents: {names}"
            continue
        content = json.loads(run.client.bucket("local-output").blob(names[0]).download_as_bytes())
        values = {path: at(content, path) for path in sent.expected}
        if values != sent.expected or content["input"]["generation"] != document.rpartition("/")[2]:
            problems[sent.name] = f"{values} instead of {sent.expected}; {content.get('error')}"
    strangers = documents.keys() - run.sent.keys()
    return problems | dict.fromkeys(strangers, "not one of the inputs")


def at(content: Any, path: str) -> Any:
    for key in path.split("."):
        content = content[int(key)] if isinstance(content, list) else (content or {}).get(key)
    return content


def report(run: Run, stormy: dict[str, list[str]], took_s: float) -> None:
    """Prints the injected faults and the outcomes of the inputs."""
    injected = Table("fault", "times", title=f"{len(run.sent)} inputs in {took_s:.0f} s")
    for name, count in sorted(run.counts().items()):
        injected.add_row(name, str(count))
    outcome: Counter[str] = Counter()
    for names in run.documents().values():
        outcome.update(name.partition("/")[0] for name in names)
    failed = sum(name.startswith("failed/") for names in stormy.values() for name in names)
    injected.add_section()
    injected.add_row("failed while it stormed, then replayed", str(failed))
    for folder in FOLDERS:
        injected.add_row(f"documents in {folder}/", str(outcome[folder]))
    Console(width=100).print(injected)


@pytest.mark.long
@pytest.mark.stack
@pytest.mark.timeout(240)
def test_a_small_storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undergo(tmp_path, monkeypatch, count=40, seed=7, kills=2, kill_every_s=3, timeout_s=60, sweep_every_s=5)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_a_large_storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHAOS_INPUTS (2000) uploads, while services are killed CHAOS_KILLS (60) times."""
    count, kills = int(os.environ.get("CHAOS_INPUTS", "2000")), int(os.environ.get("CHAOS_KILLS", "60"))
    sweep_every_s = 60 if count > 1000 else 15
    undergo(
        tmp_path,
        monkeypatch,
        count=count,
        seed=1,
        kills=kills,
        kill_every_s=6,
        timeout_s=1500,
        sweep_every_s=sweep_every_s,
        **RARER,
    )
