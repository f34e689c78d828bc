"""What documents say about the choice of their model, and the answers of candidates that no sender sees."""

from typing import Any

import pytest

from pipeline.routing import choice
from tests.functions import gpu
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function
from tests.functions.models_bucket import IMAGE, ModelsBucket, entry, split
from tests.functions.routing.test_choice import SENTIMENT, started
from tests.functions.test_postprocess import BAD, GOOD, LINEAGE, MODEL, argument, concluded, prediction
from tests.functions.test_workbooks import workbook

pytestmark = pytest.mark.usefixtures("check_documents")

SPLIT = {"id": "e1", "arm": "candidate", "share": 0.1, "mode": "split"}
SHADOW = {"id": "e1", "arm": "stable", "share": 0.1, "mode": "shadow"}
CHOSEN = {"name": "sentiment", "version": "2", "chosen_by": "rule", "rule": "reviews", "version_by": "traffic"}
UNSERVED = {"step": "predict", "status": 404, "code": "model_not_found", "message": "It has no version '2'."}


def of_version(version: str) -> dict[str, Any]:
    return prediction(GOOD) | {"model": MODEL | {"version": version}}


def test_a_document_names_the_choice_and_the_experiment(cloud: Cloud, function: Function) -> None:
    arg = argument(cloud) | {"model": {**CHOSEN, "experiment": {**SPLIT, "stable": "1"}}, "notes": ["A note."]}
    concluded(function("postprocess"), {"argument": arg, "prediction": of_version("2")})
    assert cloud.only_document()["routing"] == {
        "chosen_by": "rule", "rule": "reviews", "version_by": "traffic", "experiment": SPLIT, "notes": ["A note."],
    }  # fmt: skip


def test_a_document_says_that_the_stable_version_answered_for_the_candidate(cloud: Cloud, function: Function) -> None:
    arg = argument(cloud) | {"model": {**CHOSEN, "experiment": {**SPLIT, "stable": "1"}}}
    concluded(function("postprocess"), {"argument": arg, "prediction": of_version("1")})
    document = cloud.only_document()
    assert document["model"]["version"] == "1"
    assert (document["routing"]["experiment"], document["routing"]["unserved"]) == (SPLIT, "2")


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        (CHOSEN, "failed"),
        ({"name": "sentiment", "version": "1", "chosen_by": "default", "version_by": "traffic"}, "failed"),
        ({"name": "sentiment", "version": None, "chosen_by": "rule", "rule": "reviews"}, "failed"),
        ({"name": "unheard-of", "version": None, "chosen_by": "requested"}, "rejected"),
        ({"name": "sentiment", "version": "9", "chosen_by": "requested", "version_by": "requested"}, "rejected"),
        (None, "rejected"),
    ],
)
def test_only_an_input_that_names_what_is_not_served_is_rejected(
    cloud: Cloud, function: Function, model: dict[str, Any] | None, folder: str
) -> None:
    arg = argument(cloud) | {"model": model}
    concluded(function("postprocess"), {"argument": arg, "error": UNSERVED})
    ((name, document),) = cloud.documents().items()
    assert name.startswith(folder)
    assert document.get("model") == (model and {"name": model["name"], "version": model["version"]})


def shadowed(cloud: Cloud, function: Function, **shadow: Any) -> dict[str, Any]:
    """The object that keeps a candidate's answer."""
    arg = argument(cloud) | {"model": {**CHOSEN, "version": "1", "experiment": {**SHADOW, "candidate": "2"}}}
    postprocess = function("postprocess")
    for _ in range(2):  # a retry changes nothing
        answer = concluded(postprocess, {"argument": arg, "shadow": {"prediction": None, "error": None, **shadow}})
    ((name, document),) = cloud.documents("shadow").items()
    assert answer == {"document": f"gs://{cloud.output.name}/{name}"}
    assert name == f"shadow/{arg['document']}.json"
    assert cloud.documents("results", "rejected", "failed", "latest") == {}
    assert document["experiment"] == {**SHADOW, "arm": "candidate"}
    return document


def test_a_candidate_s_answer_is_kept_apart_from_the_document(cloud: Cloud, function: Function) -> None:
    document = shadowed(cloud, function, prediction=of_version("2") | {"revision": "gpu-7"})
    assert document["predictions"] == [GOOD]
    assert (document["model"]["version"], document["timing"]["inference_ms"]) == ("2", 20.0)
    assert document["lineage"]["service_revisions"]["gpu_service"] == "gpu-7"
    assert document["cost"]["device"] == {"seconds": 0.02, "usd": pytest.approx(0.02 * 0.0002907)}


@pytest.mark.parametrize(
    ("shadow", "code"),
    [
        ({"error": UNSERVED}, "model_not_found"),
        ({"error": {"step": "shadow", "status": 503, "code": None, "message": "…"}}, "http_503"),
        ({"prediction": "not JSON"}, "invalid_answer"),
        ({"prediction": {"predictions": []}}, "invalid_answer"),
    ],
)
def test_a_candidate_s_failure_is_kept_as_its_answer(
    cloud: Cloud, function: Function, shadow: dict[str, Any], code: str
) -> None:
    document = shadowed(cloud, function, **shadow)
    assert document["error"]["code"] == code
    assert document["model"] == {"name": "sentiment", "version": "2"}


def test_an_instance_that_the_candidate_cannot_predict_on_is_its_answer(cloud: Cloud, function: Function) -> None:
    assert shadowed(cloud, function, prediction=prediction(BAD))["predictions"] == [BAD]


@pytest.mark.parametrize("shadow", [None, {}, {"prediction": {}, "error": {}}])
def test_a_call_that_is_not_about_a_shadow_is_refused(cloud: Cloud, function: Function, shadow: Any) -> None:
    arg = argument(cloud) | {"model": {**CHOSEN, "experiment": {**SHADOW, "candidate": "2"}}}
    for body in ({"argument": arg, "shadow": shadow}, {"argument": arg | {"model": CHOSEN}, "shadow": {"error": {}}}):
        assert function("postprocess").post("/", json=body | {"lineage": LINEAGE}).status_code == 400


# --- batches ----------------------------------------------------------------------------------------


def batch(cloud: Cloud, function: Function, arg: dict[str, Any]) -> dict[str, Any]:
    response = function("preprocess").post("/", json=arg)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def test_a_table_takes_part_with_the_default_model_as_a_whole(
    cloud: Cloud, function: Function, bucket: ModelsBucket
) -> None:
    bucket.models(*SENTIMENT, entry("digits", task=IMAGE))
    bucket.traffic(sentiment=split(1.0))
    arg = started(cloud, function, "review,n\nA wonderful film.,1\nA dull one.,2\n", name="reviews.csv")
    assert arg["model"] is None
    cut = batch(cloud, function, arg)
    assert (cut["model"]["name"], cut["model"]["version"], cut["model"]["experiment"]["arm"]) == (
        "sentiment", "2", "candidate",
    )  # fmt: skip
    bucket.traffic(sentiment=split(0.0))
    assert batch(cloud, function, arg)["model"] == cut["model"]
    gpu.predict(cloud, cut)
    concluded(function("postprocess"), {"argument": arg, "batch": cut | {"errors": []}})
    routing = cloud.only_document()["routing"]
    assert routing["experiment"] == {"id": "e1", "arm": "candidate", "share": 1.0, "mode": "split"}
    assert routing["unserved"] == "2"  # the stand-in for the GPU service answers as version 1


def test_a_batch_that_is_replayed_after_the_experiment_has_ended_goes_to_the_stable_version(
    cloud: Cloud, function: Function, bucket: ModelsBucket
) -> None:
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(1.0))
    arg = started(cloud, function, "review,n\nA wonderful film.,1\nA dull one.,2\n", name="reviews.csv")
    assert batch(cloud, function, arg)["model"]["version"] == "2"
    bucket.traffic(sentiment=split(1.0, candidate=None))
    choice._files.cache_clear()
    again = batch(cloud, function, arg)
    assert again["model"] == {"name": "sentiment", "version": "1", "chosen_by": "default", "version_by": "traffic"}
    assert batch(cloud, function, arg) == again


def test_a_table_of_images_goes_to_no_model_of_texts(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(*SENTIMENT, routes=[{"name": "tables", "when": {"kind": "table"}, "model": "sentiment"}])
    texts = started(cloud, function, "review,n\nA wonderful film.,1\nA dull one.,2\n", name="reviews.csv")
    images = started(cloud, function, f"image\ngs://{cloud.input.name}/a.png\n", name="images.csv")
    assert texts["model"]["rule"] == images["model"]["rule"] == "tables"
    assert batch(cloud, function, texts)["model"]["name"] == "sentiment"
    assert batch(cloud, function, images)["model"] is None


def test_a_manifest_s_own_model_precedes_a_rule_and_takes_part(
    cloud: Cloud, function: Function, bucket: ModelsBucket
) -> None:
    rule = {"name": "night", "when": {"kind": "manifest"}, "model": "topics"}
    bucket.models(*SENTIMENT, entry("topics"), routes=[rule])
    bucket.traffic(sentiment=split(1.0))
    inputs = f'"inputs": ["gs://{cloud.input.name}/a.txt"]'
    named = started(cloud, function, f'{{"id": "n1", {inputs}, "model": "sentiment"}}', name="a.json")
    cut = batch(cloud, function, named)["model"]
    assert (cut["name"], cut["version"], cut["chosen_by"]) == ("sentiment", "2", "requested")
    ruled = started(cloud, function, f'{{"id": "n2", {inputs}}}', name="b.json")
    assert batch(cloud, function, ruled)["model"] == {
        "name": "topics", "version": None, "chosen_by": "rule", "rule": "night",
    }  # fmt: skip


def test_a_workbook_follows_the_rules_for_tables_unless_it_holds_a_series(
    cloud: Cloud, function: Function, bucket: ModelsBucket
) -> None:
    bucket.models(*SENTIMENT, routes=[{"name": "tables", "when": {"kind": "table"}, "model": "sentiment"}])
    texts = workbook(("Sheet", [["review", "n"], ["A wonderful film.", 1], ["A dull one.", 2]]))
    arg = started(cloud, function, texts, name="a.xlsx")
    assert (arg["kind"], arg["model"]["rule"]) == ("workbook", "tables")
    assert batch(cloud, function, arg)["argument"]["model"] == arg["model"]
    series = workbook(("Sheet", [["date", "value"], *([f"2026-01-{day:02}", day] for day in range(1, 29))]))
    arg = started(cloud, function, series, name="b.xlsx")
    converted = batch(cloud, function, arg)["argument"]
    assert (converted["kind"], converted["model"]) == ("timeseries", None)
