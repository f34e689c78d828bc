"""Which model and version uploads and messages are started with, by models.json and traffic.json in a bucket."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import settings
from pipeline.routing import choice, traffic, watched
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, Logged, finalized, published
from tests.functions.models_bucket import IMAGE, ModelsBucket, entry, split

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
SENTIMENT = (entry("sentiment", "1"), entry("sentiment", "2"))


def started(cloud: Cloud, function: Function, data: bytes | str = "What a film.", **upload: Any) -> dict[str, Any]:
    """The argument of the execution that an upload starts."""
    blob = cloud.upload(upload.pop("name", "a.txt"), data, **upload)
    response = function("on_upload").post("/", **finalized(blob, event_id=str(blob.generation)))
    assert response.status_code == 200, response.text
    return cloud.executions.arguments[-1]


def test_without_a_models_bucket_nothing_is_read_and_the_default_answers(cloud: Cloud, function: Function) -> None:
    assert started(cloud, function)["model"] is None
    assert not [target for _, target in cloud.faulty.requests if "traffic.json" in target or "models.json" in target]


def test_an_empty_models_bucket_leaves_the_default(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    argument = started(cloud, function)
    assert argument["model"] is None
    assert "notes" not in argument


def test_the_default_model_takes_part_in_an_experiment(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(*SENTIMENT, entry("digits", task=IMAGE))
    bucket.traffic(sentiment=split(1.0))
    expected = {"id": "e1", "arm": "candidate", "share": 1.0, "mode": "split", "stable": "1"}
    assert started(cloud, function)["model"] == {
        "name": "sentiment", "version": "2", "chosen_by": "default", "version_by": "traffic", "experiment": expected,
    }  # fmt: skip
    assert started(cloud, function, PNG, name="a.png")["model"] is None


def test_a_requested_model_takes_part_and_a_requested_version_does_not(
    cloud: Cloud, function: Function, bucket: ModelsBucket
) -> None:
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(1.0))
    model = started(cloud, function, metadata={"model": "sentiment"})["model"]
    assert (model["version"], model["chosen_by"], model["version_by"]) == ("2", "requested", "traffic")
    model = started(cloud, function, metadata={"model": "sentiment", "version": "1"})["model"]
    reasons = {"chosen_by": "requested", "version_by": "requested"}
    assert model == {"name": "sentiment", "version": "1", **reasons}


def test_a_message_takes_part_by_its_own_job(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(0.5))
    for number in range(20):
        data = json.dumps({"instances": [{"text": "What a film."}]}).encode()
        function("on_message").post("/", **published(data, str(number)))
    arms = [argument["model"]["experiment"]["arm"] for argument in cloud.executions.arguments]
    positions = [traffic.position("e1", argument["job"]) for argument in cloud.executions.arguments]
    assert arms == ["candidate" if position < 0.5 else "stable" for position in positions]
    assert set(arms) == {"candidate", "stable"}


def test_a_shadow_experiment_samples_by_share(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(1.0, mode="shadow"))
    experiment = {"id": "e1", "arm": "stable", "share": 1.0, "mode": "shadow"}
    argument = started(cloud, function)
    assert (argument["model"]["version"], argument["model"]["experiment"]) == ("1", {**experiment, "candidate": "2"})
    table = started(cloud, function, "review\nWhat a film.\n", name="a.csv", metadata={"model": "sentiment"})
    assert table["model"]["experiment"] == experiment


@pytest.mark.parametrize("mode", ["shadow", "split", "frozen"])
def test_a_candidate_that_models_json_lacks_is_left_out_and_the_argument_says_so(
    cloud: Cloud, function: Function, bucket: ModelsBucket, mode: str
) -> None:
    bucket.models(entry("sentiment", "1"))
    bucket.traffic(sentiment=split(1.0, mode=mode))
    argument = started(cloud, function)
    assert argument["model"] == {"name": "sentiment", "version": "1", "chosen_by": "default", "version_by": "traffic"}
    assert argument["notes"] == ["traffic.json: sentiment has no version '2'; the stable one is used."]


def test_a_redelivery_keeps_the_version_of_the_started_job_after_the_share_has_changed(
    cloud: Cloud, function: Function, bucket: ModelsBucket
) -> None:
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(1.0))
    blob = cloud.upload("a.txt", "What a film.")
    function("on_upload").post("/", **finalized(blob))
    bucket.traffic(sentiment=split(0.0))
    choice._files.cache_clear()
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    assert cloud.claim(argument["job"])["argument"]["model"] == argument["model"]
    assert argument["model"]["version"] == "2"


def test_a_sweep_restarts_a_job_with_the_version_that_it_had(
    cloud: Cloud, function: Function, bucket: ModelsBucket
) -> None:
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(1.0))
    first = started(cloud, function)
    cloud.executions.end_all()
    bucket.traffic(sentiment=split(0.0))
    choice._files.cache_clear()
    function("on_message").post("/", **published(json.dumps({"sweep": {}}).encode()))
    assert [argument["model"] for argument in cloud.executions.arguments] == [first["model"]] * 2


@pytest.mark.parametrize("change", [{"mode": "frozen"}, {"candidate": None}, {"candidate": "3", "experiment": "e2"}])
def test_a_restart_after_the_experiment_has_ended_does_not_go_back_to_its_candidate(
    cloud: Cloud, function: Function, bucket: ModelsBucket, change: dict[str, Any]
) -> None:
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(1.0))
    started(cloud, function)
    cloud.executions.end_all()
    bucket.traffic(sentiment=split(0.0, **change))
    choice._files.cache_clear()
    function("on_message").post("/", **published(json.dumps({"sweep": {}}).encode()))
    assert [argument["model"]["version"] for argument in cloud.executions.arguments] == ["2", "1"]


@pytest.mark.parametrize(("content", "problem"), [("{", "is not valid"), ('{"sentiment": {}}', "stable must be")])
def test_broken_traffic_leaves_the_default_until_a_good_one_was_read_and_says_so(
    cloud: Cloud, function: Function, bucket: ModelsBucket, logged: Logged, content: str, problem: str
) -> None:
    bucket.models(*SENTIMENT)
    bucket.write("traffic.json", content)
    argument = started(cloud, function)
    assert argument["model"] is None
    assert problem in argument["notes"][0]
    assert problem in next(line["reason"] for line in logged() if line["severity"] == "ERROR")


def test_the_last_good_traffic_goes_on_when_a_broken_one_follows(
    cloud: Cloud, bucket: ModelsBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "PERIOD", 0.0)
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(0.25))
    deployed = settings.load()
    good = choice.current(deployed)
    assert good.traffic["sentiment"].share == 0.25
    bucket.write("traffic.json", '{"sentiment": {"stable": "1"}}')
    broken = choice.current(deployed)
    assert broken.traffic == good.traffic
    assert "traffic.json" in broken.notes[0]
    bucket.traffic(sentiment=split(0.5))
    mended = choice.current(deployed)
    assert (mended.traffic["sentiment"].share, mended.notes) == (0.5, ())
    bucket.bucket.blob("traffic.json").delete()
    assert choice.current(deployed).traffic == {}


def test_a_storage_that_fails_keeps_the_last_good(
    cloud: Cloud, bucket: ModelsBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "PERIOD", 0.0)
    bucket.models(*SENTIMENT)
    bucket.traffic(sentiment=split(0.25))
    deployed = settings.load()
    good = choice.current(deployed)
    cloud.fault("GET", "traffic.json", status=403)
    failing = choice.current(deployed)
    assert failing.traffic == good.traffic
    assert "traffic.json could not be read" in failing.notes[0]
    assert choice.current(deployed) == good


def test_a_models_json_on_the_laptop_s_disk_is_read_where_the_service_reads_it(
    cloud: Cloud, function: Function, bucket: ModelsBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "PERIOD", 0.0)
    file = tmp_path / "models.json"
    monkeypatch.setenv("MODELS", str(file))
    assert started(cloud, function)["model"] is None
    file.write_text(json.dumps({"mine": [entry("a")], "routes": [{"name": "all", "model": "a"}]}))
    assert started(cloud, function)["model"] == {"name": "a", "version": None, "chosen_by": "rule", "rule": "all"}
    file.write_text("{")
    argument = started(cloud, function)
    assert argument["model"]["rule"] == "all"
    assert argument["notes"][0].startswith("models.json is not valid")


def test_the_files_are_read_once_in_thirty_seconds_and_only_if_they_have_changed(
    cloud: Cloud, bucket: ModelsBucket
) -> None:
    bucket.traffic(sentiment=split(0.25))
    now = 0.0
    file = watched.Watched(f"gs://{bucket.bucket.name}/traffic.json", traffic.parse, {}, clock=lambda: now)
    cloud.faulty.requests.clear()
    for moment, requests in ((0.0, 1), (29.9, 1), (30.0, 2), (45.0, 2), (60.0, 3)):
        now = moment
        assert file.value()[0]["sentiment"].share == 0.25
        assert len(cloud.faulty.requests) == requests
    assert all("ifGenerationNotMatch" in target for _, target in cloud.faulty.requests[1:])
