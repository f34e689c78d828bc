"""Outages of the GPU service: nothing is started into one, and what was started waits for another execution."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import storage

from pipeline import waiting
from pipeline.routing import regions
from tests.functions.batches.test_microbatches import Collect, collect, concluded, kinds, prepared, run, statuses
from tests.functions.batches.test_waiting import claim, notes, swept, upload
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, published

__all__ = ["collect"]  # a fixture

pytestmark = pytest.mark.usefixtures("check_documents", "deployed")

TABLE = "text,stars\nWhat a wonderful film,5\nA dull and endless film,1\n"
OUT = {"step": "predict", "status": 503, "code": "unavailable", "message": "No instance is available."}


@pytest.fixture
def deployed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_REGIONS", "us-central1")
    monkeypatch.setattr(regions, "PERIOD", 0.0)


def circuit(cloud: Cloud) -> dict[str, Any] | None:
    blob = cloud.work.get_blob("regions/us-central1.json")
    return None if blob is None else json.loads(blob.download_as_bytes())


def set_circuit(cloud: Cloud, state: str, seconds: float) -> None:
    """A circuit whose next input may try the region in so many seconds."""
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    content = {"state": state, "until": until, "pause": 30.0, "opened_by": "j"}
    cloud.work.blob("regions/us-central1.json").upload_from_string(json.dumps(content))


def uploaded(cloud: Cloud, function: Function, count: int = 1) -> list[storage.Blob]:
    return [upload(cloud, function, f"{number}.txt") for number in range(count)]


# --- what was started ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        OUT,
        OUT | {"code": "overloaded", "status": 429},
        *({"step": "predict", "status": None, "code": code, "message": "-"} for code in ("unreachable",)),
        *({"step": "predict", "status": status, "code": None, "message": "-"} for status in (429, 502, 503, 504)),
    ],
    ids=lambda error: f"{error['status']} {error['code']}",
)
def test_an_input_that_the_gpu_service_did_not_take_waits_for_another_execution(
    cloud: Cloud, function: Function, collect: Collect, error: dict[str, Any]
) -> None:
    (blob,) = uploaded(cloud, function)
    (execution,) = cloud.executions.created
    answer = concluded(function, execution, error=error)
    assert (answer["status"], answer["document"]) == ("waiting", None)
    assert (claim(cloud, blob)["state"], len(notes(cloud))) == ("waiting", 1)
    assert not cloud.documents()
    assert (circuit(cloud) is None) == (429 in (error["status"],))
    cloud.executions.end_all()
    set_circuit(cloud, "open", -1)
    assert collect()["executions"] == 1
    assert run(cloud, function, cloud.executions.created[-1])["status"] == "succeeded"
    assert (statuses(cloud), notes(cloud)) == ({"0.txt": "succeeded"}, [])
    assert circuit(cloud)["state"] == "closed"


@pytest.mark.parametrize(
    "error",
    [
        {"step": "predict", "status": 500, "code": "internal", "message": "It broke."},
        {"step": "predict", "status": 503, "code": "model_unavailable", "message": "It cannot be loaded."},
        {"step": "postprocess", "status": 503, "code": "unavailable", "message": "-"},
        {"step": "preprocess", "status": 503, "code": "unavailable", "message": "-"},
    ],
    ids=lambda error: error["code"],
)
def test_another_failure_ends_in_a_document(cloud: Cloud, function: Function, error: dict[str, Any]) -> None:
    uploaded(cloud, function)
    assert concluded(function, cloud.executions.created[0], error=error)["status"] == "failed"
    assert (statuses(cloud), circuit(cloud)) == ({"0.txt": "failed"}, None)


def test_what_cannot_share_an_execution_ends_in_a_document(cloud: Cloud, function: Function) -> None:
    upload(cloud, function, "a.csv", TABLE)
    (execution,) = cloud.executions.created
    answer = concluded(function, execution, batch=prepared(function, execution) | {"errors": [OUT]})
    assert answer["status"] == "failed"


def test_an_input_that_meets_outages_again_and_again_ends_in_a_document(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    uploaded(cloud, function)
    for _ in range(waiting.MAX_PUT_BACK):
        assert concluded(function, cloud.executions.created[-1], error=OUT)["status"] == "waiting"
        set_circuit(cloud, "open", -1)
        assert collect()["executions"] == 1
    assert concluded(function, cloud.executions.created[-1], error=OUT)["status"] == "failed"
    assert statuses(cloud) == {"0.txt": "failed"}


def test_a_repeated_call_puts_back_once_and_one_of_an_earlier_execution_changes_nothing(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    (blob,) = uploaded(cloud, function)
    (first,) = cloud.executions.created
    for _ in range(3):
        assert concluded(function, first, error=OUT)["status"] == "waiting"
    assert claim(cloud, blob)["argument"]["put_back"] == 1
    set_circuit(cloud, "open", -1)
    collect()
    assert concluded(function, first, error=OUT)["status"] == "waiting"
    assert (claim(cloud, blob)["state"], notes(cloud)) == ("started", [])
    run(cloud, function, cloud.executions.created[-1])
    assert concluded(function, first, error=OUT)["status"] == "succeeded"
    assert statuses(cloud) == {"0.txt": "succeeded"}


def test_all_members_of_a_micro_batch_wait_and_share_another(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_circuit(cloud, "open", 60)
    uploaded(cloud, function, 3)
    set_circuit(cloud, "closed", 0)
    collect()
    (execution,) = cloud.executions.created
    error = OUT | {"step": "predict_shards"}
    answer = concluded(function, execution, batch=prepared(function, execution) | {"errors": [error]})
    assert (answer["status"], answer["members"]) == ("waiting", {"waiting": 3})
    assert (len(notes(cloud)), circuit(cloud)["state"]) == (3, "open")
    set_circuit(cloud, "closed", 0)
    collect()
    assert kinds(cloud) == {"microbatch": 2}
    run(cloud, function, cloud.executions.created[-1])
    assert list(statuses(cloud).values()) == ["succeeded"] * 3


def test_a_replay_that_meets_an_outage_waits_while_the_failed_document_stands(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    uploaded(cloud, function)
    broken = {"step": "predict", "status": 500, "code": "internal", "message": "It broke."}
    concluded(function, cloud.executions.created[0], error=broken)
    cloud.executions.end_all()
    assert function("on_message").post("/", **published(b'{"replay": {}}')).status_code == 200
    assert concluded(function, cloud.executions.created[1], error=OUT)["status"] == "waiting"
    assert statuses(cloud) == {"0.txt": "failed"}
    set_circuit(cloud, "open", -1)
    collect()
    run(cloud, function, cloud.executions.created[2])
    assert statuses(cloud) == {"0.txt": "succeeded"}


# --- what is to be started -------------------------------------------------------------------------


def test_nothing_is_started_while_no_region_answers_and_then_one_input_tries(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    set_circuit(cloud, "open", 60)
    uploaded(cloud, function, 5)
    assert collect()["executions"] == 0
    assert (len(notes(cloud)), cloud.executions.created) == (5, [])
    set_circuit(cloud, "open", -1)
    assert collect()["executions"] == 1
    (trial,) = cloud.executions.arguments
    assert (trial["kind"], trial["probe"]) == ("text", 0)
    assert collect()["executions"] == 0
    run(cloud, function, cloud.executions.created[0])
    assert circuit(cloud)["state"] == "closed"
    assert collect()["executions"] == 1
    assert kinds(cloud) == {"text": 1, "microbatch": 1}


def test_a_trial_that_fails_leaves_the_others_waiting(cloud: Cloud, function: Function, collect: Collect) -> None:
    set_circuit(cloud, "open", 60)
    uploaded(cloud, function, 3)
    set_circuit(cloud, "open", -1)
    collect()
    concluded(function, cloud.executions.created[0], error=OUT)
    assert circuit(cloud)["pause"] == 60
    assert (collect()["executions"], len(notes(cloud))) == (0, 3)


def test_what_needs_an_execution_of_its_own_waits_for_a_sweep(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    set_circuit(cloud, "open", 60)
    blob = upload(cloud, function, "a.csv", TABLE)
    assert (claim(cloud, blob)["state"], cloud.executions.created) == ("waiting", [])
    assert swept(function, capsys) == {}
    set_circuit(cloud, "closed", 0)
    assert swept(function, capsys) == {"started": 1}


def test_a_series_needs_no_gpu(cloud: Cloud, function: Function) -> None:
    set_circuit(cloud, "open", 60)
    upload(cloud, function, "a.csv", "date,value\n" + "".join(f"2026-01-{day:02},{day}\n" for day in range(1, 29)))
    assert kinds(cloud) == {"timeseries": 1}


def test_a_sweep_leaves_what_is_overdue_to_the_collections_as_long_as_they_know_of_it(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    set_circuit(cloud, "open", 60)
    uploaded(cloud, function, 3)
    set_circuit(cloud, "closed", 0)
    assert swept(function, capsys) == {"waiting": 3}
    cloud.work.blob(notes(cloud)[0]).delete()
    assert swept(function, capsys) == {"waiting": 2, "started": 1}
