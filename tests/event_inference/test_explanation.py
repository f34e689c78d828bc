"""The question which model a file would go to: what is sent, and what the answer says in words."""

import base64
import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from event_inference import explanation
from event_inference.errors import InputError, WaitTimeoutError
from messaging import explain as reader
from tests.event_inference.conftest import Emulated

ANSWER: dict[str, Any] = {
    "kind": "text",
    "content_type": "text/plain",
    "model": {"name": "sentiment", "version": None},
    "routing": {"chosen_by": "rule", "rule": "short"},
    "traffic": None,
    "rules": [
        {"name": "images", "model": "digits", "mismatch": "the kind is text"},
        {"name": "short", "model": "sentiment", "mismatch": None},
    ],
    "notes": ["traffic.json is not valid."],
}
SPLIT = {"stable": "1", "candidate": "2", "share": 0.1, "mode": "split", "experiment": "e"}


def test_the_question_is_one_that_the_pipeline_takes(laptop: Emulated, tmp_path: Path):
    path = tmp_path / "film.csv.gz"
    path.write_bytes(gzip.compress(b"id,review\n1,A film\n"))
    with pytest.raises(WaitTimeoutError, match=r"no answer after 0 s"):
        explanation.explain(laptop.client.connection, path, name="in/film.csv.gz", metadata={"top_k": "1"}, timeout=0)
    (order,) = laptop.orders()
    question = reader.parse(order["explain"])
    assert (question.name, question.head, question.size) == ("in/film.csv.gz", path.read_bytes(), path.stat().st_size)
    assert (question.content_type, question.metadata) == ("text/csv", {"top_k": "1"})


def test_of_a_large_file_only_the_beginning_is_sent(laptop: Emulated, tmp_path: Path):
    path = tmp_path / "film.txt"
    path.write_bytes(b"film " * 100_000)
    with pytest.raises(WaitTimeoutError):
        explanation.explain(laptop.client.connection, path, timeout=0)
    (order,) = laptop.orders()
    assert (order["explain"]["size"], len(base64.b64decode(order["explain"]["head"]))) == (500_000, 64 * 1024)


def test_the_answer_is_read_where_the_pipeline_writes_it(laptop: Emulated, tmp_path: Path):
    path = tmp_path / "film.txt"
    path.write_text("A film.")
    assert _answered(laptop, path, ANSWER) == ANSWER


def test_a_file_of_labels_is_told_the_name_that_it_needs(laptop: Emulated, tmp_path: Path):
    path = tmp_path / "labels" / "may.csv"
    path.parent.mkdir()
    path.write_text("name,label,source\n")
    table = {**ANSWER, "kind": "table", "notes": []}
    (note,) = _answered(laptop, path, table)["notes"]
    assert note == "With the name labels/may.csv (--name) it would be a file of labels."
    assert _answered(laptop, path, table, name="may.csv")["notes"] == []
    rejected = {"kind": None, "rejected": {"code": "no_usable_column", "message": "There is no column."}}
    assert explanation.sentences(_answered(laptop, path, rejected)) == [
        "It would be rejected (no_usable_column): There is no column.", f"note: {note}",
    ]  # fmt: skip


def _answered(laptop: Emulated, path: Path, content: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """What `explain` makes of an answer of the pipeline."""

    def answer() -> None:
        subscription = f"projects/{laptop.target.project}/subscriptions/orders"
        request = {"subscription": subscription, "max_messages": 1}
        (received,) = laptop.client.connection.subscriber.pull(request=request, timeout=30).received_messages
        laptop.write(f"{reader.FOLDER}{received.message.message_id}.json", json.dumps(content))
        acknowledged = {"subscription": subscription, "ack_ids": [received.ack_id]}
        laptop.client.connection.subscriber.acknowledge(request=acknowledged, timeout=30)

    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(answer)
        explained = explanation.explain(laptop.client.connection, path, name=name)
        answering.result()
    return explained


def test_a_file_that_cannot_be_read_is_refused(laptop: Emulated, tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        explanation.explain(laptop.client.connection, tmp_path)


@pytest.mark.parametrize(
    ("change", "model", "version"),
    [
        ({}, "sentiment (by rule short)", "the default one"),
        ({"routing": {"chosen_by": "requested"}, "rules": []}, "sentiment (requested)", "the default one"),
        ({"model": None, "routing": {"chosen_by": "default"}}, "the default one", "the default one"),
        (
            {"kind": "records", "model": None, "routing": {"chosen_by": "default"}},
            "the default one of what its records hold", "the default one",
        ),
        ({"traffic": SPLIT}, "sentiment (by rule short)", "2 for 0.1 of the inputs, else 1 (experiment e)"),
        (
            {"traffic": SPLIT | {"mode": "shadow"}}, "sentiment (by rule short)",
            "1 (stable); 0.1 of the inputs are shown to 2",
        ),
        ({"traffic": SPLIT | {"mode": "frozen"}}, "sentiment (by rule short)", "1 (stable)"),
        ({"traffic": SPLIT | {"candidate": None}}, "sentiment (by rule short)", "1 (stable)"),
        (
            {"model": {"name": "sentiment", "version": "9"}, "traffic": SPLIT,
             "routing": {"chosen_by": "requested", "version_by": "requested"}},
            "sentiment (requested)", "9 (requested)",
        ),
    ],
)  # fmt: skip
def test_the_answer_in_words(change: dict[str, Any], model: str, version: str):
    answer = ANSWER | change
    assert explanation.sentences(answer) == [
        f"kind: {answer['kind']}",
        f"model: {model}",
        f"version: {version}",
        *(f"rule {rule['name']}: {rule['mismatch'] or 'matches'}" for rule in answer["rules"]),
        "note: traffic.json is not valid.",
    ]


def test_a_rejection_and_a_series_in_words():
    rejected = {"kind": None, "rejected": {"code": "empty", "message": "The input is empty."}}
    assert explanation.sentences(rejected) == ["It would be rejected (empty): The input is empty."]
    labels = {"kind": "labels", "notes": []}
    assert explanation.sentences(labels) == ["kind: labels", "Its labels would be kept; no model is chosen for it."]
    assert (
        explanation.sentences({**ANSWER, "kind": "timeseries"})[1] == "It would be forecast; no model is chosen for it."
    )
