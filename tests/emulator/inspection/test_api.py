"""The debug API says what a cloud does not show, to the developer alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from emulator.inspection import log_lines
from emulator.server import Emulator
from emulator.stack import loader
from emulator.workflows.runtime.http import Request
from emulator.workflows_api.calls import CallLog
from tests.emulator.receiver import receiving

STACK = """
project: local-project
location: us-central1
root: .
buckets: {box: {}}
topics: [messages, dead]
services:
  closed: {command: [python, -c, "pass"]}
triggers:
  uploads:
    event: google.cloud.storage.object.v1.finalized
    bucket: box
    service: closed
    dead_letter_topic: dead
    max_delivery_attempts: 5
    backoff: {min: 0.01, max: 0.01}
workflows:
  caller: {source: caller.yaml}
"""
IAM = """
iam:
  grants: [{member: closed, role: roles/storage.objectViewer, resource: bucket/box}]
"""
CALLER = """
main:
  params: [job]
  steps:
    - call:
        call: http.post
        args: {url: "${job.url}", body: {secret: "value"}, headers: {Authorization: "Bearer token"}}
"""
CREATE = "v1/projects/local-project/locations/us-central1/workflows/caller/executions"


@asynccontextmanager
async def emulating(folder: Path, text: str = STACK) -> AsyncIterator[Emulator]:
    (folder / "stack.yaml").write_text(text)
    (folder / "caller.yaml").write_text(CALLER)
    (folder / "logs").mkdir()
    (folder / "logs" / "closed.log").write_text('{"message": "one", "job": "1"}\nplain 2\n')
    stack = loader.load(folder / "stack.yaml")
    async with Emulator(stack, services={"closed": "http://127.0.0.1:1"}, logs=folder / "logs") as running:
        yield running


def test_attempts_and_their_ends_are_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as emulator, httpx.AsyncClient(base_url=f"http://{emulator.http}") as http:
            upload = "/upload/storage/v1/b/box/o?uploadType=media&name=a.txt"
            (await http.post(upload, content=b"x")).raise_for_status()

            async def attempts() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = (await http.get("/emulator/v1/deliveries")).json()["attempts"]
                return found

            while len(found := await attempts()) < 5:
                await asyncio.sleep(0.01)
            assert [attempt["number"] for attempt in found] == [5, 4, 3, 2, 1]
            assert found[0]["again_in"] is None
            assert found[1]["again_in"] == 0.01
            assert {attempt["attributes"]["objectId"] for attempt in found} == {"a.txt"}
            assert not any(attempt["acknowledged"] for attempt in found)
            answer = (await http.get("/emulator/v1/deliveries?limit=2&failed=true&contains=a.t")).json()
            assert [attempt["number"] for attempt in answer["attempts"]] == [5, 4]
            assert answer["totals"] == {"attempts": 5, "failed": 5, "gave_up": 1}
            assert (await http.get("/emulator/v1/deliveries?contains=other")).json()["attempts"] == []
            stack = (await http.get("/emulator/v1/stack")).json()
            assert stack["triggers"][0]["deadLetterTopic"] == "dead"
            assert stack["services"] == {"closed": "http://127.0.0.1:1"}

    asyncio.run(check())


def test_calls_have_both_bodies_and_no_headers(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            receiving() as receiver,
            emulating(tmp_path) as emulator,
            httpx.AsyncClient(base_url=f"http://{emulator.http}") as http,
        ):
            for url in (receiver.url, "http://127.0.0.1:1/"):
                created = await http.post(CREATE, json={"argument": json.dumps({"url": url})})
                name = created.json()["name"]
                while not (calls := (await http.get("/emulator/v1/calls", params={"execution": name})).json()["calls"]):
                    await asyncio.sleep(0.01)
                (call,) = calls
                assert (call["method"], call["url"], call["entry"]) == ("POST", url, 1)
                assert call["request"]["json"] == {"secret": "value"}
                assert "token" not in json.dumps(call)
                if url == receiver.url:
                    assert call["status"] is not None
                else:
                    assert "connection failed" in call["error"]

    asyncio.run(check())


def test_log_lines_are_found_by_their_words(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as emulator, httpx.AsyncClient(base_url=f"http://{emulator.http}") as http:
            lines = (await http.get("/emulator/v1/logs/closed?contains=1")).json()["lines"]
            assert lines == [{"message": "one", "job": "1"}]
            assert (await http.get("/emulator/v1/logs/closed")).json()["lines"][1] == {"message": "plain 2"}
            assert (await http.get("/emulator/v1/logs/..")).status_code == 404
            assert (await http.get("/emulator/v1/deliveries?limit=0")).status_code == 400

    asyncio.run(check())


def test_no_service_may_use_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path, STACK + IAM) as emulator:
            for address in (emulator.accounts["closed"].http, emulator._enforcement.anonymous):
                async with httpx.AsyncClient(base_url=f"http://{address}") as http:
                    for path in ("stack", "deliveries", "calls?execution=x", "logs/closed"):
                        assert (await http.get(f"/emulator/v1/{path}")).status_code == 403

    asyncio.run(check())


def test_old_calls_are_forgotten() -> None:
    log = CallLog(limit=5_000)
    request = Request("POST", "http://a/", {}, b"x" * 1000, 1)
    for number in range(10):
        log.add(str(number), 1, request, None, started=0, seconds=0, error="")
    assert [bool(log.of(str(number))) for number in range(10)] == [False] * 8 + [True] * 2


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("begin\n" + "x" * 5_000_000 + "\nend\n")
    assert [line["message"] for line in log_lines.newest(tmp_path, "a", [], 5)] == ["end"]
    assert log_lines.newest(tmp_path, "../a", [], 5) == []
