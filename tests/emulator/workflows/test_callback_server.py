import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from emulator.workflows import CallbackRegistry
from emulator.workflows.__main__ import main
from emulator.workflows.callback_server import CallbackServer

SELF_CALL = """
main:
  steps:
    - create:
        call: events.create_callback_endpoint
        args: {http_callback_method: PUT}
        result: callback
    - both:
        parallel:
          shared: [got]
          branches:
            - waiter:
                steps:
                  - wait:
                      call: events.await_callback
                      args: {callback: "${callback}", timeout: 30}
                      result: got
            - sender:
                steps:
                  - send:
                      call: http.put
                      args:
                        url: "${callback.url}"
                        query: {q: [a, b], one: 1}
                        body: {hello: [1]}
    - r: {return: "${got.http_request}"}
"""
EXECUTION = "projects/p/locations/l/workflows/w/executions/e"


def test_run_receives_the_callbacks_of_its_workflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "callback.yaml"
    path.write_text(SELF_CALL)
    assert main(["run", str(path)]) == 0
    request = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert request["method"] == "PUT"
    assert request["query"] == {"q": ["a", "b"], "one": "1"}
    assert request["body"] == {"hello": [1]}
    assert request["headers"]["Content-Type"] == "application/json; charset=utf-8"
    assert request["url"].startswith("/v1/projects/")


async def statuses(calls: list[tuple[str, str, dict[str, Any]]]) -> list[int]:
    """The response statuses for each (method, path, options), with one callback open for POST."""
    registry = CallbackRegistry()
    async with CallbackServer(registry), aiohttp.ClientSession() as client:
        name = registry.create(EXECUTION, "POST").name
        statuses = []
        for method, path, options in calls:
            url = registry.base_url + path.replace("CALLBACK", name)
            async with client.request(method, url, **options) as answer:
                statuses.append(answer.status)
        return statuses


def test_statuses_of_delivered_and_refused_requests() -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/projects/none", {}),
        ("GET", "/v1/CALLBACK", {}),
        ("POST", "/v1/CALLBACK", {"data": b"{", "headers": {"Content-Type": "application/json"}}),
        ("POST", "/v1/CALLBACK", {"data": b"\xff"}),
        ("POST", "/v1/CALLBACK", {"data": b"text"}),
        ("POST", "/v1/CALLBACK", {}),
    ]
    assert asyncio.run(statuses(calls)) == [404, 405, 400, 400, 200, 429]
