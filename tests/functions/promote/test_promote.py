"""promote, served by functions-framework: what it makes of observations, and how it changes traffic.json."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import storage

from event_inference.promotion import records
from promoting import evidence
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, published

RULES = {"inputs_per_step": 20, "shares": [0.1, 0.5]}
SPLIT = {
    "stable": "1",
    "candidate": "2",
    "share": 0.5,
    "mode": "split",
    "experiment": "e",
    "since": "2026-01-01T00:00:00Z",
    "by": "me",
    "reason": "try it",
    "rules": {**RULES, "days": 36_500},
}


@pytest.fixture
def models(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    """The models bucket, in which the newest observations count at once."""
    from datetime import timedelta

    bucket = cloud.client.create_bucket(f"models-{cloud.input.name}")
    monkeypatch.setenv("MODELS_BUCKET", bucket.name)
    monkeypatch.setattr(evidence, "SETTLING", timedelta(seconds=-5))
    return bucket


@pytest.fixture
def start(models: storage.Bucket) -> Callable[..., None]:
    def write(**changes: Any) -> None:
        content = {"m": {**SPLIT, **changes}, "other": {"stable": "1"}}
        models.blob("traffic.json").upload_from_string(json.dumps(content))

    return write


@pytest.fixture
def order(function: Function, models: storage.Bucket) -> Callable[..., int]:
    """Delivers an order; without one, the scheduler's."""

    def deliver(action: str = "", message_id: str = "1", model: str = "m") -> int:
        promote = {"model": model, "action": action, "reason": "I say so"} if action else {}
        request = published(json.dumps({"promote": promote}).encode(), message_id)
        return function("promote").post("/", **request).status_code

    return deliver


def observe(cloud: Cloud, arm: str, count: int, first: int = 0, experiment: str = "e", **fields: Any) -> None:
    """Observations of inputs, and labels for those that say so."""
    right = fields.pop("right", None)
    content = {"arm": arm, "mode": "split", "share": 0.5, "outcome": "succeeded", "label": "x", "gpu_us": 5, **fields}
    for number in range(first, first + count):
        parts = {"served": {**content, "label": "x" if right else "y"}} if right is not None else {"served": content}
        if right is not None:
            parts["label"] = {"label": "x", "corrected": False}
        for what, part in parts.items():
            blob = cloud.output.blob(f"observations/{experiment}/{arm}-{right}-{number:03}.{what}")
            blob.metadata = {"observation": json.dumps(part)}
            blob.upload_from_string(b"")


def traffic(models: storage.Bucket) -> Any:
    return json.loads(models.blob("traffic.json").download_as_bytes())["m"]


def decisions(models: storage.Bucket) -> list[Any]:
    listed = models.client.list_blobs(models, prefix="decisions/m/")
    return [{"name": blob.name, **json.loads(blob.download_as_bytes())} for blob in listed]


def state(models: storage.Bucket) -> Any:
    return json.loads(models.blob("evidence/m/e/counts.json").download_as_bytes())


def test_without_traffic_it_waits_and_says_so_once(models: storage.Bucket, start: Any, order: Any) -> None:
    start()
    before = traffic(models)
    for _ in range(3):
        assert order() == 200
    assert traffic(models) == before
    (decision,) = decisions(models)
    assert (decision["action"], decision["counts"]) == ("wait", [])
    assert decision["reason"] == "0 of 20 inputs were served at a share of 50%. No input has a label yet."
    assert state(models)["unchanged_since"] == decision["at"]


def test_a_failing_candidate_is_rolled_back(cloud: Cloud, models: storage.Bucket, start: Any, order: Any) -> None:
    start()
    observe(cloud, "stable", 20)
    observe(cloud, "candidate", 15, outcome="failed", label=None)
    assert order() == 200
    now = traffic(models)
    assert (now["stable"], now["candidate"], now["share"], now["by"]) == ("1", None, 0, "promote")
    (decision,) = decisions(models)
    assert (decision["action"], decision["reason"]) == ("roll_back", "The candidate fails more often.")
    assert (now["decision"], now["reason"]) == (decision["name"], decision["reason"])
    assert (decision["traffic"]["before"]["candidate"], decision["traffic"]["after"]["candidate"]) == ("2", None)
    assert records.differences(decision) == []
    assert decision["counts"][0]["candidate"]["failed"] == 15
    assert order() == 200  # the experiment is over
    assert len(decisions(models)) == 1


def test_a_better_candidate_serves_more_and_is_promoted(
    cloud: Cloud, models: storage.Bucket, start: Any, order: Any
) -> None:
    start(share=0.1)
    observe(cloud, "candidate", 20, share=0.1)
    observe(cloud, "stable", 180, share=0.1)
    order()
    assert (traffic(models)["share"], traffic(models)["since"]) == (0.5, SPLIT["since"])
    observe(cloud, "candidate", 40, right=True)
    observe(cloud, "stable", 10, right=True)
    observe(cloud, "stable", 30, right=False)
    order()
    now = traffic(models)
    assert (now["stable"], now["previous"], now["candidate"], "experiment" in now) == ("2", "1", None, False)
    assert [decision["action"] for decision in decisions(models)] == ["raise_share", "promote"]
    assert decisions(models)[1]["e_values"]["better"] > 20
    assert json.loads(models.blob("traffic.json").download_as_bytes())["other"] == {"stable": "1"}


def test_the_time_is_over(cloud: Cloud, models: storage.Bucket, start: Any, order: Any) -> None:
    start(rules={"days": 1})
    order()
    assert decisions(models)[0]["action"] == "undecided"
    assert (traffic(models)["stable"], traffic(models)["candidate"]) == ("1", None)


def test_the_limit_of_time_is_fixed_once(cloud: Cloud, models: storage.Bucket, start: Any, order: Any) -> None:
    start()
    observe(cloud, "stable", 200, ms=7.0)
    order()
    fixed = json.loads(models.blob("evidence/m/e/limit.json").download_as_bytes())
    assert fixed["milliseconds"] == 7.0
    order()
    assert state(models)["limit"] == fixed
    assert json.loads(models.blob("evidence/m/e/limit.json").download_as_bytes()) == fixed


def test_whoever_changes_the_traffic_meanwhile_is_not_overwritten(
    cloud: Cloud, models: storage.Bucket, start: Any, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    observe(cloud, "stable", 20)
    observe(cloud, "candidate", 15, outcome="failed", label=None)
    read = evidence.read_state
    changes = iter([{"candidate": "3", "experiment": "f"}])

    def slow(*arguments: Any) -> Any:
        for change in changes:
            start(**change)
        return read(*arguments)

    monkeypatch.setattr(evidence, "read_state", slow)
    assert order() == 200
    now = traffic(models)
    assert (now["candidate"], now["experiment"]) == ("3", "f")
    assert [decision["action"] for decision in decisions(models)] == ["wait"]


def test_a_person_freezes_and_resumes(cloud: Cloud, models: storage.Bucket, start: Any, order: Any) -> None:
    start()
    observe(cloud, "candidate", 15, outcome="failed", label=None)
    order("freeze", "1")
    now = traffic(models)
    assert (now["mode"], now["candidate"], now["share"], now["by"], now["reason"]) == (
        "frozen", "2", 0.5, "person", "I say so",
    )  # fmt: skip
    order()
    assert traffic(models) == now
    order("resume", "2")
    assert traffic(models)["mode"] == "split"
    assert [decision["action"] for decision in decisions(models)] == ["freeze", "resume"]
    assert all(records.differences(decision) == [] for decision in decisions(models))


def test_a_person_forces_and_rolls_back_once_each(models: storage.Bucket, start: Any, order: Any) -> None:
    start()
    for _ in range(2):
        order("force", "7")
    assert (traffic(models)["stable"], traffic(models)["previous"]) == ("2", "1")
    for _ in range(2):  # delivered twice, it would otherwise take the rollback back
        order("rollback", "8")
    assert (traffic(models)["stable"], traffic(models)["previous"]) == ("1", "2")
    assert [decision["action"] for decision in decisions(models)] == ["force", "rollback"]
    assert {decision["reason"] for decision in decisions(models)} == {"I say so"}


@pytest.mark.parametrize(("action", "model"), [("resume", "m"), ("force", "unknown"), ("dance", "m")])
def test_an_order_that_does_not_apply_changes_nothing(
    models: storage.Bucket, start: Any, order: Any, action: str, model: str
) -> None:
    start()
    before = traffic(models)
    assert order(action, "1", model) == 200
    assert traffic(models) == before
    assert decisions(models) == []


def test_a_broken_model_does_not_stop_the_others(cloud: Cloud, models: storage.Bucket, order: Any, capfd: Any) -> None:
    content = {
        "a": {**SPLIT, "experiment": "a", "rules": {"alpha": 7}},
        "b": {**SPLIT, "experiment": "b", "share": "much"},
        "c": {**SPLIT, "experiment": "c"},
        "d": {**SPLIT, "experiment": "c"},
        "m": SPLIT,
    }
    models.blob("traffic.json").upload_from_string(json.dumps(content))
    assert order() == 200
    assert [decision["action"] for decision in decisions(models)] == ["wait"]
    logged = capfd.readouterr().out
    assert "alpha of the rules cannot be used" in logged
    assert "another model has the experiment c, too" in logged


@pytest.mark.parametrize("content", ["{", "[]", '{"m": 1}'])
def test_a_broken_file_is_reported_and_stays(models: storage.Bucket, order: Any, content: str) -> None:
    models.blob("traffic.json").upload_from_string(content)
    assert order() == 500
    assert models.blob("traffic.json").download_as_bytes().decode() == content


def test_without_a_file_there_is_nothing_to_decide(models: storage.Bucket, order: Any) -> None:
    assert order() == 200


@pytest.mark.parametrize(
    "body",
    [
        {"promote": {"model": "m", "action": "dance", "reason": "why not"}},
        {"promote": {"model": "m", "action": "freeze"}},
        {"promote": {"model": "m", "action": "freeze", "reason": ""}},
        {"promote": {"model": "m", "action": "freeze", "reason": "x" * 501}},
        {"promote": {"model": 1, "action": "freeze", "reason": "x"}},
        {"promote": []},
        {"promote": {}, "sweep": {}},
        {"sweep": {}},
        [],
    ],
)
def test_a_message_that_is_no_order_changes_nothing(
    models: storage.Bucket, start: Any, function: Function, body: object
) -> None:
    start()
    before = traffic(models)
    assert function("promote").post("/", **published(json.dumps(body).encode())).status_code == 200
    assert (traffic(models), decisions(models)) == (before, [])


def test_whoever_sends_inputs_may_give_no_orders(cloud: Cloud, function: Function) -> None:
    body = {"promote": {"model": "m", "action": "force", "reason": "mine is better"}}
    assert function("on_message").post("/", **published(json.dumps(body).encode())).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "unknown_message"
