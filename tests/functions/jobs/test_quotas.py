"""The cap of executions per hour: counted, never exceeded, and picked up by the sweep when the hour is over."""

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from pipeline.errors import ThrottledError
from pipeline.jobs.quotas import Quota
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published
from tests.functions.test_on_message import png

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."
TABLE = "text,stars\nWhat a wonderful film,5\nA dull and endless film,1\n"
PNG = base64.b64decode(png())
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def starts(quota: Quota) -> bool:
    """Whether the quota lets one more execution start."""
    try:
        with quota.counted((PermissionError,)):
            return True
    except ThrottledError:
        return False


def test_an_hour_has_as_many_executions_as_the_cap(cloud: Cloud, clock: Clock) -> None:
    quotas = [Quota(cloud.work, 3, clock) for _ in range(2)]  # of two instances
    assert [starts(quota) for quota in (*quotas, *quotas)] == [True, True, True, False]
    clock.now += timedelta(hours=1)
    assert starts(quotas[0])


def test_each_hour_meets_the_cap_anew(cloud: Cloud, clock: Clock) -> None:
    quota = Quota(cloud.work, 2, clock)
    for _ in range(3):
        assert [starts(quota) for _ in range(3)] == [True, True, False]
        clock.now += timedelta(hours=1)


def test_what_an_instance_has_left_of_an_hour_is_lost_with_it(cloud: Cloud, clock: Clock) -> None:
    quotas = [Quota(cloud.work, 250, clock) for _ in range(2)]  # in blocks of two
    assert all(starts(quota) for quota in quotas)
    clock.now += timedelta(minutes=59)
    assert all(starts(quota) for quota in quotas)
    clock.now += timedelta(minutes=1)
    taken = [starts(quota) for _ in range(130) for quota in quotas]
    assert taken.count(True) == 250


def test_an_hour_is_one_on_the_clock_of_one_day(cloud: Cloud, clock: Clock) -> None:
    def takes() -> bool:
        return starts(Quota(cloud.work, 1, clock))

    assert takes()
    clock.now += timedelta(minutes=59, seconds=59)
    assert not takes()
    for step in (timedelta(seconds=1), timedelta(days=1), timedelta(days=31), timedelta(days=365)):
        clock.now += step
        assert takes()
        assert not takes()


def test_a_small_cap_is_shared(cloud: Cloud, clock: Clock) -> None:
    assert [starts(Quota(cloud.work, 2, clock)) for _ in range(3)] == [True, True, False]


def test_when_the_hour_is_used_up_another_instance_only_reads_that(cloud: Cloud, clock: Clock) -> None:
    assert starts(Quota(cloud.work, 1, clock))
    cloud.faulty.requests.clear()
    assert not starts(Quota(cloud.work, 1, clock))
    assert [method for method, _ in cloud.faulty.requests] == ["GET"]


@pytest.mark.release
def test_a_large_cap_is_counted_in_blocks(cloud: Cloud, clock: Clock) -> None:
    quota = Quota(cloud.work, 1000, clock)
    cloud.faulty.requests.clear()
    assert all(starts(quota) for _ in range(1000))
    assert not starts(quota)
    assert len(cloud.faulty.requests) < 2.1 * 100
    cloud.faulty.requests.clear()
    assert not starts(quota)
    assert not cloud.faulty.requests  # that the hour is used up is remembered


def test_a_refused_start_frees_an_execution_of_its_own_hour(cloud: Cloud, clock: Clock) -> None:
    quota = Quota(cloud.work, 2, clock)
    for _ in range(3):
        with pytest.raises(PermissionError), quota.counted((PermissionError,)):
            raise PermissionError
    assert [starts(quota) for _ in range(3)] == [True, True, False]


def test_a_start_that_may_have_succeeded_counts(cloud: Cloud, clock: Clock) -> None:
    quota = Quota(cloud.work, 2, clock)
    with pytest.raises(ConnectionError), quota.counted((PermissionError,)):
        raise ConnectionError
    assert [starts(quota) for _ in range(2)] == [True, False]


def test_a_start_that_fails_in_the_next_hour_frees_no_execution_of_that_hour(cloud: Cloud, clock: Clock) -> None:
    quota = Quota(cloud.work, 1, clock)

    def fail_late() -> None:
        with quota.counted((PermissionError,)):
            clock.now += timedelta(hours=1)
            assert starts(quota)
            raise PermissionError

    with pytest.raises(PermissionError):
        fail_late()
    assert not starts(quota)


def test_executions_reserved_as_the_hour_ends_are_not_started_in_the_next(cloud: Cloud, clock: Clock) -> None:
    late = iter((NOON - timedelta(seconds=1),))
    assert starts(Quota(cloud.work, 1, lambda: next(late, NOON)))  # the hour ends while the reservation is written
    assert not starts(Quota(cloud.work, 1, clock))


def test_an_instance_that_met_the_cap_starts_again_in_the_next_hour(cloud: Cloud, clock: Clock) -> None:
    first, second = (Quota(cloud.work, 1, clock) for _ in range(2))
    assert starts(first)
    assert second.is_spent()
    assert not starts(second)
    clock.now += timedelta(hours=1)
    assert not second.is_spent()
    assert starts(second)
    assert not starts(first)


def test_asking_whether_the_hour_is_spent_uses_no_execution(cloud: Cloud, clock: Clock) -> None:
    quota = Quota(cloud.work, 1, clock)
    assert not quota.is_spent()
    assert not quota.is_spent()
    assert starts(quota)
    assert quota.is_spent()


def test_instances_that_race_never_exceed_the_cap(cloud: Cloud, clock: Clock) -> None:
    taken: list[bool] = []

    def instance() -> None:
        quota = Quota(cloud.work, 10, clock)
        taken.extend(starts(quota) for _ in range(4))

    threads = [threading.Thread(target=instance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == 10
    assert taken.count(False) == 6


@pytest.fixture
def capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1")


@pytest.mark.usefixtures("capped")
def test_a_throttled_input_is_acknowledged_with_a_waiting_claim_and_started_by_a_later_sweep(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = function("on_upload")
    for name in ("a.csv", "b.csv"):
        assert client.post("/", **finalized(cloud.upload(name, TABLE))).status_code == 200
    assert len(cloud.executions.created) == 1
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["severity"], line["message"], line["reason"]) == ("WARNING", "throttled", "MAX_EXECUTIONS_PER_HOUR")
    claims = [json.loads(blob.download_as_bytes()) for blob in cloud.client.list_blobs(cloud.work, prefix="claims/")]
    assert {claim["argument"]["input"]["name"]: claim["state"] for claim in claims} == {
        "a.csv": "started",
        "b.csv": "waiting",
    }

    sweep = function("on_message")
    assert sweep.post("/", **published(b'{"sweep": {}}')).status_code == 200
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["throttled"] == 1
    assert len(cloud.executions.created) == 1
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "9")
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    assert [argument["input"]["name"] for argument in cloud.executions.arguments] == ["a.csv", "b.csv"]


@pytest.mark.usefixtures("capped")
@pytest.mark.parametrize("content", [TEXT, PNG], ids=["text", "image"])
def test_what_can_share_an_execution_waits_for_a_collection_instead(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: Any
) -> None:
    client = function("on_upload")
    for number in range(4):
        assert client.post("/", **finalized(cloud.upload(f"{number}", content))).status_code == 200
    assert len(cloud.executions.created) == 1
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["severity"], line["message"]) == ("INFO", "accepted")
    assert line["reason"].startswith("waits until ")
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "2")
    assert function("on_message").post("/", **published(b'{"collect": {}}')).status_code == 200
    assert [argument["kind"] for argument in cloud.executions.arguments[1:]] == ["microbatch"]
    (batch,) = (blob.download_as_text() for blob in cloud.client.list_blobs(cloud.work, prefix="microbatches/"))
    assert sorted(json.loads(line)["input"]["name"] for line in batch.splitlines()) == ["1", "2", "3"]


def test_most_of_the_cap_is_kept_for_what_needs_an_execution_of_its_own_and_for_collections(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "100")
    client = function("on_upload")
    for number in range(22):
        assert client.post("/", **finalized(cloud.upload(f"{number}.txt", TEXT))).status_code == 200
    assert len(cloud.executions.created) == 20
    assert client.post("/", **finalized(cloud.upload("a.csv", TABLE))).status_code == 200
    assert function("on_message").post("/", **published(b'{"collect": {}}')).status_code == 200
    assert [argument["kind"] for argument in cloud.executions.arguments[20:]] == ["table", "microbatch"]


@pytest.mark.parametrize("content", [TEXT, TABLE], ids=["text", "table"])
def test_a_quota_of_workflows_that_is_used_up_is_no_failure(cloud: Cloud, function: Function, content: str) -> None:
    cloud.executions.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert function("on_upload").post("/", **finalized(cloud.upload("a", content))).status_code == 200
    order = b'{"sweep": {}}' if content == TABLE else b'{"collect": {}}'
    assert function("on_message").post("/", **published(order)).status_code == 200
    (argument,) = cloud.executions.arguments
    assert argument["input"]["name"] == "a"


@pytest.mark.usefixtures("capped")
def test_messages_that_are_throttled_are_kept_for_the_sweep(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = [cloud.upload(name, TEXT) for name in ("a.txt", "b.txt")]
    manifest = {"id": "order", "inputs": [f"gs://{cloud.input.name}/{blob.name}" for blob in blobs]}
    inline = {"instances": [{"text": "a"}], "parameters": {"top_k": 2}}
    for number, body in enumerate((manifest, inline)):
        message = published(json.dumps(body).encode(), message_id=str(number))
        assert function("on_message").post("/", **message).status_code == 200
    assert len(cloud.executions.created) == 1
    assert not cloud.documents()
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "9")
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    documents = sorted(argument["document"] for argument in cloud.executions.arguments)
    assert documents == [
        f"a.txt/{blobs[0].generation}",
        f"b.txt/{blobs[1].generation}",
        "manifests/id-order",
        "messages/messages/id-1",
    ]


@pytest.mark.usefixtures("capped")
@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT"])
def test_an_execution_that_was_not_created_does_not_count(cloud: Cloud, function: Function, status: str) -> None:
    cloud.executions.refusals = [grpc.StatusCode[status]]
    blob = cloud.upload("a.txt", TEXT)
    client = function("on_upload")
    assert client.post("/", **finalized(blob)).status_code == 503
    assert client.post("/", **finalized(blob)).status_code == 200
    assert len(cloud.executions.created) == 1


@pytest.mark.usefixtures("capped")
def test_an_execution_whose_response_was_lost_counts(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.executions.answers_lost = 1
    blob = cloud.upload("a.csv", TABLE)
    client = function("on_upload")
    assert client.post("/", **finalized(blob)).status_code == 503
    assert client.post("/", **finalized(blob)).status_code == 200
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["message"] == "throttled"
    assert len(cloud.executions.created) == 1


@pytest.mark.usefixtures("capped")
def test_an_argument_that_is_too_long_does_not_count(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = function("on_upload")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.jobs.executions.MAX_ARGUMENT", 1)
        assert client.post("/", **finalized(cloud.upload("a.txt", TEXT))).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"
    assert client.post("/", **finalized(cloud.upload("b.txt", TEXT))).status_code == 200
    assert len(cloud.executions.created) == 1


def test_without_a_cap_nothing_is_counted(cloud: Cloud, function: Function) -> None:
    assert function("on_upload").post("/", **finalized(cloud.upload("a.txt", TEXT))).status_code == 200
    assert not [target for _, target in cloud.faulty.requests if "quotas/" in target]


# --- hops ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "started"), [("0", 1), ("3", 1), ("4", 0), ("999999", 0), ("many", 1), ("-5", 1)])
def test_an_input_with_too_many_hops_is_rejected(cloud: Cloud, function: Function, hops: str, started: int) -> None:
    blob = cloud.upload("a.txt", TEXT, metadata={"pipeline-hops": hops})
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    message = published(b'{"instances": [{"text": "a"}]}', attributes={"pipeline-hops": hops})
    assert function("on_message").post("/", **message).status_code == 200
    assert len(cloud.executions.created) == 2 * started
    codes = [document["reason"]["code"] for document in cloud.documents("rejected").values()]
    assert codes == ["too_many_hops"] * (2 - 2 * started)


def test_hops_are_counted_through_the_pipeline(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT, metadata={"pipeline-hops": "2"})
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    good = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}}
    body = {"argument": argument, "lineage": {"execution": "e"}, "prediction": good}
    assert function("postprocess").post("/", json=body).status_code == 200
    for folder in ("results/", "latest/"):
        (written,) = cloud.client.list_blobs(cloud.output, prefix=folder)
        assert written.metadata["pipeline-hops"] == "3"
