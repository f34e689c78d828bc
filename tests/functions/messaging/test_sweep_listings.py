"""A sweep finds the uploads that have their document by listing documents, not by asking for each."""

from typing import Any

import pytest

from messaging import settled
from pipeline.jobs import job
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function
from tests.functions.messaging.test_sweep import NOTHING, TEXT, swept


def finish(cloud: Cloud, blob: Any, folder: str = "results") -> None:
    """Writes a document as a job that ended long ago has it, without claim and outcome."""
    cloud.output.blob(f"{folder}/{job.document_of_object(blob.name, blob.generation)}.json").upload_from_string("{}")


NAMES = ["a", "a-b", "a/1.txt", "a/1.txt.bak", "a0", "ä/ö.txt", "x~y", "long/" + "n" * 1010, "results/a.txt", "🎉.txt"]


@pytest.mark.parametrize("unfinished", NAMES)
def test_the_input_without_a_document_is_found_among_those_with_one(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], unfinished: str
) -> None:
    for number, name in enumerate(NAMES):
        blob = cloud.upload(name, TEXT)
        if name != unfinished:
            finish(cloud, blob, ("results", "rejected", "failed")[number % 3])
    assert swept(function, capsys) == NOTHING | {"started": 1}
    (argument,) = cloud.executions.arguments
    assert argument["input"]["name"] == unfinished


def test_finished_inputs_are_found_by_listings(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        finish(cloud, cloud.upload(f"{number}.txt", TEXT))
    cloud.faulty.requests.clear()
    assert swept(function, capsys) == NOTHING
    assert len(cloud.faulty.requests) == 6, "three parts, and the three folders of documents"


def test_a_range_full_of_other_documents_is_not_read_to_its_end(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.txt", "z.txt"):
        finish(cloud, cloud.upload(name, TEXT))
    lost = cloud.upload("y.txt", TEXT)
    for number in range(settled.NAMES_PER_UPLOAD * 3):
        cloud.output.blob(f"results/m/{number}.txt/1.json").upload_from_string("{}")
    assert swept(function, capsys) == NOTHING | {"started": 1}
    assert cloud.executions.arguments[0]["input"]["name"] == lost.name
