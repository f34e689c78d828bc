"""Labels by message and by file: where they are kept, what they say of an experiment, and what is refused."""

import json
from typing import Any

import pytest

from pipeline.jobs import job
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
EXPERIMENT = {"id": "e1", "arm": "candidate", "share": 0.1, "mode": "split"}


@pytest.fixture
def answered(cloud: Cloud, function: Function) -> Any:
    """Gives an input its document: an upload, predicted on with a label."""

    def answer(name: str, label: str = "POSITIVE", experiment: dict[str, Any] | None = None, **changes: Any) -> str:
        blob = cloud.upload(name, "A film.")
        id = job.of_object(cloud.input.name, name, blob.generation)
        argument = {
            "job": id, "document": f"{name}/{blob.generation}", "event_id": "1", "received_at": "2026-01-01T00:00:00Z",
            "input": {"bucket": cloud.input.name, "name": name, "generation": str(blob.generation), "size": 7,
                      "content_type": "text/plain"},
            "kind": "text", "model": {"name": "m", "version": "2"}, "parameters": {}, "trace": None,
        }  # fmt: skip
        if experiment:
            argument["model"] |= {"experiment": experiment}
        prediction = {
            "predictions": [{"label": label, "score": 0.75}],
            "model": {"name": "m", "version": "2"},
            "timing": {"queue_ms": 1.0, "inference_ms": 2.5, "gpu_seconds": 0.004},
        }
        body = {"argument": argument, "lineage": {"execution": "e"}, "prediction": prediction, **changes}
        if "error" in changes:
            del body["prediction"]
        assert function("postprocess").post("/", json=body).status_code == 200
        return id

    return answer


def send(function: Function, label: object, message_id: str = "1") -> int:
    request = published(json.dumps({"label": label}).encode(), message_id)
    return function("on_message").post("/", **request).status_code


def observations(cloud: Cloud) -> dict[str, Any]:
    """The contents of all observations, by name."""
    return {
        blob.name.removeprefix("observations/"): json.loads(blob.metadata["observation"])
        for blob in cloud.client.list_blobs(cloud.output, prefix="observations/")
    }


def labels(cloud: Cloud, id: str) -> Any:
    return json.loads(cloud.output.blob(f"labels/{id}.json").download_as_bytes())


@pytest.mark.parametrize("by", ["name", "job", "document"])
def test_a_label_is_kept_for_its_input(cloud: Cloud, function: Function, answered: Any, by: str) -> None:
    id = answered("in/a.txt")
    (document,) = cloud.documents()
    target = {"name": "in/a.txt", "job": id, "document": document}[by]
    assert send(function, {by: target, "label": "NEGATIVE", "source": "audit"}) == 200
    kept = labels(cloud, id)
    assert kept.pop("time")
    assert kept == {
        "job": id, "document": document.removeprefix("results/").removesuffix(".json"), "label": "NEGATIVE",
        "source": "audit",
    }  # fmt: skip
    assert observations(cloud) == {}  # it takes part in no experiment
    assert list(cloud.documents()) == [document]


def test_an_experiment_s_input_leaves_its_outcome_and_its_label_once(
    cloud: Cloud, function: Function, answered: Any
) -> None:
    id = answered("a.txt", experiment=EXPERIMENT)
    served = {
        "arm": "candidate", "mode": "split", "share": 0.1, "sampled": False, "outcome": "succeeded", "ms": 3.5,
        "label": "POSITIVE", "confidence": 0.75, "gpu_us": 4000,
    }  # fmt: skip
    assert observations(cloud) == {f"e1/{id}.served": served}


def test_an_answer_without_a_time_of_its_own_is_not_taken_for_a_fast_one(
    cloud: Cloud, function: Function, answered: Any
) -> None:
    untimed = {"predictions": [{"label": "POSITIVE", "score": 0.75}], "model": {"name": "m", "version": "2"}}
    id = answered("a.txt", experiment=EXPERIMENT, prediction=untimed)
    assert "ms" not in observations(cloud)[f"e1/{id}.served"]


def test_failures_are_observed_before_their_replay(cloud: Cloud, function: Function, answered: Any) -> None:
    error = {"step": "predict", "status": 500, "code": "inference_failed", "message": "no"}
    id = answered("a.txt", experiment=EXPERIMENT, error=error)
    found = observations(cloud)[f"e1/{id}.served"]
    assert (found["outcome"], found["ms"], found.get("label")) == ("failed", None, None)
    assert send(function, {"replay": {}}) == 200


def relabel(*sources: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": "a.txt", "label": label, "source": source} for label, source in sources]


@pytest.mark.parametrize(
    ("sent", "label", "corrected"),
    [
        (relabel(("NEGATIVE", "audit")), "NEGATIVE", False),
        (relabel(("NEGATIVE", "annotation"), ("POSITIVE", "audit")), "POSITIVE", False),
        (relabel(("NEGATIVE", "correction")), None, True),
        (relabel(("POSITIVE", "correction")), None, False),  # which confirms the answer
        (relabel(("NEGATIVE", "audit"), ("NEUTRAL", "correction")), "NEGATIVE", True),
        (relabel(("NEUTRAL", "correction"), ("NEGATIVE", "audit")), "NEGATIVE", True),
    ],
)
def test_only_unselected_labels_tell_accuracy(
    cloud: Cloud, function: Function, answered: Any, sent: list[dict[str, str]], label: str | None, corrected: bool
) -> None:
    id = answered("a.txt", experiment=EXPERIMENT)
    for number, each in enumerate([*sent, *sent]):  # messages are delivered more than once
        assert send(function, each, str(number)) == 200
    assert observations(cloud)[f"e1/{id}.label"] == {"label": label, "corrected": corrected}
    assert len(labels(cloud, id).get("earlier", ())) == len(sent) - 1


def test_a_label_ahead_of_its_document_is_delivered_again(cloud: Cloud, function: Function, answered: Any) -> None:
    cloud.upload("a.txt", "A film.")
    label = {"name": "a.txt", "label": "x", "source": "audit"}
    assert send(function, label) == 503
    assert cloud.documents() == {}
    id = answered("a.txt")
    assert send(function, label) == 200
    assert labels(cloud, id)["label"] == "x"


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ({"name": "unknown.txt", "label": "x", "source": "audit"}, "unknown_input"),
        ({"job": "0" * 32, "label": "x", "source": "audit"}, "unknown_input"),
        ({"document": "a.txt/7", "label": "x", "source": "audit"}, "unknown_input"),
        ({"name": "a.txt", "label": "x", "source": "guess"}, "invalid_label"),
        ({"name": "a.txt", "label": "x"}, "invalid_label"),
        ({"name": "a.txt", "label": " ", "source": "audit"}, "invalid_label"),
        ({"name": "a.txt", "label": "x" * 501, "source": "audit"}, "invalid_label"),
        ({"name": "a.txt", "job": "0", "label": "x", "source": "audit"}, "invalid_label"),
        ({"label": "x", "source": "audit"}, "invalid_label"),
        ({"name": "a.txt", "label": 1, "source": "audit"}, "invalid_label"),
        ({"name": "a.txt", "label": "x", "source": "audit", "weight": 2}, "invalid_label"),
        ("a.txt", "invalid_label"),
    ],
)
def test_a_label_that_cannot_be_used_is_rejected(cloud: Cloud, function: Function, label: object, code: str) -> None:
    assert send(function, label) == 200
    assert cloud.only_document()["reason"]["code"] == code


def test_an_answer_of_several_labels_cannot_be_wrong(cloud: Cloud, function: Function, answered: Any) -> None:
    answered("a.txt", prediction={"predictions": [{"embedding": [1.0, 2.0]}], "model": {"name": "m"}})
    assert send(function, {"name": "a.txt", "label": "x", "source": "audit"}) == 200
    (rejected,) = cloud.documents("rejected").values()
    assert rejected["reason"]["code"] == "invalid_label"


def upload(cloud: Cloud, function: Function, content: str | bytes, name: str = "labels/audit.csv") -> int:
    blob = cloud.upload(name, content, "text/csv" if name.endswith("csv") else "text/plain")
    return function("on_upload").post("/", **finalized(blob)).status_code


def test_a_file_of_labels_ends_in_one_document_that_names_its_bad_rows(
    cloud: Cloud, function: Function, answered: Any
) -> None:
    ids = [answered(f"{number}.txt", experiment=EXPERIMENT) for number in range(3)]
    rows = 'Name;Label;Source;note\n0.txt;POSITIVE;audit;\n1.txt;"NEG;A";annotation;x\nno.txt;x;audit;\n2.txt;;audit;\n'
    assert upload(cloud, function, "\ufeff" + rows) == 200
    assert labels(cloud, ids[1])["label"] == "NEG;A"
    assert {name for name in observations(cloud) if name.endswith("label")} == {f"e1/{id}.label" for id in ids[:2]}
    (document,) = [found for name, found in cloud.documents().items() if name.startswith("results/labels/")]
    assert (document["schema"], document["status"], document["kind"]) == ("labels/v1", "partial", "labels")
    assert document["labels"] == {
        "rows": 4, "kept": 2, "known": 0, "failed": 2, "errors": {"unknown_input": 1, "invalid_label": 1},
        "reasons": [
            {"row": 2, "code": "unknown_input", "message": "There is no input with the name 'no.txt'."},
            {"row": 3, "code": "invalid_label", "message": "label must be a text of 1 to 500 characters."},
        ],
    }  # fmt: skip
    assert cloud.executions.arguments == []


@pytest.mark.parametrize("size", ["0", "1", str(1 << 40)])
def test_a_size_that_an_event_states_wrongly_changes_nothing(
    cloud: Cloud, function: Function, answered: Any, size: str
) -> None:
    answered("0.txt")
    blob = cloud.upload("labels/audit.csv", "name,label,source\n0.txt,x,audit\n", "text/csv")
    assert function("on_upload").post("/", **finalized(blob, size=size)).status_code == 200
    document = cloud.documents()[f"results/labels/audit.csv/{blob.generation}.json"]
    assert (document["status"], document["input"]["size"]) == ("succeeded", blob.size)


def test_a_file_whose_header_cannot_be_read_is_rejected(cloud: Cloud, function: Function) -> None:
    assert upload(cloud, function, 'name,label,"' + "x" * 3_000_000) == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_csv"


def test_a_file_of_labels_has_no_label_itself(cloud: Cloud, function: Function, answered: Any) -> None:
    answered("0.txt")
    assert upload(cloud, function, "name,label,source\n0.txt,x,audit\n") == 200
    assert send(function, {"name": "labels/audit.csv", "label": "x", "source": "audit"}) == 200
    (rejected,) = cloud.documents("rejected").values()
    assert rejected["reason"]["code"] == "invalid_label"


def test_a_file_waits_for_documents_and_keeps_no_label_twice(cloud: Cloud, function: Function, answered: Any) -> None:
    answered("0.txt")
    cloud.upload("1.txt", "A film.")
    rows = "name,label,source\n0.txt,x,audit\n1.txt,x,audit\n"
    assert upload(cloud, function, rows) == 503
    answered("1.txt")
    blob = cloud.input.get_blob("labels/audit.csv")
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    (document,) = [found for name, found in cloud.documents().items() if name.startswith("results/labels/")]
    assert (document["status"], document["labels"]["kept"], document["labels"]["known"]) == ("succeeded", 1, 1)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("name,label\na.txt,x\n", "invalid_label"),
        ("label,source\nx,audit\n", "invalid_label"),
        ("name,label,source\n", "empty"),
        ("", "invalid_label"),
        ("name,label,source\n" + "a.txt,x,audit\n" * 2001, "too_large"),
    ],
)
def test_a_file_that_holds_no_labels_is_rejected(cloud: Cloud, function: Function, content: str, code: str) -> None:
    assert upload(cloud, function, content) == 200
    document = cloud.only_document()
    assert (document["reason"]["code"], document["kind"]) == (code, "labels")


def test_other_inputs_may_lie_in_the_folder(cloud: Cloud, function: Function) -> None:
    assert upload(cloud, function, "A wonderful film.", "labels/review.txt") == 200
    (argument,) = cloud.executions.arguments
    assert argument["kind"] == "text"


def test_an_input_is_found_by_its_name_without_latest(
    cloud: Cloud, function: Function, answered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEP_LATEST", "false")
    id = answered("a.txt")
    assert send(function, {"name": "a.txt", "label": "NEGATIVE", "source": "correction"}) == 200
    assert labels(cloud, id)["label"] == "NEGATIVE"
    cloud.upload("b.txt", "Not yet predicted on.")
    assert send(function, {"name": "b.txt", "label": "NEGATIVE", "source": "correction"}) == 503
