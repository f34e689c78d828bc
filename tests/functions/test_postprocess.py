"""postprocess, served by functions-framework: the three documents, data files, latest/, and one outcome per job."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from pipeline.jobs.job import Input, Job, of_object
from postprocessing import costs
from postprocessing.costs import estimate
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")

MODEL = {"name": "sentiment", "version": "1", "task": "text-classification", "source": "starter", "revision": "abc"}
LINEAGE = {
    "execution": "projects/1/locations/l/workflows/inference/executions/e",
    "workflow_revision": "000001-a4d",
    "started_at": "2026-01-01T00:00:01Z",
    "service_revisions": {"preprocess": "preprocess-1"},
}
GOOD = {"label": "POSITIVE", "score": 0.93, "scores": {"POSITIVE": 0.93, "NEGATIVE": 0.07}}
BAD = {"error": {"code": "too_long", "message": "The text is too long."}}
UNLIKELY = {"label": "NEGATIVE", "score": 0.55}


@pytest.fixture
def postprocess(function: Function) -> FlaskClient:
    return function("postprocess")


def argument(cloud: Cloud, name: str = "in/a.txt", data: bytes | str = "Hello", kind: str = "text") -> dict[str, Any]:
    blob = cloud.upload(name, data)
    source = Input(cloud.input.name, name, blob.generation, blob.size, blob.content_type)
    job = of_object(cloud.input.name, name, blob.generation)
    return Job(job, f"{name}/{blob.generation}", "1", "2026-01-01T00:00:00Z", source, kind).argument()


def prediction(*predictions: dict[str, Any]) -> dict[str, Any]:
    return {
        "predictions": list(predictions),
        "model": MODEL,
        "device": "cuda:0",
        "timing": {"queue_ms": 1.5, "inference_ms": 20.0, "gpu_seconds": 0.02},
    }


FORECAST = {
    "predictions": [
        {"date": "2026-01-01", "prediction": 1.5, "lower": 1.0, "upper": 2.0},
        {"date": "2026-01-02", "prediction": 2.5, "lower": 2.0, "upper": 3.0},
    ],
    "model": MODEL | {"task": "forecasting"},
    "device": "cpu",
    "timing": {"inference_ms": 80.0},
    "series": {"frequency": "D"},
    "backtest": {"mae": 1.0},
    "revision": "forecast-1",
}


def concluded(postprocess: FlaskClient, body: dict[str, Any]) -> dict[str, Any]:
    response = postprocess.post("/", json={"lineage": LINEAGE} | body)
    assert response.status_code == 200, response.text
    assert response.json is not None
    answer: dict[str, Any] = response.json
    return answer


def test_a_prediction_becomes_the_result(cloud: Cloud, postprocess: FlaskClient) -> None:
    arg = argument(cloud)
    answer = concluded(postprocess, {"argument": arg, "prediction": prediction(GOOD)})
    name = f"results/{arg['document']}.json"
    assert answer == {"status": "succeeded", "document": f"gs://{cloud.output.name}/{name}", "job": arg["job"]}
    assert list(cloud.documents()) == [name]
    document = cloud.only_document()
    finished_at = document["timing"].pop("finished_at")
    assert finished_at.endswith("Z")
    assert document == {
        "schema": "result/v1",
        "status": "succeeded",
        "job": arg["job"],
        "input": arg["input"],
        "kind": "text",
        "model": MODEL,
        "routing": {"chosen_by": "default"},
        "parameters": {},
        "predictions": [GOOD],
        "quality": {"confidence": 0.93, "high_confidence": True, "requires_review": False},
        "timing": {
            "received_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:01Z",
            "queue_ms": 1.5,
            "inference_ms": 20.0,
        },
        "cost": estimate(costs.PREPROCESSED, 0.02, 0.0002907, "us-central1"),
        "lineage": {
            "event_id": "1",
            "execution": LINEAGE["execution"],
            "workflow_revision": "000001-a4d",
            "service_revisions": {"preprocess": "preprocess-1", "postprocess": "local"},
            "device": "cuda:0",
        },
    }
    stamp = cloud.output.get_blob(name).metadata
    described = {"pipeline-status": "succeeded", "pipeline-kind": "text"}
    assert stamp == {"pipeline-job": arg["job"], "pipeline-hops": "1", **described}


@pytest.mark.parametrize(
    ("scores", "high", "review"),
    [((0.8,), False, False), ((0.81,), True, False), ((0.59,), False, True), ((0.99, 0.3), False, True)],
)
def test_quality_is_that_of_the_least_certain_prediction(
    cloud: Cloud, postprocess: FlaskClient, scores: tuple[float, ...], high: bool, review: bool
) -> None:
    predictions = [{"label": "a", "score": score} for score in scores]
    concluded(postprocess, {"argument": argument(cloud), "prediction": prediction(*predictions)})
    quality = cloud.only_document()["quality"]
    assert quality == {"confidence": min(scores), "high_confidence": high, "requires_review": review}


def test_a_document_has_requested_parameters_that_the_answer_leaves_out(cloud: Cloud, postprocess: FlaskClient) -> None:
    requested = argument(cloud) | {"parameters": {"labels": ["a", "b"], "max_length": 9000}}
    concluded(
        postprocess, {"argument": requested, "prediction": prediction(GOOD) | {"parameters": {"max_length": 512}}}
    )
    assert cloud.only_document()["parameters"] == {"labels": ["a", "b"], "max_length": 512}


@pytest.mark.parametrize(("high_confidence", "requires_review"), [(0.9, 0.5), (0.95, 0.94), (0, 1)])
def test_the_limits_of_confidence_come_with_the_answer(
    cloud: Cloud, postprocess: FlaskClient, high_confidence: float, requires_review: float
) -> None:
    limits = {"high_confidence": high_confidence, "requires_review": requires_review}
    answer = prediction(GOOD) | {"parameters": {"top_k": 5, **limits}}
    concluded(postprocess, {"argument": argument(cloud), "prediction": answer})
    document = cloud.only_document()
    assert document["parameters"] == {"top_k": 5, **limits}
    assert document["quality"]["high_confidence"] is (high_confidence < 0.93)
    assert document["quality"]["requires_review"] is (requires_review > 0.93)


@pytest.mark.parametrize("value", [4.2, -0.5])
def test_a_regressions_value_is_no_confidence(cloud: Cloud, postprocess: FlaskClient, value: float) -> None:
    predictions = [{"label": "stars", "score": value}, {"label": "stars", "score": 0.9}]
    concluded(postprocess, {"argument": argument(cloud), "prediction": prediction(*predictions)})
    quality = cloud.only_document()["quality"]
    assert quality == {"confidence": None, "high_confidence": False, "requires_review": False}


def test_the_price_is_a_setting(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_USD_PER_SECOND", "0.5")
    monkeypatch.setenv("K_REVISION", "postprocess-2")
    concluded(function("postprocess"), {"argument": argument(cloud), "prediction": prediction(GOOD)})
    document = cloud.only_document()
    assert document["cost"]["device"] == {"seconds": 0.02, "usd": 0.01}
    assert document["lineage"]["service_revisions"]["postprocess"] == "postprocess-2"


def test_some_errors_make_a_result_partial(cloud: Cloud, postprocess: FlaskClient) -> None:
    body = {"argument": argument(cloud), "prediction": prediction(BAD, UNLIKELY)}
    assert concluded(postprocess, body)["status"] == "partial"
    assert cloud.only_document()["predictions"] == [BAD, UNLIKELY]


def test_a_truncated_text_is_marked(cloud: Cloud, postprocess: FlaskClient) -> None:
    predictions = [GOOD | {"truncated": True}, GOOD]
    concluded(postprocess, {"argument": argument(cloud), "prediction": prediction(*predictions)})
    assert cloud.only_document()["predictions"] == predictions


ENTITY = {"entity_group": "PER", "score": 0.9, "word": "angela", "start": 0, "end": 6}
TOKEN = {"entity": "B-PER", "index": 1, "score": 0.7, "word": "angela", "start": 0, "end": 6}
FOUND = {"label": "cat", "score": 0.55, "box": {"xmin": -1, "ymin": 0, "xmax": 10, "ymax": 20}}


@pytest.mark.parametrize(
    ("predictions", "confidence"),
    [
        ([{"entities": [ENTITY, TOKEN]}, {"entities": []}], 0.7),
        ([{"entities": []}], None),
        ([{"objects": [FOUND, FOUND | {"score": 0.99}]}], 0.55),
        ([{"embedding": [0.5, -1.5], "truncated": True}], None),
        ([{"embedding": [0.5]}, BAD], None),
        ([GOOD, {"entities": [TOKEN]}], 0.7),
    ],
)
def test_every_task_has_a_document_and_confidence_only_where_there_are_scores(
    cloud: Cloud, postprocess: FlaskClient, predictions: list[dict[str, Any]], confidence: float | None
) -> None:
    concluded(postprocess, {"argument": argument(cloud), "prediction": prediction(*predictions)})
    document = cloud.only_document()
    assert document["predictions"] == predictions
    assert document["quality"] == {
        "confidence": confidence,
        "high_confidence": False,
        "requires_review": confidence is not None and confidence < 0.6,
    }


@pytest.mark.parametrize(
    "broken", [{"entities": [{"word": "a"}]}, {"embedding": []}, {"embedding": ["x"]}, {"objects": 1}]
)
def test_a_prediction_of_another_shape_is_refused(
    cloud: Cloud, postprocess: FlaskClient, broken: dict[str, Any]
) -> None:
    body = {"argument": argument(cloud), "prediction": prediction(broken), "lineage": LINEAGE}
    assert postprocess.post("/", json=body).status_code == 400


def test_a_prediction_with_only_errors_is_a_rejection(cloud: Cloud, postprocess: FlaskClient) -> None:
    answer = concluded(postprocess, {"argument": argument(cloud), "prediction": prediction(BAD)})
    assert answer["status"] == "rejected"
    assert cloud.only_document()["reason"] == BAD["error"]


def test_an_upload_that_is_gone_when_the_service_reads_it_is_a_rejection(
    cloud: Cloud, function: Function, postprocess: FlaskClient
) -> None:
    missing = {"error": {"code": "object_not_found", "message": "There is no object gs://input/a.png."}}
    arg = argument(cloud, "a.png", b"png")
    answer = concluded(postprocess, {"argument": arg, "prediction": prediction(missing)})
    assert (answer["status"], cloud.only_document()["reason"]["code"]) == ("rejected", "input_gone")
    function("on_message").post("/", **published(b'{"instances": [{"text": "a"}]}'))
    (message,) = cloud.executions.arguments
    staged = concluded(postprocess, {"argument": message, "prediction": prediction(missing)})
    assert staged["status"] == "failed", "a staged object is not the sender's"


def test_a_forecast_has_a_csv(cloud: Cloud, postprocess: FlaskClient) -> None:
    arg = argument(cloud, "in/s.csv", "date,value\n", "timeseries")
    concluded(postprocess, {"argument": arg, "prediction": FORECAST})
    name = f"results/{arg['document']}.csv"
    blob = cloud.output.get_blob(name)
    text = "date,prediction,lower,upper\n2026-01-01,1.5,1.0,2.0\n2026-01-02,2.5,2.0,3.0\n"
    assert blob.download_as_bytes().decode() == text
    assert blob.content_type == "text/csv; charset=utf-8"
    assert cloud.output.blob("latest/in/s.csv.predictions.csv").download_as_bytes().decode() == text
    document = cloud.only_document()
    assert document["data"] == {
        "uri": f"gs://{cloud.output.name}/{name}",
        "records": 2,
        "succeeded": 2,
        "failed": 0,
        "errors": {},
    }
    assert document["forecast"] == {"series": {"frequency": "D"}, "backtest": {"mae": 1.0}}
    assert document["cost"]["device"]["usd"] == 0
    assert document["quality"]["confidence"] is None


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (
            {"step": "preprocess", "status": 422, "code": "truncated_image", "message": "It ends."},
            "rejected",
            "truncated_image",
        ),
        (
            {"step": "predict", "status": 404, "code": "unknown_model", "message": "No model."},
            "rejected",
            "unknown_model",
        ),
        (
            {"step": "predict", "status": 400, "code": "invalid_instances", "message": "m"},
            "rejected",
            "invalid_instances",
        ),
        (
            {"step": "predict", "status": 400, "code": "malformed_request", "message": "m"},
            "failed",
            "malformed_request",
        ),
        ({"step": "predict", "status": 403, "code": None, "message": "m"}, "failed", "http_403"),
        ({"step": "predict", "status": 429, "code": "overloaded", "message": "m"}, "failed", "overloaded"),
        ({"step": "predict", "status": 500, "code": "internal", "message": "m"}, "failed", "internal"),
        ({"step": "predict", "status": 503, "code": None, "message": None}, "failed", "http_503"),
        (
            {"step": "predict", "status": None, "code": None, "message": {"tags": ["TimeoutError"]}},
            "failed",
            "execution_error",
        ),
        ({}, "failed", "execution_error"),
    ],
    ids=str,
)
def test_an_error_is_a_rejection_or_a_failure(
    cloud: Cloud, postprocess: FlaskClient, error: dict[str, Any], status: str, code: str
) -> None:
    arg = argument(cloud)
    body = {"argument": arg, "error": error or {"step": None}}
    assert concluded(postprocess, body)["status"] == status
    assert list(cloud.documents()) == [f"{status}/{arg['document']}.json"]
    document = cloud.only_document()
    assert document["reason" if status == "rejected" else "error"]["code"] == code
    assert document["lineage"]["execution"] == LINEAGE["execution"]


def test_a_failed_document_has_its_replay_command(cloud: Cloud, function: Function) -> None:
    arg = argument(cloud, "it's here.txt")
    error = {"step": "predict", "status": 500, "code": "internal", "message": "m"}
    concluded(function("postprocess"), {"argument": arg, "error": error})
    document = cloud.only_document()
    assert document["error"]["step"] == "predict"
    prefix = f"it'\"'\"'s here.txt/{arg['input']['generation']}.json"
    assert document["replay"] == (
        f'gcloud pubsub topics publish messages --message=\'{{"replay": {{"prefix": "{prefix}"}}}}\''
    )

    function("on_message").post("/", **published(b'{"instances": [{"text": "a"}]}'))
    (message,) = cloud.executions.arguments
    concluded(function("postprocess"), {"argument": message, "error": error})
    document = cloud.documents()["failed/messages/messages/id-1001.json"]
    assert '{"prefix": "messages/messages/id-1001.json"}' in document["replay"]


# --- one outcome -----------------------------------------------------------------------------------


def test_a_repeated_call_returns_the_same_document(cloud: Cloud, postprocess: FlaskClient) -> None:
    arg = argument(cloud)
    first = concluded(postprocess, {"argument": arg, "prediction": prediction(GOOD)})
    document = cloud.only_document()
    assert concluded(postprocess, {"argument": arg, "prediction": prediction(UNLIKELY)}) == first
    error = {"step": "predict", "status": 500, "code": "internal", "message": "m"}
    assert concluded(postprocess, {"argument": arg, "error": error}) == first
    assert cloud.only_document() == document


def bodies(arg: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number in range(3):
        yield {"argument": arg, "prediction": prediction(GOOD | {"score": number / 10})}
        yield {"argument": arg, "error": {"step": "s", "status": 422, "code": f"code_{number}", "message": "m"}}
        yield {"argument": arg, "error": {"step": "s", "status": 500, "code": f"code_{number}", "message": "m"}}


def test_one_of_many_racing_executions_decides(cloud: Cloud, postprocess: FlaskClient) -> None:
    arg = argument(cloud)
    answers: list[dict[str, Any]] = []
    tasks = list(bodies(arg))
    gate = threading.Barrier(len(tasks))

    def conclude(body: dict[str, Any]) -> None:
        gate.wait()
        answers.append(concluded(postprocess.application.test_client(), body))

    threads = [threading.Thread(target=conclude, args=(body,)) for body in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cloud.documents()) == 1
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert len(answers) == len(tasks)
    assert cloud.documents("latest").popitem()[1] == cloud.only_document()


def test_racing_forecasts_leave_one_csv(cloud: Cloud, postprocess: FlaskClient) -> None:
    arg = argument(cloud, "s.csv", "date,value\n", "timeseries")
    gate = threading.Barrier(4)

    def conclude(number: int) -> None:
        rows = [row | {"prediction": number} for row in FORECAST["predictions"]]  # type: ignore[operator]
        gate.wait()
        body = {"argument": arg, "prediction": FORECAST | {"predictions": rows[: number + 1]}}
        concluded(postprocess.application.test_client(), body)

    threads = [threading.Thread(target=conclude, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    document = cloud.only_document()
    text = cloud.output.blob(f"results/{arg['document']}.csv").download_as_bytes().decode()
    assert len(text.splitlines()) == document["data"]["records"] + 1
    assert cloud.output.blob("latest/s.csv.predictions.csv").download_as_bytes().decode() == text


@pytest.mark.parametrize("folder", ["merged/", "outcomes/", "results/", "latest/"])
def test_an_interrupted_call_is_completed_by_the_next(cloud: Cloud, postprocess: FlaskClient, folder: str) -> None:
    arg = argument(cloud, "s.csv", "date,value\n", "timeseries")
    fault = cloud.fault("POST", f"name={folder}", status=403)
    body = {"argument": arg, "prediction": FORECAST, "lineage": LINEAGE}
    assert postprocess.post("/", json=body).status_code == 503
    assert not fault.times
    assert concluded(postprocess, body)["status"] == "succeeded"
    assert {blob.name for blob in cloud.client.list_blobs(cloud.output)} == {
        f"results/{arg['document']}.json",
        f"results/{arg['document']}.csv",
        "latest/s.csv.json",
        "latest/s.csv.predictions.csv",
    }


@pytest.mark.parametrize("target", ["results/", "latest/"])
def test_data_that_were_not_copied_are_copied_by_the_next_call(
    cloud: Cloud, postprocess: FlaskClient, target: str
) -> None:
    given = argument(cloud, "s.csv", "date,value\n", "timeseries")
    body = {"argument": given, "prediction": FORECAST, "lineage": LINEAGE}
    fault = cloud.fault("POST", "/rewriteTo/", f"/o/{target}", status=403)
    assert postprocess.post("/", json=body).status_code == 503
    assert not fault.times
    error = {"step": "predict", "status": 500, "code": "internal", "message": "m"}
    assert concluded(postprocess, {"argument": given, "error": error})["status"] == "succeeded"
    for name in (f"results/{given['document']}.csv", "latest/s.csv.predictions.csv"):
        assert cloud.output.blob(name).download_as_bytes().startswith(b"date,prediction")


def test_another_execution_completes_the_outcome_of_a_dead_one(cloud: Cloud, postprocess: FlaskClient) -> None:
    arg = argument(cloud)
    cloud.fault("POST", "name=results/", status=403)
    body = {"argument": arg, "prediction": prediction(GOOD), "lineage": LINEAGE}
    assert postprocess.post("/", json=body).status_code == 503
    assert not cloud.documents()
    error = {"step": "predict", "status": 500, "code": "internal", "message": "m"}
    assert concluded(postprocess, {"argument": arg, "error": error})["status"] == "succeeded"
    assert cloud.only_document()["predictions"] == [GOOD]


# --- latest ----------------------------------------------------------------------------------------


def test_without_latest_an_input_takes_a_write_less(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []
    for keep in ("true", "false"):
        monkeypatch.setenv("KEEP_LATEST", keep)
        outcome = argument(cloud, f"{keep}.txt")
        cloud.faulty.requests.clear()
        concluded(function("postprocess"), {"argument": outcome, "prediction": prediction(GOOD)})
        writes.append(sum(method == "POST" for method, _ in cloud.faulty.requests))
    assert writes == [3, 2]
    assert list(cloud.documents("latest")) == ["latest/true.txt.json"]
    assert len(cloud.documents()) == 2


def test_latest_never_goes_back(cloud: Cloud, postprocess: FlaskClient) -> None:
    generations = [argument(cloud, "a.txt") for _ in range(3)]
    for index, newest in ((1, 1), (0, 1), (2, 2), (1, 2)):
        concluded(postprocess, {"argument": generations[index], "prediction": prediction(GOOD)})
        latest = cloud.documents("latest")["latest/a.txt.json"]
        assert latest["input"]["generation"] == generations[newest]["input"]["generation"]
    assert len(cloud.documents()) == 3


def test_the_data_in_latest_never_goes_back_either(cloud: Cloud, postprocess: FlaskClient) -> None:
    generations = [argument(cloud, "s.csv", "date,value\n", "timeseries") for _ in range(3)]
    for index, newest in ((1, 1), (0, 1), (2, 2), (1, 2)):
        rows = [row | {"prediction": float(index)} for row in FORECAST["predictions"]]  # type: ignore[operator]
        body = {"argument": generations[index], "prediction": FORECAST | {"predictions": rows}}
        concluded(postprocess, body)
        text = cloud.output.blob("latest/s.csv.predictions.csv").download_as_bytes().decode()
        assert text.splitlines()[1].split(",")[1] == f"{newest}.0"


def test_latest_is_the_newest_after_a_race(cloud: Cloud, postprocess: FlaskClient) -> None:
    generations = [argument(cloud, "a.txt") for _ in range(6)]
    gate = threading.Barrier(len(generations))

    def conclude(arg: dict[str, Any]) -> None:
        gate.wait()
        concluded(postprocess.application.test_client(), {"argument": arg, "prediction": prediction(GOOD)})

    threads = [threading.Thread(target=conclude, args=(given,)) for given in generations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cloud.documents()) == 6
    latest = cloud.documents("latest")["latest/a.txt.json"]
    assert latest["input"]["generation"] == generations[-1]["input"]["generation"]


def forecast(cloud: Cloud, name: str = "s.csv") -> dict[str, Any]:
    return {"argument": argument(cloud, name, "date,value\n", "timeseries"), "prediction": FORECAST}


def rejection(cloud: Cloud, name: str = "s.csv") -> dict[str, Any]:
    error = {"step": "forecast", "status": 422, "code": "too_short", "message": "It is too short."}
    return {"argument": argument(cloud, name, "date,value\n", "timeseries"), "error": error}


def copies(cloud: Cloud) -> list[str]:
    return [blob.name for blob in cloud.client.list_blobs(cloud.output, prefix="latest/")]


def test_data_of_an_older_generation_do_not_stay_in_latest(cloud: Cloud, postprocess: FlaskClient) -> None:
    older, newer = forecast(cloud), rejection(cloud)
    concluded(postprocess, older)
    assert copies(cloud) == ["latest/s.csv.json", "latest/s.csv.predictions.csv"]
    concluded(postprocess, newer)
    assert copies(cloud) == ["latest/s.csv.json"]


def test_a_slow_older_generation_leaves_no_data_in_latest(cloud: Cloud, postprocess: FlaskClient) -> None:
    older, newer = forecast(cloud), rejection(cloud)
    concluded(postprocess, newer)
    concluded(postprocess, older)
    assert copies(cloud) == ["latest/s.csv.json"]
    assert cloud.documents("latest")["latest/s.csv.json"]["status"] == "rejected"


def test_a_removal_from_latest_that_was_interrupted_is_resumed(cloud: Cloud, postprocess: FlaskClient) -> None:
    older, newer = forecast(cloud), rejection(cloud)
    concluded(postprocess, older)
    cloud.fault("DELETE", "latest/s.csv.predictions.csv", status=403)
    assert postprocess.post("/", json=newer | {"lineage": LINEAGE}).status_code == 503
    concluded(postprocess, newer)
    assert copies(cloud) == ["latest/s.csv.json"]


def test_an_input_that_is_gone_does_not_change_latest(cloud: Cloud, postprocess: FlaskClient) -> None:
    older, newer = forecast(cloud), rejection(cloud)
    newer["error"]["code"] = "input_gone"
    concluded(postprocess, older)
    concluded(postprocess, newer)
    assert cloud.documents("latest")["latest/s.csv.json"]["status"] == "succeeded"
    assert len(copies(cloud)) == 2


def test_messages_have_no_latest(cloud: Cloud, function: Function) -> None:
    function("on_message").post("/", **published(b'{"instances": [{"text": "a"}]}'))
    (message,) = cloud.executions.arguments
    concluded(function("postprocess"), {"argument": message, "prediction": prediction(GOOD)})
    assert list(cloud.documents("results", "latest")) == ["results/messages/messages/id-1001.json"]


def test_an_early_rejection_and_a_late_result_give_one_document(cloud: Cloud, function: Function) -> None:
    arg = argument(cloud, "a.txt", b"")
    blob = cloud.input.get_blob("a.txt")
    function("on_upload").post("/", **finalized(blob))
    answer = concluded(function("postprocess"), {"argument": arg, "prediction": prediction(GOOD)})
    assert answer["status"] == "rejected"
    assert len(cloud.documents()) == 1


# --- malformed requests ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"argument": {}, "lineage": LINEAGE, "error": {}},
        {"prediction": prediction(GOOD), "lineage": None},
        {"prediction": prediction(GOOD), "lineage": {"service_revisions": []}, "error": {"step": "x"}},
        {"prediction": prediction(GOOD), "lineage": {"execution": 7}},
        {"prediction": prediction(GOOD), "error": {"step": "x"}, "lineage": LINEAGE},
        {"prediction": [GOOD], "lineage": LINEAGE},
        {"lineage": LINEAGE},
    ],
    ids=str,
)
def test_a_malformed_body_is_a_bad_request(cloud: Cloud, postprocess: FlaskClient, body: dict[str, Any]) -> None:
    response = postprocess.post("/", json={"argument": argument(cloud)} | body)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"]["code"] == "malformed_request"
    assert not cloud.documents()


def test_an_invalid_answer_is_malformed_rather_than_a_rejection(cloud: Cloud, postprocess: FlaskClient) -> None:
    for answer in ({"model": MODEL}, {"predictions": []}, {"predictions": [{"score": "high"}]}):
        body = {"argument": argument(cloud), "prediction": answer, "lineage": LINEAGE}
        assert postprocess.post("/", json=body).status_code == 400
    assert not cloud.documents()
