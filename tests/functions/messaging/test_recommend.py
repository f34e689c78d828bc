"""Recommendations: measured on the week's outcomes, written as a document, true once they are applied."""

import json
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from event_inference.cost import daily, recommendations
from event_inference.cost.prices import published as prices
from messaging import recommend as recommend_module
from tests.functions import gpu
from tests.functions.batches.test_microbatches import concluded, run
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
INPUTS = 20


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer inputs than recommendations need otherwise, for speed."""
    monkeypatch.setattr(recommendations, "ENOUGH", INPUTS)


@pytest.fixture(autouse=True)
def region(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose prices are known."""
    monkeypatch.setenv("WORKFLOW", "projects/p/locations/us-central1/workflows/inference")


def order(function: Function, body: Any = None) -> None:
    data = json.dumps({"recommend": {} if body is None else body}).encode()
    assert function("on_message").post("/", **published(data)).status_code == 200


def recommended(cloud: Cloud, function: Function) -> dict[str, Any]:
    order(function)
    (content,) = cloud.documents("recommendations").values()
    return content


def upload_many(cloud: Cloud, function: Function, folder: str, age: timedelta = timedelta()) -> None:
    client = function("on_upload")
    created = (datetime.now(UTC) - age).isoformat()
    for number in range(INPUTS):
        blob = cloud.upload(f"{folder}/{number}.txt", f"I liked it {number} times.")
        assert client.post("/", **finalized(blob, timeCreated=created)).status_code == 200


def conclude_all(cloud: Cloud, function: Function) -> None:
    """Ends the executions as the workflow would: small texts take the fast path, micro-batches do not."""
    for execution in cloud.executions.created:
        argument = json.loads(execution.argument)
        if argument["kind"] == "microbatch":
            run(cloud, function, execution)
            continue
        prediction = {
            "predictions": [gpu.judge(instance) for instance in argument["prepared"]["instances"]],
            "model": gpu.MODEL,
            "parameters": gpu.DEFAULTS,
            "device": "cuda:0",
            "timing": {"queue_ms": 1.0, "inference_ms": 5.0, "gpu_seconds": 0.005},
        }
        lineage = {"execution": execution.name.rpartition("/")[2], "started_at": "2026-01-01T00:00:01Z"}
        concluded(function, execution, prediction=prediction, lineage=lineage)


def steps_usd(cloud: Cloud, folder: str) -> float:
    """What the workflow's steps cost of an input, on average, by the documents."""
    documents = [each for each in cloud.documents().values() if each["input"]["name"].startswith(folder)]
    assert len(documents) == INPUTS
    return statistics.fmean(each["cost"]["total"]["parts"]["workflow_steps"] for each in documents)


@pytest.mark.release
def test_a_recommendation_that_is_applied_changes_what_it_said(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_many(cloud, function, "before")
    conclude_all(cloud, function)
    content = recommended(cloud, function)
    change = next(each for each in content["recommendations"] if each["name"] == "collected-inputs")
    assignments = dict(word.split("=") for word in change["action"].split() if "=" in word)
    assert assignments == {"MAX_WAIT": "1h", "MIN_INSTANCES": "0"}

    for name, value in assignments.items():
        monkeypatch.setenv(name, value)
    cloud.executions.created.clear()
    upload_many(cloud, function, "after", age=timedelta(seconds=3590))
    assert not cloud.executions.created
    assert function("on_message").post("/", **published(b'{"collect": {}}', "2")).status_code == 200
    conclude_all(cloud, function)

    per_input = content["measured"]["inputs_per_month"]
    said = {when: usd / per_input for when, usd in change["lines"]["workflow_steps"].items()}
    assert steps_usd(cloud, "before") == pytest.approx(said["before"], rel=0.15)  # less what is free
    assert steps_usd(cloud, "after") == pytest.approx(said["after"], rel=0.25)
    assert steps_usd(cloud, "after") < steps_usd(cloud, "before") / 2


def test_the_document_has_the_arithmetic(cloud: Cloud, function: Function) -> None:
    upload_many(cloud, function, "in")
    conclude_all(cloud, function)
    content = recommended(cloud, function)
    assert (content["schema"], content["missing"]) == ("recommendations/v1", [])
    assert content["date"] == datetime.now(UTC).date().isoformat()
    assert content["measured"]["documents"] == INPUTS
    assert content["measured"]["inputs_per_month"] == pytest.approx(INPUTS * 730, rel=0.01)  # in an hour
    assert content["settings"]["region"] == "us-central1"  # of the workflow's resource name
    for each in content["recommendations"]:
        assert each["saves_usd_per_month"] == pytest.approx(
            sum(line["before"] - line["after"] for line in each["lines"].values()), abs=0.05
        )
        assert each["action"]
        assert each["reason"]


def test_without_enough_inputs_it_says_what_is_missing(cloud: Cloud, function: Function) -> None:
    content = recommended(cloud, function)
    assert content["recommendations"] == []
    assert content["missing"] == ["20 inputs: 0 have been measured"]
    order(function)
    assert len(cloud.documents("recommendations")) == 1, "the day's document is written anew"


@pytest.mark.release
def test_many_outcomes_are_sampled(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_many(cloud, function, "in")
    conclude_all(cloud, function)
    monkeypatch.setattr(recommend_module, "SAMPLE", 12)
    content = recommended(cloud, function)
    measured = content["measured"]
    assert measured["documents"] == 12
    assert measured["share"] == pytest.approx(0.6, abs=0.4)
    assert measured["inputs_per_month"] == pytest.approx(12 / measured["share"] * 730, rel=0.02)


def test_micro_batches_are_not_recommended_to_those_who_have_them() -> None:
    cost = {"device": {"seconds": 0.001}, "total": {"parts": {"workflow_steps": 2e-6}}}
    documents = [{"kind": "text", "cost": cost, "timing": {"queue_ms": None, "inference_ms": 1.0}}] * INPUTS
    until = datetime(2026, 1, 8, tzinfo=UTC)
    content = daily.document(
        documents,
        since=until - timedelta(minutes=60),
        until=until,
        share=1.0,
        settings=daily.Settings(),
        job_threshold=100_000,
        prices=prices(),
    )
    assert content["settings"]["max_wait"] == 60
    assert not {"micro-batches", "collected-inputs"} & {each["name"] for each in content["recommendations"]}


def test_prices_that_no_source_states_make_a_band_with_reasons(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKFLOW", "projects/p/locations/mars-north1/workflows/inference")
    bill = recommended(cloud, function)["bill"]
    assert bill["usd"] == bill["band"]["low"] < bill["band"]["high"]
    assert "no source states the price of function_cpu in mars-north1" in " ".join(bill["band"]["reasons"])


@pytest.mark.parametrize("body", [7, {"prefix": "a"}, [], "x"], ids=str)
def test_an_invalid_order_is_rejected(cloud: Cloud, function: Function, body: Any) -> None:
    order(function, body)
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"
