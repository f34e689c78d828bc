"""Schedules that run by themselves, and the API with which they are examined, run, paused and resumed."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.cli.guide import addresses, environment
from emulator.cloud_scheduler import Scheduler
from emulator.googleapi.errors import NotFoundError
from emulator.server import Emulator
from emulator.stack.loader import load
from emulator.stack.model import Address, Schedule
from tests.emulator.conftest import Background
from tests.emulator.manual_clock import ManualClock

PARENT = "projects/p/locations/l"
SWEEP = f"{PARENT}/jobs/sweep"
START = datetime.fromisoformat("2026-01-01T10:07:00+00:00").timestamp()
JOBS = [
    Schedule("sweep", "*/15 * * * *", "messages", '{"sweep": {}}', attributes={"a": "b"}),
    Schedule("nightly", "0 3 * * *", "messages", "nightly", time_zone="Europe/Berlin", paused=True),
]


class Topic:
    """Takes what is published, or fails."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes, dict[str, str]]] = []
        self.exists = True

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        if not self.exists:
            raise NotFoundError(f"Resource not found (resource={topic}).")
        self.published.append((topic, data, dict(attributes)))
        return "1"


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def now() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def scheduler(topic: Topic, now: ManualClock) -> Iterator[Scheduler]:
    scheduler = Scheduler(None, PARENT, JOBS, topic.publish, clock=now)
    yield scheduler
    scheduler.close()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def passing(scheduler: Scheduler, clock: ManualClock, *seconds: float) -> None:
    """Run the scheduler while the time advances in steps."""
    await scheduler.start()
    await settle()
    for step in seconds:
        clock.advance(step)
        await settle()
    await scheduler.stop()


def test_a_job_runs_when_it_is_due(scheduler: Scheduler, topic: Topic, now: ManualClock) -> None:
    asyncio.run(passing(scheduler, now, 479))
    assert topic.published == []
    asyncio.run(passing(scheduler, now, 1))
    assert topic.published == [("projects/p/topics/messages", b'{"sweep": {}}', {"a": "b"})]
    asyncio.run(passing(scheduler, now, 899))
    assert len(topic.published) == 1
    asyncio.run(passing(scheduler, now, 1))
    assert len(topic.published) == 2


def test_a_machine_that_slept_runs_a_job_once(scheduler: Scheduler, topic: Topic, now: ManualClock) -> None:
    asyncio.run(passing(scheduler, now, 24 * 3600, 60))
    assert len(topic.published) == 1


def test_a_paused_job_waits_until_it_is_resumed(scheduler: Scheduler, topic: Topic, now: ManualClock) -> None:
    assert scheduler.pause_job(SWEEP)["state"] == "PAUSED"
    assert "scheduleTime" not in scheduler.get_job(SWEEP)
    asyncio.run(passing(scheduler, now, 3600))
    assert topic.published == []
    assert scheduler.resume_job(SWEEP)["scheduleTime"] == "2026-01-01T11:15:00Z"
    asyncio.run(passing(scheduler, now, 480))
    assert len(topic.published) == 1


def test_a_job_can_run_at_any_time(scheduler: Scheduler, topic: Topic) -> None:
    ran = scheduler.run_job(f"{PARENT}/jobs/nightly")
    assert [data for _, data, _ in topic.published] == [b"nightly"]
    assert (ran["state"], ran["lastAttemptTime"], ran["status"]) == ("PAUSED", "2026-01-01T10:07:00Z", {})


def test_a_failed_attempt_is_kept_and_the_next_one_runs(scheduler: Scheduler, topic: Topic, now: ManualClock) -> None:
    topic.exists = False
    asyncio.run(passing(scheduler, now, 480))
    assert scheduler.get_job(SWEEP)["status"]["code"] == NotFoundError.number
    topic.exists = True
    asyncio.run(passing(scheduler, now, 900))
    assert (len(topic.published), scheduler.get_job(SWEEP)["status"]) == (1, {})


def test_what_the_api_changed_survives_a_restart(topic: Topic, now: ManualClock, tmp_path: Path) -> None:
    for state in ("ENABLED", "PAUSED"):
        scheduler = Scheduler(tmp_path, PARENT, JOBS, topic.publish, clock=now)
        assert scheduler.get_job(SWEEP)["state"] == state
        if state == "ENABLED":
            scheduler.pause_job(SWEEP)
        scheduler.close()


STACK = """
project: p
topics: [messages]
subscriptions: {kept: {topic: messages}}
schedules:
  sweep: {schedule: "0 0 1 1 *", time_zone: Europe/Berlin, topic: messages, message: '{"sweep": {}}'}
"""


@pytest.fixture
def emulator(background: Background, tmp_path: Path) -> Iterator[Emulator]:
    (tmp_path / "stack.yaml").write_text(STACK)
    emulator = Emulator(load(tmp_path / "stack.yaml"), services={})
    background.run(emulator.__aenter__())
    yield emulator
    background.run(emulator.close())


def test_the_api_over_http(emulator: Emulator) -> None:
    with httpx.Client(base_url=f"http://{emulator.http}/v1/projects/p") as http:
        (job,) = http.get("/locations/us-central1/jobs").json()["jobs"]
        assert (job["timeZone"], job["pubsubTarget"]["topicName"]) == ("Europe/Berlin", "projects/p/topics/messages")
        assert base64.b64decode(job["pubsubTarget"]["data"]) == b'{"sweep": {}}'
        path = f"/locations/us-central1/jobs/{job['name'].rsplit('/', 1)[1]}"
        assert http.post(f"{path}:run", json={}).status_code == 200
        pulled = http.post("/subscriptions/kept:pull", json={"maxMessages": 5}).json()["receivedMessages"]
        assert base64.b64decode(pulled[0]["message"]["data"]) == b'{"sweep": {}}'
        assert http.post(f"{path}:pause").json()["state"] == "PAUSED"
        assert http.post(f"{path}:pause").status_code == 400
        assert http.post(f"{path}:resume").json()["state"] == "ENABLED"
        assert http.get("/locations/us-central1/jobs/none").status_code == 404
        for method, refused in (("POST", "/locations/us-central1/jobs"), ("PATCH", path), ("DELETE", path)):
            answer = http.request(method, refused)
            assert (answer.status_code, answer.json()["error"]["status"]) == (501, "UNIMPLEMENTED")


@pytest.mark.gcloud
@pytest.mark.skipif(not shutil.which("gcloud"), reason="the gcloud CLI is not installed")
def test_gcloud_examines_and_runs_schedules(emulator: Emulator, tmp_path: Path) -> None:
    here = addresses(emulator.stack, tmp_path, Address(emulator.http, emulator.grpc), {}, {})
    variables = {**os.environ, **environment(here)}

    def gcloud(*words: str) -> Any:
        command = ["gcloud", "scheduler", "jobs", *words, "--location=us-central1", "--format=json"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    (listed,) = gcloud("list")
    assert listed["schedule"] == "0 0 1 1 *"
    gcloud("run", "sweep")
    assert gcloud("describe", "sweep")["lastAttemptTime"]
    gcloud("pause", "sweep")
    assert gcloud("describe", "sweep")["state"] == "PAUSED"
    gcloud("resume", "sweep")
    assert gcloud("describe", "sweep")["state"] == "ENABLED"
