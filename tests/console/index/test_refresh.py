"""The index is like the buckets after every refresh, whatever has changed in between."""

import json
from typing import Any

from console.index.refresh import Refresher
from console.index.store import Index
from event_inference import names
from tests.console.conftest import Opened


def states(index: Index) -> dict[str, str]:
    return {row["document"]: row["state"] for row in index.rows("SELECT document, state FROM inputs")}


def test_an_upload_waits_until_its_document_is_there(console: Opened) -> None:
    generation = console.upload("texts/a.txt", b"Good.")
    document = f"texts/a.txt/{generation}"
    console.refresher.refresh()
    assert states(console.index) == {document: "waiting"}
    console.laptop.document("results", "texts/a.txt", generation)
    console.refresher.refresh()
    row = console.index.input(document)
    assert row is not None
    assert (row["state"], row["label"], row["confidence"], row["usd"], row["kind"], row["size"]) == (
        "succeeded", "POSITIVE", 0.99, 0.0003, "text", 1,
    )  # fmt: skip
    assert round(row["latency"], 3) == 2


def test_the_end_of_the_first_pass_over_empty_buckets_is_a_change(console: Opened) -> None:
    before = console.index.version
    assert "Reading the buckets" in console.get("/").text
    console.refresher.refresh()
    assert console.index.version > before  # else pages that follow changes would show a spinner for ever
    assert "No inputs yet" in console.get("/").text


def test_a_replay_moves_an_input_between_folders(console: Opened) -> None:
    generation = console.upload("a.txt", b"Good.")
    console.laptop.document("failed", "a.txt", generation)
    console.refresher.refresh()
    output = console.laptop.client.connection.output
    output.blob(f"failed/a.txt/{generation}.json").delete()
    console.refresher.refresh()
    assert set(states(console.index).values()) == {"waiting"}
    console.laptop.document("results", "a.txt", generation)
    console.refresher.refresh()
    assert states(console.index) == {f"a.txt/{generation}": "succeeded"}


def test_a_document_that_is_written_again_is_read_again(console: Opened) -> None:
    console.laptop.document("results", "a.txt", 1)
    console.refresher.refresh()
    console.laptop.document(
        "results", "a.txt", 1, status="partial", data={"records": 3, "failed": 1, "uri": "gs://b/c"}
    )
    console.refresher.refresh()
    assert states(console.index) == {"a.txt/1": "partial"}


def test_deleted_objects_and_older_generations_are_forgotten(console: Opened) -> None:
    console.upload("a.txt", b"1")
    newest = console.upload("a.txt", b"2")
    console.upload("z.txt", b"3")
    console.refresher.refresh()
    console.laptop.client.connection.input.blob("z.txt").delete()
    console.refresher.refresh()
    assert states(console.index) == {f"a.txt/{newest}": "waiting"}


def test_sidecars_and_folders_are_no_inputs(console: Opened) -> None:
    for name in ("a.txt.parameters.json", "folder/"):
        console.upload(name, b"{}")
    console.refresher.refresh()
    assert states(console.index) == {}


def test_pages_of_a_listing_meet_without_loss(console: Opened) -> None:
    """Names whose order differs with and without the documents' ending, over pages of two."""
    refresher = Refresher(console.laptop.client, console.index, page_size=2)
    wanted = ["a", "a-1", "a.b", "a/b", "a0", "é", "b", "\U0001f600", "b.json", "B"]
    for name in wanted:
        console.laptop.document("results", name, 7)
    console.laptop.write("results/a/7.csv", "label")
    refresher.refresh()
    before = console.index.version
    assert set(states(console.index)) == {f"{name}/7" for name in wanted}
    assert set(states(console.index).values()) == {"succeeded"}
    refresher.refresh()
    assert console.index.version == before  # nothing has changed, so nothing is read or written


def test_new_inputs_are_asked_for_between_two_listings(console: Opened) -> None:
    generation = console.upload("a.txt", b"Good.")
    console.refresher.refresh()
    console.laptop.document("rejected", "a.txt", generation)
    console.refresher._ask_for_new(10)
    assert states(console.index) == {f"a.txt/{generation}": "rejected"}
    before = console.index.version
    console.refresher.refresh()
    row = console.index.input(f"a.txt/{generation}")
    assert row is not None
    assert row["object_generation"] > 0
    assert row["message"] == "The input is empty."
    assert console.index.version == before + 1  # it was not read a second time


def test_running_executions_are_told_from_waiting_inputs(console: Opened) -> None:
    generation = console.upload("a.txt", b"Good.")
    console.laptop.execution(names.job("local-input", "a.txt", generation))
    console.refresher.refresh()
    assert states(console.index) == {f"a.txt/{generation}": "running"}


def test_labels_are_indexed(console: Opened) -> None:
    label: dict[str, Any] = {"job": "1", "label": "NEGATIVE", "source": "annotation"}
    console.laptop.write("labels/1.json", json.dumps(label))
    console.refresher.refresh()
    assert console.index.rows("SELECT job, label, source FROM labels") == [label]
