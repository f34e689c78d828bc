"""A job's identity, its document's name, and the workflow's argument."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedError, RejectedError
from pipeline.jobs import executions, job
from pipeline.jobs.job import Input, Job

SOURCE = Input("in", "a.txt", 17, 5, "text/plain")
JOB = Job(job.of_object("in", "a.txt", 17), "a.txt/17", "1", "2026-01-01T00:00:00Z", SOURCE, "text")


def test_the_identity_is_the_documented_digest() -> None:
    import hashlib

    assert job.of_object("b", "n/ü", 7) == hashlib.sha256("b/n/ü#7".encode()).hexdigest()[:32]
    assert job.of_message("t", "9") == hashlib.sha256(b"t/9").hexdigest()[:32]
    assert job.of_manifest("m") == hashlib.sha256(b"m").hexdigest()[:32]


@given(
    st.text(min_size=1, max_size=1024).filter(lambda name: len(name.encode("utf-8", "ignore")) <= 1024),
    st.integers(1, 2**63),
)
def test_a_document_s_name_always_fits_and_keeps_its_generation(name: str, generation: int) -> None:
    name = name.encode("utf-8", "ignore").decode()
    document = job.document_of_object(name, generation)
    assert document.endswith(f"/{generation}")
    assert len(f"rejected/{document}.jsonl".encode()) <= 1024
    if len(name.encode()) < 900:
        assert document == f"{name}/{generation}"


def test_long_names_stay_apart() -> None:
    names = ["é" * 511 + end for end in "ab"]
    assert len({job.document_of_object(name, 1) for name in names}) == 2


def test_a_name_that_ends_like_a_shortened_one_stays_apart_from_it() -> None:
    shortened = job.fit("a" * 1024)
    names = ["a" * 1024, shortened, job.fit(shortened)]
    assert len({job.fit(name) for name in names}) == 3


def test_the_argument_round_trips_through_the_workflow() -> None:
    assert Job.parse(json.loads(executions.encode(JOB))) == JOB
    assert Job.parse({**JOB.argument(), "trace": ""}) == JOB  # what the workflow makes of a missing one


@pytest.mark.parametrize("value", ["7", 7])
def test_int64_is_a_number_or_a_string(value: object) -> None:
    assert job.int64(value, "size") == 7


@pytest.mark.parametrize("value", [None, True, -1, 1.0, "", "-1", "٣", "1e3", "9" * 20, "9" * 19, 1 << 63, [], "0x1"])
def test_other_values_are_not_an_int64(value: object) -> None:
    with pytest.raises(MalformedError):
        job.int64(value, "size")


def test_an_argument_stays_below_the_service_s_limit() -> None:
    from dataclasses import replace

    from pipeline.inputs.parameters import PARAMETERS, check

    longest = {
        "model": "m" * 128,
        "version": "v" * 128,
        **{name: "\U0001f600" * 256 for name in PARAMETERS if name.endswith("_column")},
        "date_format": "\U0001f600" * 64,
    }
    model, parameters = check(longest)
    source = Input("b" * 63, "\U0001f600" * 256, 2**62, 2**40, "x" * 1024)
    document = job.document_of_object(source.name, source.generation)
    largest = replace(JOB, input=source, document=document, model=model, parameters=parameters, event_id="e" * 1024)
    assert len(executions.encode(largest).encode()) < executions.MAX_ARGUMENT / 2
    with pytest.raises(RejectedError, match="invalid_parameters"):
        executions.encode(replace(JOB, parameters={"x": "y" * executions.MAX_ARGUMENT}))
