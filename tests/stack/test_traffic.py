"""Rules and experiments on the local stack: the argument's choice is what the served models answer."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from emulator.process import Stack
from pipeline.routing import traffic
from tests.stack.test_own_models import client, save_text_classifier

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]

EXPERIMENT = {"stable": "1", "candidate": "2", "share": 0.5, "mode": "split", "experiment": "e"}


def entry(name: str, version: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "task": "text-classification", "source": f"topics/{version}", **more}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models.json with two versions of a model, and a rule."""
    for version in ("1", "2"):
        save_text_classifier(tmp_path / "topics" / version, int(version))
    path = tmp_path / "models.json"
    entries = [entry("topics", "1", default=True), entry("topics", "2"), entry("urgent", "1")]
    rules = [{"name": "urgent", "when": {"prefix": "urgent/"}, "model": "urgent"}]
    path.write_text(json.dumps({"shop": entries, "routes": rules}))
    monkeypatch.setenv("MODELS", str(path))
    monkeypatch.delenv("PROFILE", raising=False)
    return path


def until(found: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    return value


def document(buckets: storage.Client, name: str, text: str = "where is my order") -> dict[str, Any]:
    """Uploads a text, and waits for its document."""
    buckets.bucket("local-input").blob(name).upload_from_string(text, "text/plain")
    blob = until(lambda: buckets.bucket("local-output").get_blob(f"latest/{name}.json"))
    content: dict[str, Any] = json.loads(blob.download_as_bytes())
    return content


def test_a_split_and_a_rule_decide_which_version_answers(models: Path, tmp_path: Path):
    with Stack(tmp_path / "state") as stack:
        stack.start()
        buckets = client(stack)
        buckets.bucket("local-models").blob("traffic.json").upload_from_string(json.dumps({"topics": EXPERIMENT}))
        documents = [document(buckets, f"{number}.txt") for number in range(12)]
        ruled = document(buckets, "urgent/a.txt")
        table = document(buckets, "a.csv", "review,n\nwhere is it,1\nwho pays,2\n")
    for each in [*documents, table]:
        arm = "candidate" if traffic.position("e", each["job"]) < 0.5 else "stable"
        assert (each["routing"]["experiment"]["arm"], each["routing"]["chosen_by"]) == (arm, "default")
        assert each["model"]["version"] == EXPERIMENT[arm]
    assert {each["model"]["version"] for each in documents} == {"1", "2"}
    answers = {each["model"]["version"]: each["predictions"] for each in documents}
    assert answers["1"] != answers["2"]
    assert (ruled["model"]["name"], ruled["routing"]) == ("urgent", {"chosen_by": "rule", "rule": "urgent"})


def test_a_shadow_sees_what_the_stable_version_answers_and_an_unserved_one_affects_nothing(
    models: Path, tmp_path: Path
):
    content = json.loads(models.read_text())
    experiment = EXPERIMENT | {"mode": "shadow", "share": 1}
    with Stack(tmp_path / "state") as stack:
        stack.start()
        content["shop"] += [entry("topics", "3"), entry("urgent", "3")]  # which the service has not read
        models.write_text(json.dumps(content))
        buckets = client(stack)
        changed = {"topics": experiment, "urgent": EXPERIMENT | {"candidate": "3", "share": 1}}
        buckets.bucket("local-models").blob("traffic.json").upload_from_string(json.dumps(changed))
        answered = document(buckets, "a.txt")
        shadow = until(lambda: list(buckets.list_blobs("local-output", prefix="shadow/a.txt/")))
        unseen = json.loads(shadow[0].download_as_bytes())
        unserved = document(buckets, "urgent/a.txt")
    assert (answered["model"]["version"], unseen["model"]["version"]) == ("1", "2")
    assert (unseen["job"], unseen["experiment"]["arm"]) == (answered["job"], "candidate")
    assert answered["predictions"] != unseen["predictions"]
    assert (unserved["status"], unserved["model"]["version"]) == ("succeeded", "1")
    assert (unserved["routing"]["experiment"]["arm"], unserved["routing"]["unserved"]) == ("candidate", "3")
