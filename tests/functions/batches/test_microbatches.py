"""Micro-batches: notifications wait in a subscription; one execution for many small uploads, a document for each."""

import base64
import gzip
import itertools
import json
import shlex
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.cloud import storage
from google.cloud.workflows.executions_v1 import Execution
from google.pubsub_v1 import types as pubsub

from messaging import collect as collect_module
from messaging import pubsub as pubsub_module
from messaging.orders import Collection
from pipeline import settings
from pipeline.deployment import Deployment
from pipeline.inputs import microbatches
from pipeline.inputs.events import Receipt
from pipeline.jobs import job
from tests.functions import gpu
from tests.functions.cloud import Cloud, Fault
from tests.functions.conftest import Function, finalized, published
from tests.functions.models_bucket import ModelsBucket, entry, split
from tests.functions.test_on_message import notification, png
from tests.functions.test_postprocess import LINEAGE

pytestmark = pytest.mark.usefixtures("check_documents", "subscribed")

SUBSCRIPTION = "projects/p/subscriptions/uploads"
RECEIPT = Receipt("1", "2026-01-01T00:00:00Z")
PNG = base64.b64decode(png())


@pytest.fixture
def subscribed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLECT_SUBSCRIPTION", SUBSCRIPTION)


def announce(cloud: Cloud, blob: storage.Blob, **attributes: str) -> None:
    """The notification that Cloud Storage publishes for an object."""
    message = pubsub.PubsubMessage(
        data=json.dumps(finalized(blob)["json"]).encode(),
        attributes=notification(blob) | attributes,
        message_id=str(len(cloud.executions.uploads.waiting) + 1),
    )
    cloud.executions.uploads.add(message)


def upload(cloud: Cloud, name: str, data: bytes | str = "I liked it.", **more: Any) -> storage.Blob:
    blob = cloud.upload(name, data, **more)
    announce(cloud, blob)
    return blob


Collect = Callable[..., dict[str, Any]]


@pytest.fixture
def collect(cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]) -> Collect:
    """Sends a collect message, and returns the counts in its closing line."""

    def collect(status: int = 200, **order: Any) -> dict[str, Any]:
        capsys.readouterr()
        answer = function("on_message").post("/", **published(json.dumps({"collect": order}).encode()))
        assert answer.status_code == status, answer.text
        line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return line

    return collect


def prepared(function: Function, execution: Execution) -> dict[str, Any]:
    answer = function("preprocess").post("/", json=json.loads(execution.argument))
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def concluded(function: Function, execution: Execution, status: int = 200, **outcome: Any) -> dict[str, Any]:
    lineage = LINEAGE | {"execution": execution.name.rpartition("/")[2]}
    body = {"argument": json.loads(execution.argument), "lineage": lineage} | outcome
    answer = function("postprocess").post("/", json=body)
    assert answer.status_code == status, answer.text
    return answer.get_json()


def run(cloud: Cloud, function: Function, execution: Execution) -> dict[str, Any]:
    """Runs an execution as the workflow would, with the stand-in for the GPU service; returns its response."""
    answer = prepared(function, execution)
    if answer["mode"] == "batch":
        gpu.predict(cloud, answer)
        return concluded(function, execution, batch=answer | {"errors": []})
    judged = [gpu.judge(instance) for instance in answer["instances"]]
    parameters = gpu.DEFAULTS | answer["parameters"]
    prediction = {"predictions": judged, "model": gpu.MODEL, "parameters": parameters, "device": "cuda:0"}
    return concluded(function, execution, prediction=prediction)


def kinds(cloud: Cloud) -> Counter[str]:
    return Counter(execution.labels["kind"] for execution in cloud.executions.created)


def statuses(cloud: Cloud) -> dict[str, str]:
    """The documents by their input's name; each input must have exactly one."""
    documents = [(document["input"]["name"], document["status"]) for document in cloud.documents().values()]
    assert len(dict(documents)) == len(documents)
    return dict(documents)


# --- grouping --------------------------------------------------------------------------------------


def test_small_texts_share_one_execution(cloud: Cloud, function: Function, collect: Collect) -> None:
    blobs = [upload(cloud, f"{number}.txt", f"I liked it {number} times.") for number in range(5)]
    line = collect()
    assert (line["message"], line["reason"]) == ("accepted", "collect")
    assert (line["pulled"], line["accepted"], line["executions"]) == (5, 5, 1)
    (execution,) = cloud.executions.created
    for blob in blobs:
        claim = cloud.claim(job.of_object(blob.bucket.name, blob.name, blob.generation))
        assert (claim["state"], claim["execution"]) == ("started", execution.name)
    assert not cloud.executions.uploads.leased
    answer = run(cloud, function, execution)
    assert (answer["status"], answer["members"]) == ("succeeded", {"succeeded": 5})
    assert list(cloud.documents()) == [f"results/{blob.name}/{blob.generation}.json" for blob in blobs]
    assert len(cloud.documents("latest")) == 5
    assert not cloud.documents("status")


@pytest.mark.release
def test_fifty_uploads_of_all_kinds(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(20):
        upload(cloud, f"{number}.txt", f"I liked it {number} times.")
        upload(cloud, f"{number}.png", PNG)
    upload(cloud, "reviews.csv", "id,review\n1,A film that I liked a lot\n2,A film that I did not like\n")
    upload(cloud, "lines.jsonl", '{"text": "a"}\n{"text": "b"}\n')
    upload(cloud, "series.csv", "date,value\n" + "".join(f"2026-01-{day:02},{day}\n" for day in range(1, 29)))
    upload(cloud, "two.txt", "With two labels.", metadata={"top_k": "2"})
    upload(cloud, "three.txt", "With three labels.", metadata={"top_k": "3"})
    upload(cloud, "empty.txt", b"")
    upload(cloud, "letter.pdf", b"%PDF-1.7 ...")
    upload(cloud, "folder/", b"")
    upload(cloud, "reviews.csv.parameters.json", "{}")
    upload(cloud, "ours.txt", "Ours.", metadata={"pipeline-job": "0" * 32})
    line = collect()
    counted = {"pulled": 50, "accepted": 45, "rejected": 2, "ignored": 3, "executions": 7}
    assert {word: line[word] for word in counted} == counted
    assert kinds(cloud) == {"microbatch": 2, "text": 2, "table": 1, "records": 1, "timeseries": 1}
    for execution in cloud.executions.created:
        if execution.labels["kind"] in ("microbatch", "text"):
            run(cloud, function, execution)
    by_status = statuses(cloud)
    assert Counter(by_status.values()) == {"succeeded": 42, "rejected": 2}
    assert {by_status[name] for name in ("empty.txt", "letter.pdf")} == {"rejected"}


@pytest.mark.parametrize(("name", "data"), [("a.txt", "A film that I l\u00efked.".encode("cp1252")), ("a.png", None)])
def test_a_member_s_document_is_that_of_a_single_upload(
    cloud: Cloud, function: Function, collect: Collect, name: str, data: bytes | None
) -> None:
    data = data or base64.b64decode(png((640, 480)))
    single, member = cloud.upload(f"single/{name}", data), upload(cloud, f"member/{name}", data)
    upload(cloud, f"another/{name}", data)
    assert function("on_upload").post("/", **finalized(single)).status_code == 200
    collect()
    for execution in cloud.executions.created:
        run(cloud, function, execution)
    documents = cloud.documents()
    one = documents[f"results/{single.name}/{single.generation}.json"]
    other = documents[f"results/{member.name}/{member.generation}.json"]
    assert one["kind"] == other["kind"]
    for field in ("schema", "status", "kind", "model", "parameters", "quality"):
        assert one[field] == other[field]
    referred = json.loads(json.dumps(one["predictions"]).replace(single.name, member.name))  # images are references
    assert referred == other["predictions"]
    for field in ("input", "timing", "cost", "lineage"):
        assert one[field].keys() == other[field].keys()
    assert other["input"]["generation"] == str(member.generation)
    assert other["cost"]["device"]["seconds"] == pytest.approx(0.01 / 2)
    assert other["timing"]["inference_ms"] == pytest.approx(5.0 / 2)
    assert other["lineage"]["service_revisions"]["gpu_service"] == "gpu-1"
    assert other["lineage"]["execution"] != one["lineage"]["execution"]


def test_members_with_sidecars_share_executions_only_with_their_like(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    cloud.upload("0.txt.parameters.json", '{"top_k": 1, "high_confidence": 0.5}')
    cloud.upload("1.txt.parameters.json", '{"parameters": {"high_confidence": 0.5, "top_k": 1.0}}')
    cloud.upload("2.txt.parameters.json", '{"top_k": "many"}')
    for number in range(5):
        upload(cloud, f"{number}.txt", f"I liked it {number} times.")
    collect()
    assert len(cloud.executions.created) == 2
    for execution in cloud.executions.created:
        run(cloud, function, execution)
    documents = {document["input"]["name"]: document for document in cloud.documents().values()}
    assert [documents[f"{number}.txt"]["status"] for number in range(5)] == [
        *("succeeded", "succeeded", "rejected", "succeeded", "succeeded")
    ]
    assert documents["2.txt"]["reason"]["code"] == "invalid_parameters"
    for number in range(5):
        if number != 2:
            limits = documents[f"{number}.txt"]["parameters"]
            assert (limits["top_k"], limits["high_confidence"]) == ((1, 0.5) if number < 2 else (5, 0.7))


def test_micro_batches_are_bounded(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_BATCH_SIZE", "4")
    monkeypatch.setattr(microbatches, "MAX_BYTES", 300)
    for number in range(4):
        upload(cloud, f"{number}.txt", "x" * 100)
    for number in range(6):
        upload(cloud, f"{number}.md", "short")
    assert collect()["executions"] == 4
    sizes = [len(prepared_lines(cloud, function, execution)) for execution in cloud.executions.created]
    assert sizes == [3, 1, 4, 2]


def test_a_full_pull_orders_one_more_collection(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_BATCH_SIZE", "4")
    for number in range(6):
        upload(cloud, f"{number}.txt")
    assert collect()["pulled"] == 6
    ((_, order),) = cloud.executions.published
    assert collect(**order["collect"])["pulled"] == 0
    for number in range(3):
        upload(cloud, f"more-{number}.txt")
    collect()
    assert len(cloud.executions.published) == 1


def test_with_a_limit_no_other_collection_is_ordered(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_BATCH_SIZE", "2")
    for number in range(6):
        upload(cloud, f"{number}.txt")
    assert collect(limit=4)["pulled"] == 4
    assert cloud.executions.published == []


def prepared_lines(cloud: Cloud, function: Function, execution: Execution) -> list[Any]:
    answer = prepared(function, execution)
    if answer["mode"] == "single":
        return answer["instances"]
    name = answer["prefix"].removeprefix(f"gs://{cloud.work.name}/") + "0.jsonl"
    return cloud.work.blob(name).download_as_bytes().splitlines()


# --- commands --------------------------------------------------------------------------------------


def test_a_limit_leaves_the_rest(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(5):
        upload(cloud, f"{number}.txt")
    assert collect(limit=3)["pulled"] == 3
    assert len(cloud.executions.uploads.waiting) == 2
    assert not cloud.executions.published
    assert collect(limit=3)["pulled"] == 2
    assert collect()["pulled"] == 0
    assert kinds(cloud) == {"microbatch": 2}


def test_pub_sub_may_return_fewer_messages_than_exist(cloud: Cloud, function: Function, collect: Collect) -> None:
    cloud.executions.uploads.most = 2
    for number in range(5):
        upload(cloud, f"{number}.txt")
    line = collect()
    assert (line["pulled"], line["executions"]) == (5, 1)


def test_a_long_collection_continues_in_another_message(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_BATCH_SIZE", "2")
    for number in range(7):
        upload(cloud, f"{number}.txt")
    pulls = cloud.executions.uploads.waits
    verdict, following = collect_module.run(
        Deployment(settings.load(starts_executions=True)),
        Collection(6),
        RECEIPT,
        clock=lambda: len(pulls) * collect_module.MAX_SECONDS,
    )
    assert (verdict.counts or {})["pulled"] == 2
    assert following == Collection(4)
    monkeypatch.setattr(collect_module, "MAX_SECONDS", 0)
    assert collect(limit=4)["continues"] == {"collect": {"limit": 4}}
    assert cloud.executions.published == [("projects/p/topics/messages", {"collect": {"limit": 4}})]


def test_without_a_subscription_nothing_is_pulled(
    cloud: Cloud, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLLECT_SUBSCRIPTION")
    line = collect()
    assert (line["message"], line["reason"], line["pulled"]) == ("accepted", "collect", 0)
    assert not cloud.documents()


def test_where_no_upload_can_come_none_is_waited_for(cloud: Cloud, collect: Collect) -> None:
    assert collect()["pulled"] == 0
    assert collect(wait_for_uploads=True)["pulled"] == 0
    assert cloud.executions.uploads.waits == [True, True]
    upload(cloud, "a.txt")  # which waits since before uploads came by another way
    assert collect(wait_for_uploads=False)["pulled"] == 1
    assert cloud.executions.uploads.waits == [True, True, False, False]


@pytest.mark.parametrize(
    "order",
    [{"limit": 0}, {"limit": True}, {"limit": "3"}, {"prefix": "a"}, {"wait_for_uploads": 0}],
    ids=str,
)
def test_an_invalid_command_is_rejected(cloud: Cloud, collect: Collect, order: dict[str, Any]) -> None:
    collect(**order)
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"


def test_messages_without_an_upload_are_removed_from_the_subscription(cloud: Cloud, collect: Collect) -> None:
    announce(cloud, cloud.upload("a.txt", "I liked it."), eventType="OBJECT_DELETE")
    for data in (b"nonsense", b'{"collect": {}}'):
        cloud.executions.uploads.add(pubsub.PubsubMessage(data=data, message_id=f"{len(data)}"))
    line = collect()
    assert (line["ignored"], line["rejected"]) == (1, 2)
    assert not cloud.executions.uploads.leased
    assert not cloud.executions.created
    assert [document["reason"]["code"] for document in cloud.documents().values()] == ["unknown_message"] * 2


def test_nothing_is_pulled_when_the_hour_s_executions_are_used_up(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1")
    for number in range(3):
        upload(cloud, f"{number}.txt")
        upload(cloud, f"{number}.png", PNG)
    line = collect()
    assert (line["accepted"], line["throttled"]) == (3, 3)
    assert len(cloud.executions.uploads.waiting) == 3, "they go together when the hour is over"
    assert collect()["pulled"] == 0
    assert kinds(cloud) == {"microbatch": 1}


# --- redelivery ------------------------------------------------------------------------------------


def test_duplicates_start_no_further_execution(cloud: Cloud, function: Function, collect: Collect) -> None:
    blobs = [upload(cloud, f"{number}.txt") for number in range(3)]
    announce(cloud, blobs[0])  # waits together with the first
    line = collect()
    assert (line["accepted"], line["running"]) == (3, 1)
    announce(cloud, blobs[1])
    cloud.executions.uploads.redeliver()
    assert collect()["ignored"] == 2
    assert not cloud.executions.uploads.leased
    assert kinds(cloud) == {"microbatch": 1}


def test_a_collection_that_is_interrupted_again_and_again_gets_on(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    """Messages that are done, and those of a group that has started, are acknowledged before the next group starts."""
    blobs = [upload(cloud, f"{number}.txt") for number in range(3)]
    collect()
    for blob in blobs:
        announce(cloud, blob)
    upload(cloud, "3.txt")
    upload(cloud, "4.png", PNG)
    leased = []
    cloud.executions.before_create = lambda: leased.append(len(cloud.executions.uploads.leased))
    line = collect()
    assert (line["ignored"], line["accepted"]) == (3, 2)
    assert leased == [2, 1]


def collect_slowly() -> dict[str, Any]:
    """The counts of a collection that has to renew its leases at each step."""
    seconds = itertools.count(step=pubsub_module.RENEW_SECONDS)
    deployment = Deployment(settings.load(starts_executions=True))
    verdict, _ = collect_module.run(deployment, Collection(), RECEIPT, clock=lambda: next(seconds))
    return dict(verdict.counts or {})


def test_a_slow_collection_renews_the_leases_of_what_is_not_done(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = upload(cloud, "0.txt")
    collect()
    announce(cloud, done)
    for number in range(1, 4):
        upload(cloud, f"{number}.txt")
    monkeypatch.setattr(collect_module, "PART", 2)
    collect_slowly()
    assert [len(ids) for ids in cloud.executions.uploads.extended] == [4, 3, 3]


def test_leases_that_cannot_be_renewed_delay_nothing(cloud: Cloud) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt")
    cloud.executions.uploads.renewal_refusals = [grpc.StatusCode.INTERNAL]
    assert collect_slowly()["accepted"] == 3


def test_a_crash_before_the_start_loses_nothing(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt")
    cloud.executions.refusals = [grpc.StatusCode.UNAVAILABLE]
    collect(503)
    assert not list(cloud.client.list_blobs(cloud.work, prefix="claims/"))
    assert len(cloud.executions.uploads.waiting) == 3
    assert collect()["accepted"] == 3
    (execution,) = cloud.executions.created
    run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * 3


def test_an_unconfirmed_execution_adds_no_second_document(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt")
    cloud.executions.answers_lost = 1
    collect(503)
    assert collect()["accepted"] == 3
    first, second = cloud.executions.created
    assert first.labels == second.labels
    run(cloud, function, second)
    written = {name: cloud.output.get_blob(name).generation for name in cloud.documents()}
    run(cloud, function, first)
    assert written == {name: cloud.output.get_blob(name).generation for name in cloud.documents()}
    assert list(statuses(cloud).values()) == ["succeeded"] * 3


def test_a_crash_after_the_start_leads_to_one_document_each(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No claim is confirmed and no message acknowledged; the redelivery arrives together with another upload."""
    for number in range(3):
        upload(cloud, f"{number}.txt")
    cloud.executions.before_create = lambda: cloud.faulty.faults.append(
        Fault(lambda method, target: "name=claims/" in target, status=403, times=3)
    )
    cloud.executions.uploads.refusals = [grpc.StatusCode.INTERNAL]
    collect(503)
    assert len(cloud.executions.uploads.leased) == 3
    cloud.executions.before_create = lambda: None
    cloud.executions.uploads.redeliver()
    upload(cloud, "3.txt")
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    assert collect()["accepted"] == 4
    for execution in cloud.executions.created:
        run(cloud, function, execution)
    assert statuses(cloud) == {f"{number}.txt": "succeeded" for number in range(4)}


def test_unacknowledged_messages_are_redelivered_as_duplicates(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt")
    cloud.executions.uploads.refusals = [grpc.StatusCode.INTERNAL]
    collect(503)
    cloud.executions.uploads.redeliver()
    assert collect()["ignored"] == 3
    assert kinds(cloud) == {"microbatch": 1}


def test_a_failure_of_one_object_does_not_affect_the_others(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt")
    cloud.fault("GET", "/o/1.txt", status=403)
    collect(503)
    assert kinds(cloud) == {"microbatch": 1}
    assert len(cloud.executions.uploads.waiting) == 1
    assert collect()["accepted"] == 1
    for execution in cloud.executions.created:
        run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * 3


# --- members with other outcomes -------------------------------------------------------------------


def test_objects_that_are_gone_are_rejected(cloud: Cloud, function: Function, collect: Collect) -> None:
    blobs = [upload(cloud, f"{number}.txt") for number in range(4)]
    blobs[0].delete()
    assert collect()["rejected"] == 1
    cloud.upload("1.txt", "Another generation.")
    blobs[2].delete()
    (execution,) = cloud.executions.created
    answer = run(cloud, function, execution)
    assert (answer["status"], answer["members"]) == ("partial", {"rejected": 2, "succeeded": 1})
    codes = {d["input"]["name"]: d["reason"]["code"] for d in cloud.documents("rejected").values()}
    assert codes == {f"{number}.txt": "input_gone" for number in range(3)}


def test_a_member_that_cannot_be_read_is_rejected_as_a_single_upload_is(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    single, _ = cloud.upload("single.png.gz", gzip.compress(PNG)[:-9]), upload(cloud, "b.png", PNG)
    upload(cloud, "broken.png.gz", gzip.compress(PNG)[:-9])
    assert function("on_upload").post("/", **finalized(single)).status_code == 200
    alone = function("preprocess").post("/", json=cloud.executions.arguments[0]).get_json()["error"]
    collect()
    run(cloud, function, cloud.executions.created[-1])
    assert statuses(cloud) == {"broken.png.gz": "rejected", "b.png": "succeeded"}
    (rejected,) = cloud.documents("rejected").values()
    assert rejected["reason"] == alone


def test_an_image_that_is_gone_when_it_is_decoded_is_rejected(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(2):
        upload(cloud, f"{number}.png", PNG)
    collect()
    (execution,) = cloud.executions.created
    answer = prepared(function, execution)
    gpu.predict(cloud, answer)
    output = cloud.work.get_blob(answer["prefix"].split("/", 3)[3] + "0.out.jsonl")
    lines = [json.loads(line) for line in output.download_as_bytes().splitlines()]
    lines[1] = {"id": lines[1]["id"], "error": {"code": "object_not_found", "message": "There is no object."}}
    output.upload_from_string("".join(json.dumps(line) + "\n" for line in lines))
    concluded(function, execution, batch=answer)
    assert statuses(cloud) == {"0.png": "succeeded", "1.png": "rejected"}
    (rejected,) = cloud.documents("rejected").values()
    assert rejected["reason"]["code"] == "input_gone"


def test_a_member_with_a_truncated_text_is_marked(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(2):
        upload(cloud, f"{number}.txt", f"{number}")
    collect()
    (execution,) = cloud.executions.created
    answer = prepared(function, execution)
    gpu.predict(cloud, answer)
    output = cloud.work.get_blob(answer["prefix"].split("/", 3)[3] + "0.out.jsonl")
    lines = [json.loads(line) for line in output.download_as_bytes().splitlines()]
    lines[1]["truncated"] = True
    output.upload_from_string("".join(json.dumps(line) + "\n" for line in lines))
    concluded(function, execution, batch=answer)
    predictions = [document["predictions"][0] for document in cloud.documents().values()]
    assert [prediction.get("truncated") for prediction in predictions] == [None, True]


def test_a_service_failure_can_be_replayed_alone(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt", f"{number}")
    collect()
    (execution,) = cloud.executions.created
    answer = prepared(function, execution)
    gpu.predict(cloud, answer)
    output = cloud.work.get_blob(answer["prefix"].split("/", 3)[3] + "0.out.jsonl")
    lines = [json.loads(line) for line in output.download_as_bytes().splitlines()]
    fault = {"code": "inference_failed", "message": "The model failed."}
    lines[1] = {"index": 1, "id": lines[1]["id"], "error": fault}
    output.upload_from_string("".join(json.dumps(line) + "\n" for line in lines))
    concluded(function, execution, batch=answer)
    assert statuses(cloud) == {"0.txt": "succeeded", "1.txt": "failed", "2.txt": "succeeded"}
    replay_all(cloud, function, "inference_failed")


def replay_all(cloud: Cloud, function: Function, code: str) -> None:
    """Runs the replay command of every failed document and the executions that it starts; all must succeed."""
    failed = cloud.documents("failed").values()
    before = len(cloud.executions.created)
    for number, document in enumerate(failed):
        assert document["error"]["code"] == code
        order = shlex.split(document["replay"])[-1].removeprefix("--message=")
        assert function("on_message").post("/", **published(order.encode(), f"r{number}")).status_code == 200
    again = cloud.executions.created[before:]
    assert sorted(execution.labels["job"] for execution in again) == sorted(document["job"] for document in failed)
    for execution in again:
        assert run(cloud, function, execution)["status"] == "succeeded"
    assert set(statuses(cloud).values()) == {"succeeded"}
    assert sum("attempts" in document for document in cloud.documents().values()) == len(again)


def test_a_lost_shard_fails_its_members_alone(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDS_PER_SHARD", "2")
    for number in range(5):
        upload(cloud, f"{number}.txt", f"{number}")
    collect()
    (execution,) = cloud.executions.created
    answer = prepared(function, execution)
    gpu.predict(cloud, answer, 0, 2)
    error = {"step": "predict_shards", "status": 503, "code": "unavailable", "message": "Stopping."}
    outcome = concluded(function, execution, batch=answer | {"errors": [error]})
    assert (outcome["status"], outcome["members"]) == ("partial", {"succeeded": 3, "failed": 2})
    replay_all(cloud, function, "unavailable")


def test_a_failed_execution_fails_every_member(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt")
    collect()
    (execution,) = cloud.executions.created
    error = {"step": "preprocess", "status": 500, "code": "internal", "message": "It failed."}
    outcome = concluded(function, execution, error=error)
    assert outcome["status"] == "failed"
    cloud.executions.end_all()
    replay_all(cloud, function, "internal")


def test_an_unknown_model_rejects_every_member(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt", metadata={"model": "unheard-of"})
    collect()
    (execution,) = cloud.executions.created
    answer = prepared(function, execution)
    assert answer["model"] == {"name": "unheard-of", "version": None, "chosen_by": "requested"}
    error = {"step": "predict_shards", "status": 404, "code": "model_not_found", "message": "No such model."}
    outcome = concluded(function, execution, batch=answer | {"errors": [error]})
    assert (outcome["status"], outcome["members"]) == ("rejected", {"rejected": 3})


# --- conclusion ------------------------------------------------------------------------------------


def test_a_sweep_starts_the_members_of_a_lost_execution_individually(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(3):
        upload(cloud, f"{number}.txt")
    collect()
    for order in ("1", "2"):
        assert function("on_message").post("/", **published(b'{"sweep": {}}', order)).status_code == 200
        assert len(cloud.executions.created) == (1 if order == "1" else 4)
        cloud.executions.states[cloud.executions.created[0].name] = Execution.State.FAILED
    for execution in cloud.executions.created:
        run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * 3


def test_the_log_leads_from_an_input_to_its_micro_batch(
    cloud: Cloud, function: Function, collect: Collect, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {upload(cloud, f"{number}.txt").name for number in range(2)}
    function("on_message").post("/", **published(b'{"collect": {}}'))
    (execution,) = cloud.executions.created
    run(cloud, function, execution)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    taken = [line for line in lines if line["message"] == "accepted" and "document" in line]
    accepted = {line["document"].split("/")[0]: line["job"] for line in taken}
    assert accepted.keys() == names
    concluded = [line for line in lines if line["message"] == "concluded"]
    assert {line["job"] for line in concluded} == set(accepted.values())
    assert {line["microbatch"] for line in concluded} == {execution.labels["job"]}


def test_an_interrupted_conclusion_is_continued(cloud: Cloud, function: Function, collect: Collect) -> None:
    blobs = [upload(cloud, f"{number}.txt") for number in range(3)]
    collect()
    (execution,) = cloud.executions.created
    answer = prepared(function, execution)
    gpu.predict(cloud, answer)
    cloud.fault("POST", f"name=results/1.txt/{blobs[1].generation}", status=403)
    concluded(function, execution, status=503, batch=answer)
    assert len(cloud.documents()) == 2
    assert concluded(function, execution, batch=answer)["members"] == {"succeeded": 3}
    assert list(statuses(cloud).values()) == ["succeeded"] * 3


def test_progress_of_a_micro_batch_writes_no_status(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(2):
        upload(cloud, f"{number}.txt")
    collect()
    (execution,) = cloud.executions.created
    concluded(function, execution, progress=prepared(function, execution))
    assert not list(cloud.client.list_blobs(cloud.output))


@pytest.mark.parametrize("change", [{"document": "x", "job": "0" * 32}, {"kind": "text"}], ids=["of another", "a text"])
def test_an_input_other_than_the_job_s_micro_batch_is_malformed(
    cloud: Cloud, function: Function, collect: Collect, change: dict[str, Any]
) -> None:
    for number in range(2):
        upload(cloud, f"{number}.txt")
    collect()
    argument = cloud.executions.arguments[0] | change
    assert function("preprocess").post("/", json=argument).status_code == 400
    assert not cloud.documents()


def test_members_that_vanish_end_in_documents_of_their_own(cloud: Cloud, function: Function, collect: Collect) -> None:
    blobs = [upload(cloud, f"{number}.txt") for number in range(3)]
    collect()
    cloud.executions.end_all()
    for blob in blobs[:2]:
        blob.delete()
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    assert statuses(cloud) == {"0.txt": "rejected", "1.txt": "rejected"}
    assert kinds(cloud) == {"microbatch": 1, "text": 1}


# --- experiments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "groups"), [("split", {"1", "2"}), ("shadow", {"1"})])
def test_members_of_one_version_share_an_execution(
    cloud: Cloud, collect: Collect, bucket: ModelsBucket, mode: str, groups: set[str]
) -> None:
    bucket.models(entry("sentiment", "1"), entry("sentiment", "2"))
    bucket.traffic(sentiment=split(0.5, mode=mode))
    for number in range(12):
        upload(cloud, f"{number}.txt")
    collect()
    models = [argument["model"] for argument in cloud.executions.arguments]
    assert sorted(model["version"] for model in models) == sorted(groups)
    assert not any("candidate" in model["experiment"] for model in models)  # no one is shown a micro-batch
    for argument in cloud.executions.arguments:
        members = [
            json.loads(line) for line in cloud.work.blob(argument["input"]["name"]).download_as_bytes().splitlines()
        ]
        assert {member["model"]["version"] for member in members} == {argument["model"]["version"]}


def test_members_of_a_shadow_experiment_await_no_shadow_and_have_no_time(
    cloud: Cloud, function: Function, collect: Collect, bucket: ModelsBucket
) -> None:
    bucket.models(entry("sentiment", "1"), entry("sentiment", "2"))
    bucket.traffic(sentiment=split(1.0, mode="shadow"))
    for number in range(3):
        upload(cloud, f"{number}.txt")
    collect()
    (execution,) = cloud.executions.created
    run(cloud, function, execution)
    observed = [
        json.loads(blob.metadata["observation"])
        for blob in cloud.client.list_blobs(cloud.output, prefix="observations/e1/")
    ]
    assert len(observed) == 3
    assert not any(fields["sampled"] or "ms" in fields for fields in observed)
