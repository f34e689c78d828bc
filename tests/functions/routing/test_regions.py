"""Regions of the GPU service: the order in which a request tries them, and the circuits that decide on it."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from pipeline import settings
from pipeline.errors import ConfigurationError, ThrottledError
from pipeline.jobs.job import Input, Job
from pipeline.routing import regions
from pipeline.routing.regions import Order
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized
from tests.functions.models_bucket import IMAGE, ModelsBucket, entry
from tests.functions.routing.test_choice import PNG, started
from tests.functions.test_postprocess import GOOD, argument, concluded, prediction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB = Job("j", "a.txt/1", "1", "2026-01-01T00:00:00Z", Input("in", "a.txt", 1, 1), "text")


@pytest.fixture
def deployed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    monkeypatch.setenv("GPU_REGIONS", "us-central1,europe-west4,asia-southeast1")
    monkeypatch.setenv("GPU_REGION_WEIGHTS", "1,0,0")
    monkeypatch.setattr(regions, "PERIOD", 0.0)
    return settings.load()


def after(seconds: float) -> Any:
    return lambda: NOW + timedelta(seconds=seconds)


def circuit(cloud: Cloud, region: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(cloud.work.blob(f"regions/{region}.json").download_as_bytes())
    return content


def test_a_deployment_that_names_no_regions_needs_no_circuits(cloud: Cloud, function: Function) -> None:
    cloud.faulty.requests.clear()
    assert "regions" not in started(cloud, function)
    assert not [target for _, target in cloud.faulty.requests if "regions/" in target]


def test_the_only_region_is_not_named_to_the_workflow(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_REGIONS", "us-central1")
    assert "regions" not in started(cloud, function)


def test_while_no_region_answers_nothing_is_started_until_one_input_may_try(
    cloud: Cloud, deployed: settings.Settings
) -> None:
    regions.report(deployed, JOB, [0, 1, 2], after(0))
    with pytest.raises(ThrottledError):
        regions.order(deployed, "k", (), after(1))
    with pytest.raises(ThrottledError):
        regions.order(deployed, "k", ("europe-west4",), after(1))
    assert regions.order(deployed, "l", (), after(31)) == Order((0, 1, 2), probe=0)
    with pytest.raises(ThrottledError):
        regions.order(deployed, "m", ("us-central1",), after(32))


def test_the_only_region_s_circuit_closes_when_an_input_that_tries_it_gets_an_answer(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_REGIONS", "us-central1")
    monkeypatch.setattr(regions, "PERIOD", 0.0)
    alone = settings.load()
    regions.report(alone, JOB, [0], after(0))
    tried = regions.ordered(alone, replace(JOB, id="k"), (), after(31))
    assert (tried.regions, tried.probe) == ((0,), 0)
    regions.report(alone, tried, [], after(32))
    assert regions.ordered(alone, replace(JOB, id="l"), (), after(33)).regions == ()


def test_regions_that_answer_are_tried_as_deployed_and_nothing_is_written(
    cloud: Cloud, function: Function, deployed: settings.Settings
) -> None:
    assert "regions" not in started(cloud, function)
    regions.report(deployed, JOB, [])
    assert not list(cloud.client.list_blobs(cloud.work, prefix="regions/"))


def test_a_region_that_failed_is_tried_last_until_its_time_is_up(cloud: Cloud, deployed: settings.Settings) -> None:
    regions.report(deployed, JOB, [0], after(0))
    opened = circuit(cloud, "us-central1")
    assert (opened["state"], opened["pause"], opened["opened_by"]) == ("open", regions.FIRST_PAUSE, "j")
    assert regions.order(deployed, "k", (), after(1)) == Order((1, 2, 0))
    assert regions.order(deployed, "k", ("europe-west4", "us-central1"), after(1)) == Order((1, 0))


def test_a_second_failure_meanwhile_writes_nothing(cloud: Cloud, deployed: settings.Settings) -> None:
    regions.report(deployed, JOB, [0], after(0))
    generation = cloud.work.get_blob("regions/us-central1.json").generation
    regions.report(deployed, replace(JOB, id="k"), [0], after(5))
    assert cloud.work.get_blob("regions/us-central1.json").generation == generation


def test_when_the_time_is_up_one_input_tries_the_region(cloud: Cloud, deployed: settings.Settings) -> None:
    regions.report(deployed, JOB, [0], after(0))
    assert regions.order(deployed, "k", (), after(31)) == Order((0, 1, 2), probe=0)
    assert circuit(cloud, "us-central1")["state"] == "half_open"
    assert regions.order(deployed, "l", (), after(32)) == Order((1, 2, 0))
    assert regions.order(deployed, "m", (), after(31 + regions.PROBE + 1)) == Order((0, 1, 2), probe=0)


@pytest.mark.parametrize("kind", ["table", "microbatch"])
def test_a_batch_of_which_nothing_is_reported_takes_no_input_s_turn_to_try_the_region(
    cloud: Cloud, deployed: settings.Settings, kind: str
) -> None:
    batch = replace(JOB, id="k", kind=kind)
    regions.report(deployed, JOB, [0], after(0))
    assert regions.ordered(deployed, batch, (), after(1)).regions == (1, 2, 0)
    assert regions.ordered(deployed, batch, (), after(31)) == batch  # in the order of the deployment
    assert circuit(cloud, "us-central1")["state"] == "open"
    assert regions.order(deployed, "l", (), after(32)) == Order((0, 1, 2), probe=0)
    assert regions.ordered(deployed, batch, (), after(33)).regions == (1, 2, 0)


def test_an_answer_of_the_region_closes_its_circuit(cloud: Cloud, deployed: settings.Settings) -> None:
    regions.report(deployed, JOB, [0], after(0))
    assert regions.order(deployed, "k", (), after(31)) == Order((0, 1, 2), probe=0)
    regions.report(deployed, replace(JOB, id="k", regions=(0, 1, 2), probe=0), [], after(32))
    assert circuit(cloud, "us-central1")["state"] == "closed"
    assert regions.order(deployed, "l", (), after(33)) is None


def test_another_failure_opens_the_circuit_for_twice_as_long(cloud: Cloud, deployed: settings.Settings) -> None:
    regions.report(deployed, JOB, [0], after(0))
    moment, pauses = 0.0, []
    for number in range(6):
        moment += regions.LONGEST_PAUSE + 1
        probing = regions.ordered(deployed, replace(JOB, id=str(number)), (), after(moment))
        assert probing.probe == 0
        regions.report(deployed, probing, [0], after(moment))
        pauses.append(circuit(cloud, "us-central1")["pause"])
    assert pauses == [60, 120, 240, 480, 600, 600]


@pytest.mark.parametrize("content", ["{", "[]", '{"state": "open", "until": "soon"}', '{"status": "open"}'])
def test_a_circuit_that_cannot_be_read_is_closed(cloud: Cloud, deployed: settings.Settings, content: str) -> None:
    cloud.work.blob("regions/us-central1.json").upload_from_string(content)
    assert regions.order(deployed, "k", (), after(0)) is None
    regions.report(deployed, JOB, [0], after(0))
    assert circuit(cloud, "us-central1")["state"] == "open"


def test_an_upload_is_started_with_the_order_of_its_model(
    cloud: Cloud, function: Function, bucket: ModelsBucket, deployed: settings.Settings
) -> None:
    bucket.models(entry("sentiment", regions=["asia-southeast1", "nowhere", "us-central1"]))
    started_argument = started(cloud, function, metadata={"model": "sentiment"})
    assert started_argument["regions"] == [2, 0]
    assert "regions" not in cloud.claim(started_argument["job"])["argument"]


@pytest.mark.parametrize(
    ("order", "failed", "region"),
    [({}, [], "us-central1"), ({}, [0], "europe-west4"), ({"regions": [2, 0]}, [2], "us-central1")],
)
def test_a_document_names_the_region_and_opens_the_circuits_of_those_that_failed(
    cloud: Cloud, function: Function, deployed: settings.Settings, check_documents: None,
    order: dict[str, Any], failed: list[int], region: str,
) -> None:  # fmt: skip
    answer = prediction(GOOD) | ({"failed_regions": failed} if failed else {})
    concluded(function("postprocess"), {"argument": argument(cloud) | order, "prediction": answer})
    assert cloud.only_document()["lineage"]["region"] == region
    written = [blob.name for blob in cloud.client.list_blobs(cloud.work, prefix="regions/")]
    assert written == [f"regions/{deployed.gpu_regions[index]}.json" for index in failed]


def test_a_circuit_that_cannot_be_written_leaves_the_document(
    cloud: Cloud, function: Function, deployed: settings.Settings
) -> None:
    cloud.fault("POST", "regions/us-central1.json", status=403)
    answer = prediction(GOOD) | {"failed_regions": [0]}
    concluded(function("postprocess"), {"argument": argument(cloud), "prediction": answer})
    assert cloud.only_document()["status"] == "succeeded"


@pytest.mark.parametrize("is_capped", [True, False], ids=["by the cap", "by Workflows"])
def test_a_start_that_is_refused_leaves_the_region_to_the_next_input(
    cloud: Cloud, function: Function, deployed: settings.Settings, monkeypatch: pytest.MonkeyPatch, is_capped: bool
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=regions.FIRST_PAUSE + 1)
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1" if is_capped else "0")
    if is_capped:
        started(cloud, function, name="first.txt")
    else:
        cloud.executions.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    regions.report(deployed, JOB, [0], lambda: past)
    function("on_upload").post("/", **finalized(cloud.upload("a.txt", "What a film.")))
    assert len(cloud.executions.created) == int(is_capped)
    assert circuit(cloud, "us-central1")["state"] == "open"
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "0")
    argument = started(cloud, function, name="b.txt")
    assert argument["probe"] == 0


def test_a_model_that_a_region_cannot_load_leaves_the_region_to_other_models(
    cloud: Cloud, function: Function, deployed: settings.Settings
) -> None:
    answer = prediction(GOOD) | {"failed_regions": [0, 1], "unloaded_regions": [0]}
    concluded(function("postprocess"), {"argument": argument(cloud), "prediction": answer})
    assert cloud.only_document()["lineage"]["region"] == "asia-southeast1"
    written = [blob.name for blob in cloud.client.list_blobs(cloud.work, prefix="regions/")]
    assert written == ["regions/europe-west4.json"]


def test_a_region_that_lacks_only_a_model_has_answered_the_input_that_tried_it(
    cloud: Cloud, deployed: settings.Settings
) -> None:
    regions.report(deployed, JOB, [0], after(0))
    probing = regions.ordered(deployed, replace(JOB, id="k"), (), after(31))
    regions.report(deployed, probing, [0], after(32), unloaded=[0])
    assert circuit(cloud, "us-central1")["state"] == "closed"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [("a.txt", "What a film.", [2, 0]), ("a.png", PNG, [1]), ("a.csv", "review\nWhat a film.\n", None)],
    ids=["text", "image", "table"],
)
def test_the_default_model_s_regions_count_without_its_name(
    cloud: Cloud, function: Function, bucket: ModelsBucket, deployed: settings.Settings,
    name: str, content: Any, expected: list[int] | None,
) -> None:  # fmt: skip
    bucket.models(
        entry("sentiment", regions=["asia-southeast1", "us-central1"]),
        entry("digits", task=IMAGE, regions=["europe-west4"]),
    )
    argument = started(cloud, function, content, name=name)
    assert argument["model"] is None
    assert argument.get("regions") == expected


def test_a_batch_goes_to_the_only_models_regions(
    cloud: Cloud, function: Function, bucket: ModelsBucket, deployed: settings.Settings
) -> None:
    bucket.models(entry("sentiment", regions=["asia-southeast1"]))
    assert started(cloud, function, "review\nWhat a film.\n", name="a.csv")["regions"] == [2]


def test_the_requested_version_s_regions_precede_those_of_others(
    cloud: Cloud, function: Function, bucket: ModelsBucket, deployed: settings.Settings
) -> None:
    bucket.models(entry("sentiment", "1", regions=["us-central1"]), entry("sentiment", "2", regions=["europe-west4"]))
    assert started(cloud, function, metadata={"model": "sentiment", "version": "2"})["regions"] == [1]


# --- weights ---------------------------------------------------------------------------------------


def firsts(deployed: settings.Settings, count: int = 3000) -> list[int]:
    """How many of so many jobs try each region first."""
    ordered = [regions.ordered(deployed, replace(JOB, id=str(number)), ()) for number in range(count)]
    counts = Counter(job.regions[0] if job.regions else 0 for job in ordered)
    return [counts[index] for index in range(3)]


@pytest.mark.parametrize(
    ("weights", "shares"), [((), (1, 1, 1)), ((3, 2, 1), (3, 2, 1)), ((0, 0, 5), (0, 0, 1)), ((0, 1, 3), (0, 1, 3))]
)
def test_inputs_are_spread_over_the_regions_by_weight(
    deployed: settings.Settings, monkeypatch: pytest.MonkeyPatch, weights: tuple[int, ...], shares: tuple[int, ...]
) -> None:
    monkeypatch.setattr(regions, "PERIOD", 3600.0)
    spread = replace(deployed, gpu_region_weights=weights)
    assert firsts(spread) == pytest.approx([3000 * share / sum(shares) for share in shares], abs=120)
    assert firsts(spread) == firsts(spread)


def test_the_other_regions_follow_in_turn_and_those_that_fail_come_last(deployed: settings.Settings) -> None:
    last = replace(deployed, gpu_region_weights=(0, 0, 1))
    assert regions.order(last, "k", (), after(0)) == Order((2, 0, 1))
    regions.report(last, JOB, [2], after(0))
    assert regions.order(last, "k", (), after(1)) is None  # as deployed
    regions.report(last, JOB, [0], after(1))
    assert regions.order(last, "k", (), after(2)) == Order((1, 2, 0))


def test_a_model_s_own_regions_keep_their_order(deployed: settings.Settings) -> None:
    last = replace(deployed, gpu_region_weights=(0, 0, 1))
    assert regions.order(last, "k", ("europe-west4", "us-central1"), after(0)) == Order((1, 0))


@pytest.mark.parametrize("weights", ["1,2", "1,2,3,4", "a,b,c", "1,,2", "-1,2,3", "0,0,0", "1.5,1,1"])
def test_weights_that_fit_no_region_are_refused(
    deployed: settings.Settings, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    monkeypatch.setenv("GPU_REGION_WEIGHTS", weights)
    with pytest.raises(ConfigurationError, match="GPU_REGION_WEIGHTS"):
        settings.load()
