"""The tables in docs/operations.md, row by row: redeliveries, retries and outcomes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pipeline import intake
from postprocessing.failures import CALLER_FAULTS
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, event, finalized
from tests.workflow.test_workflow import PREDICTION, PREPARED, Hasty, Services, execute

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."
PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
EVENTS = {row[0]: (int(row[1]), row[2]) for row in ROWS if re.fullmatch(r"\d{3}", row[1])}
RETRIES = {"no": 0, "yes": 6, "for a day": 145 * 6 + 144}  # with the defaults of MAX_RETRIES and CAPACITY_RETRIES
CALLS = {row[0]: (row[1], row[2].strip("`")) for row in ROWS if row[1] in RETRIES}


def started(cloud: Cloud, function: Function, _: pytest.MonkeyPatch) -> int:
    return function("on_upload").post("/", **finalized(cloud.upload("a.txt", TEXT))).status_code


def rejected(cloud: Cloud, function: Function, _: pytest.MonkeyPatch) -> int:
    return function("on_upload").post("/", **finalized(cloud.upload("a.txt", b""))).status_code


def repeated(cloud: Cloud, function: Function, _: pytest.MonkeyPatch) -> int:
    client, request = function("on_upload"), finalized(cloud.upload("a.txt", TEXT))
    client.post("/", **request)
    return client.post("/", **request).status_code


def idle(cloud: Cloud, function: Function, _: pytest.MonkeyPatch) -> int:
    recorded = event("object_deleted")
    stamped = finalized(cloud.upload("a.txt", TEXT, metadata={"pipeline-job": "0" * 32}))
    client = function("on_upload")
    requests = [{"headers": recorded["headers"], "json": recorded["body"]}, stamped, finalized(cloud.upload("a/", b""))]
    (code,) = {client.post("/", **request).status_code for request in requests}
    return code


def second_of_two(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, content: str) -> int:
    """The status for an input that finds no execution left."""
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1")
    client = function("on_upload")
    client.post("/", **finalized(cloud.upload("a", content)))
    return client.post("/", **finalized(cloud.upload("b", content))).status_code


def throttled(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> int:
    return second_of_two(cloud, function, monkeypatch, "text,stars\nA fine film,5\nA dull film,1\n")


def shared(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> int:
    return second_of_two(cloud, function, monkeypatch, TEXT)


def malformed(cloud: Cloud, function: Function, _: pytest.MonkeyPatch) -> int:
    client = function("on_upload")
    foreign = finalized(cloud.upload("a.txt", TEXT), bucket="another")
    codes = {client.post("/", **foreign).status_code, client.post("/", json={}).status_code}
    (code,) = codes
    return code


def claimed(cloud: Cloud, function: Function, _: pytest.MonkeyPatch) -> int:
    blob = cloud.upload("a.txt", TEXT)
    cloud.claim_upload(blob)
    return function("on_upload").post("/", **finalized(blob)).status_code


def unavailable(cloud: Cloud, function: Function, _: pytest.MonkeyPatch) -> int:
    blob = cloud.upload("a.txt", TEXT)
    cloud.fault("GET", "a.txt", status=403)
    return function("on_upload").post("/", **finalized(blob)).status_code


def defect(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> int:
    def divide(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(intake, "upload", divide)
    return function("on_upload").post("/", **finalized(cloud.upload("a.txt", TEXT))).status_code


SITUATIONS: dict[str, Callable[[Cloud, Function, pytest.MonkeyPatch], int]] = {
    "started an execution": started,
    "was rejected": rejected,
    "repeats an accepted event": repeated,
    "requires no work (own output, a folder, another change)": idle,
    "was throttled": throttled,
    "found no execution left, but can share one (a text, an image)": shared,
    "does not identify an input, or is not a CloudEvent": malformed,
    "another handler is processing": claimed,
    "hit a failing Google API": unavailable,
    "hit a defect": defect,
}


def test_every_row_of_the_tables_is_tested() -> None:
    assert set(EVENTS) == set(SITUATIONS)
    statuses = {answer.partition(" ")[0] for answer in CALLS}
    assert statuses == {"422", "404", "400", "413", "405", "408", "429", "500", "502", "503", "504", "nothing"}


def test_every_code_that_blames_the_pipeline_is_named() -> None:
    assert [code for code in CALLER_FAULTS if f"`{code}`" not in PAGE] == []


@pytest.mark.parametrize("situation", EVENTS)
def test_an_event_is_answered_as_the_table_says(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, situation: str
) -> None:
    status, then = EVENTS[situation]
    assert SITUATIONS[situation](cloud, function, monkeypatch) == status
    assert then.startswith("is done" if status == 200 else "is redelivered")


HANGS_UP = 599


class Silent(Services):
    """Services of which one closes connections as often as its script says."""

    async def answer(self, request: web.Request) -> web.Response:
        answered = await super().answer(request)
        if answered.status == HANGS_UP and request.transport:
            request.transport.abort()
        return answered


@pytest.mark.parametrize("answer", CALLS)
def test_a_call_is_retried_and_concluded_as_the_table_says(cloud: Cloud, function: Function, answer: str) -> None:
    again, document = CALLS[answer]
    status, _, code = answer.replace("`", "").partition(" ")
    body = {"error": {"code": code, "message": "m"}} if code else ""
    refused = (HANGS_UP if answer == "nothing" else int(status), body)
    clock = Hasty()
    services = Silent(preprocess=[(200, PREPARED)], predict=[refused])
    execute(services, clock)
    assert len(clock.waits) == RETRIES[again]
    concluded = services.concluded
    concluded["argument"]["input"]["bucket"] = cloud.input.name
    written = function("postprocess").post("/", json=concluded)
    assert written.json is not None
    assert written.json["status"] == document
    if RETRIES[again]:
        recovering = Silent(preprocess=[(200, PREPARED)], predict=[refused, (200, PREDICTION)])
        assert execute(recovering, Hasty()).state == "SUCCEEDED"
