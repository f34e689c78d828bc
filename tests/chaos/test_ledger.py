"""The ledger notices each kind of wrong document."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.chaos.inputs import Sent
from tests.chaos.ledger import Ledger
from tests.functions.cloud import serving_storage

EXPECTED = {"status": "succeeded", "predictions.0.label": "POSITIVE"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[storage.Client]:
    with serving_storage() as (host, _):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        client = storage.Client(project="local-project", credentials=AnonymousCredentials())
        client.create_bucket("local-output")
        yield client


@pytest.fixture
def ledger(client: storage.Client) -> Ledger:
    """Of an object that was overwritten once: the first generation is gone, the second has its document."""
    ledger = Ledger(client)
    ledger.uploaded(Sent("a.txt", b"", EXPECTED, may_vanish=True), 1)
    ledger.uploaded(Sent("a.txt", b"", EXPECTED), 2)
    write(client, "rejected/a.txt/1.json", rejection("1"))
    write(client, "results/a.txt/2.json", result("2"))
    write(client, "latest/a.txt.json", result("2"))
    return ledger


def result(generation: str, label: str = "POSITIVE") -> dict[str, Any]:
    source = {"name": "a.txt", "generation": generation}
    return {"status": "succeeded", "input": source, "predictions": [{"label": label}], "lineage": {}}


def rejection(generation: str) -> dict[str, Any]:
    reason = {"code": "input_gone"}
    return {"status": "rejected", "input": {"name": "a.txt", "generation": generation}, "reason": reason, "lineage": {}}


def write(client: storage.Client, name: str, content: dict[str, Any]) -> None:
    client.bucket("local-output").blob(name).upload_from_string(json.dumps(content))


def test_documents_as_they_should_be(ledger: Ledger):
    assert ledger.audit().problems == {}


def test_a_missing_document(ledger: Ledger):
    ledger.forged("a.txt", 3)
    assert ledger.audit().problems == {"missing": ["a.txt/3"]}


def test_two_documents(ledger: Ledger, client: storage.Client):
    write(client, "results/a.txt/1.json", result("1"))
    assert ledger.audit().double == {"a.txt/1": ["results/a.txt/1.json", "rejected/a.txt/1.json"]}


@pytest.mark.parametrize("content", [result("2", "NEGATIVE"), result("1"), rejection("2")])
def test_a_wrong_document(ledger: Ledger, client: storage.Client, content: dict[str, Any]):
    write(client, "results/a.txt/2.json", content)
    write(client, "latest/a.txt.json", content)
    assert ledger.audit().problems.keys() == {"wrong"}


def test_a_document_of_a_generation_that_was_never_announced(ledger: Ledger, client: storage.Client):
    write(client, "rejected/a.txt/3.json", rejection("3"))
    assert ledger.audit().problems == {"unexpected": ["a.txt/3"]}


def test_an_older_generation_in_latest(ledger: Ledger, client: storage.Client):
    write(client, "latest/a.txt.json", result("1"))
    assert ledger.audit().problems == {"latest": {"a.txt": "is not results/a.txt/2.json"}}


def test_a_forged_generation_whose_delivery_failed_does_not_count_in_latest(ledger: Ledger, client: storage.Client):
    """Its dead letter had a failed document, which a replay has replaced."""
    ledger.forged("a.txt", 3)
    write(client, "rejected/a.txt/3.json", rejection("3") | {"attempts": [{"execution": None}]})
    assert ledger.audit().problems == {}
    write(client, "latest/a.txt.json", rejection("3"))
    assert ledger.audit().problems.keys() == {"latest"}


def test_a_generation_that_an_execution_had_read_counts_in_latest(ledger: Ledger, client: storage.Client):
    ledger.uploaded(Sent("a.txt", b"", EXPECTED, may_vanish=True), 3)
    ledger.deleted("a.txt")
    write(client, "rejected/a.txt/3.json", rejection("3") | {"attempts": [{"execution": "executions/1"}]})
    assert ledger.audit().problems == {"latest": {"a.txt": "is not rejected/a.txt/3.json"}}


@pytest.mark.parametrize("generation", ["2", "3"])
def test_a_generation_that_vanished_after_its_failed_delivery_may_count_in_latest(
    ledger: Ledger, client: storage.Client, generation: str
):
    ledger.uploaded(Sent("a.txt", b"", EXPECTED, may_vanish=True), 3)
    ledger.deleted("a.txt")
    gone = rejection("3") | {"attempts": [{"execution": None}]}
    write(client, "rejected/a.txt/3.json", gone)
    write(client, "latest/a.txt.json", gone if generation == "3" else result("2"))
    assert ledger.audit().problems == {}


@pytest.mark.parametrize("topic", ["messages", "dead-letters"])
def test_an_order_that_ended_as_a_dead_letter(ledger: Ledger, client: storage.Client, topic: str):
    write(client, f"failed/messages/{topic}/id-1.json", {"status": "failed", "input": {}, "lineage": {}})
    audit = ledger.audit()
    assert (audit.problems, audit.orders) == ({}, [f"messages/{topic}/id-1"])
