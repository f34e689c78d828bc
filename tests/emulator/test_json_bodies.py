"""Bodies that are JSON but unusable are refused with 400 by every API."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from emulator import json_bodies
from emulator.server import Emulator
from emulator.stack import loader

LOCATION = "projects/local-project/locations/us-central1"
TOPICS = "projects/local-project/topics"
STACK = """
buckets: {box: {}}
topics: [messages]
jobs: {job: {command: [python]}}
workflows: {flow: {source: flow.yaml}}
"""
FLOW = "main: {steps: [{a: {return: 1}}]}"
REQUESTS = [
    ("POST", "/storage/v1/b?project=p"),
    ("PATCH", "/storage/v1/b/box"),
    ("PUT", "/storage/v1/b/box/iam"),
    ("POST", "/storage/v1/b/box/notificationConfigs"),
    ("POST", "/storage/v1/b/box/o/x/compose"),
    ("POST", "/upload/storage/v1/b/box/o?uploadType=resumable&name=a"),
    ("POST", f"/v1/{LOCATION}/workflows?workflowId=other"),
    ("POST", f"/v1/{LOCATION}/workflows/flow/executions"),
    ("POST", f"/v1/{LOCATION}/workflows/flow:triggerPubsubExecution"),
    ("POST", f"/v1/{TOPICS}/messages:publish"),
    ("PUT", f"/v1/{TOPICS}/other"),
    ("POST", f"/v2/{LOCATION}/jobs/job:run"),
]


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


HALVES = ['"\\ud800"', '"\\uDFFF a"', '{"\\ud800": 1}']


@pytest.mark.parametrize("text", [nested(101), "[" * 200 + "]" * 200, *HALVES])
def test_unusable_values(text: str) -> None:
    with pytest.raises(json_bodies.UnusableError):
        json_bodies.decode(text.encode())


def test_text_that_cannot_be_parsed_is_not_json() -> None:
    for text in ("{", "", nested(100_000), "\xff"):
        with pytest.raises(ValueError, match=r"."):
            json_bodies.decode(text.encode("latin-1"))


def test_half_a_surrogate_pair_in_utf_8_is_unusable() -> None:
    with pytest.raises(json_bodies.UnusableError):
        json_bodies.decode(b'"\xed\xa0\x80"')


@pytest.mark.parametrize("value", [json.loads(nested(99)), "\U0001f600", "é", [1, {"a": None}], 1.5])
def test_usable_values(value: object) -> None:
    assert json_bodies.decode(json.dumps(value).encode()) == value
    assert json_bodies.decode(json.dumps(value, ensure_ascii=False).encode()) == value


def refusals(folder: Path, requests: list[tuple[str, str]], bodies: list[str]) -> list[tuple[int, str]]:
    (folder / "stack.yaml").write_text(STACK)
    (folder / "flow.yaml").write_text(FLOW)

    async def send() -> list[tuple[int, str]]:
        async with (
            Emulator(loader.load(folder / "stack.yaml"), services={}) as emulator,
            httpx.AsyncClient(base_url=f"http://{emulator.http}", timeout=60) as http,
        ):
            responses = [await http.request(method, path, content=body) for method, path in requests for body in bodies]
            return [(response.status_code, response.json()["error"]["message"]) for response in responses]

    return asyncio.run(send())


def test_every_api_refuses_them(tmp_path: Path) -> None:
    bodies = [nested(400), nested(100_000), '{"\\ud800": 1}', '{"labels": {"a": "\\ud800"}}']
    assert {status for status, _ in refusals(tmp_path, REQUESTS, bodies)} == {400}


@pytest.mark.parametrize(
    "source",
    [
        "[" * 3000 + "]" * 3000,
        nested(2000),
        "main: {steps: [{a: {return: %s}}]}" % ("[" * 3000 + "]" * 3000),
        "main: {steps: [{a: {return: '${%s}'}}]}" % ("(" * 3000 + "1" + ")" * 3000),
        "main: {steps: [{a: {return: '${%s1}'}}]}" % ("-" * 3000),
    ],
)
def test_a_deep_source_is_refused(tmp_path: Path, source: str) -> None:
    path = f"/v1/{LOCATION}/workflows?workflowId=deep"
    (tmp_path / "stack.yaml").write_text("{}")

    async def deploy() -> None:
        async with (
            Emulator(loader.load(tmp_path / "stack.yaml"), services={}) as emulator,
            httpx.AsyncClient(base_url=f"http://{emulator.http}", timeout=60) as http,
        ):
            operation = (await http.post(path, json={"sourceContents": source})).json()
            assert operation["error"]["code"] == 3
            assert (await http.get(f"/v1/{LOCATION}/workflows")).json() == {"workflows": []}

    asyncio.run(deploy())
