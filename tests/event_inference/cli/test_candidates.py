"""`einf label` and `einf promote`: what is sent, what is shown, and decisions that are computed again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from event_inference.promotion import observations, records
from event_inference.promotion.decision import Rules, Situation
from event_inference.promotion.observations import Observation
from event_inference.promotion.records import Trial
from tests.event_inference.conftest import Emulated, local_environment

NOW = datetime.now(UTC)
SPLIT = {"stable": "1", "candidate": "2", "share": 0.5, "mode": "split", "experiment": "e"}


@pytest.fixture
def put(laptop: Emulated) -> Any:
    """Writes JSON to the models bucket."""

    def write(name: str, content: Any) -> None:
        bucket = laptop.client.connection.storage.bucket(laptop.target.models_bucket)
        bucket.blob(name).upload_from_string(json.dumps(content))

    return write


def observe(laptop: Emulated) -> list[Observation]:
    """Observations of 40 inputs, of which the candidate fails its own."""
    found = []
    for number in range(40):
        arm = "candidate" if number % 2 else "stable"
        content = {"arm": arm, "mode": "split", "share": 0.5, "outcome": "failed" if number % 2 else "succeeded"}
        name = f"{observations.prefix('e')}{number:032}.served"
        blob = laptop.client.connection.output.blob(name)
        blob.metadata = {"observation": json.dumps(content)}
        blob.upload_from_string(b"")
        observed = Observation.parse(name, blob.metadata, NOW)
        assert observed is not None
        found.append(observed)
    return found


def decided(laptop: Emulated, put: Any) -> str:
    """The name of a decision's document, in whose bucket the observations lie."""
    phases = tuple(observations.count(observe(laptop)))
    until = datetime.now(UTC) + timedelta(minutes=1)
    trial = Trial("m", "e", "1", "2", Rules(), Situation(0.5, 1.0), phases, until)
    name = "decisions/m/2026-01-01T00:00:00Z.json"
    put(name, records.document(trial, trial.decide(), name, NOW))
    return name


def test_a_decision_is_computed_again(invoke: Any, laptop: Emulated, put: Any) -> None:
    name = decided(laptop, put)
    for arguments in ((name,), (f"gs://{laptop.target.models_bucket}/{name}", "--deep")):
        ended = invoke("promote", "verify", *arguments, env=local_environment(laptop))
        assert (ended.status, ended.out) == (0, "roll_back: follows from what is stored\n"), ended.err


def test_a_decision_that_does_not_follow_is_found_out(invoke: Any, laptop: Emulated, put: Any) -> None:
    name = decided(laptop, put)
    stored = json.loads(invoke_document(laptop, name))
    Path("changed.json").write_text(json.dumps({**stored, "action": "promote"}))
    ended = invoke("promote", "verify", "changed.json", env=local_environment(laptop))
    assert ended.status == 4
    assert ended.out.splitlines() == [
        "action: the document says 'promote', computed is 'roll_back'",
        "promote: does not follow from what is stored",
    ]
    laptop.client.connection.output.blob(f"{observations.prefix('e')}{1:032}.served").delete()
    deep = invoke("promote", "verify", name, "--deep", env=local_environment(laptop))
    assert (deep.status, "counts[0].candidate.failed: the document says 20, computed is 19" in deep.out) == (4, True)


def invoke_document(laptop: Emulated, name: str) -> bytes:
    bucket = laptop.client.connection.storage.bucket(laptop.target.models_bucket)
    content: bytes = bucket.blob(name).download_as_bytes()
    return content


def test_what_is_no_decision_is_refused(invoke: Any, laptop: Emulated, put: Any) -> None:
    Path("other.json").write_text("{}")
    for name in ("other.json", "decisions/m/none.json"):
        ended = invoke("promote", "verify", name, env=local_environment(laptop))
        assert (ended.status, "is no decision" in ended.err) == (2, True)


def test_the_status_shows_traffic_evidence_and_decisions(invoke: Any, laptop: Emulated, put: Any) -> None:
    put("traffic.json", {"m": SPLIT})
    name = decided(laptop, put)
    document = json.loads(invoke_document(laptop, name))
    put("evidence/m/e/counts.json", {**document, "unchanged_since": document["at"]})
    ended = invoke("promote", "status", "m", env=local_environment(laptop))
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == "m: 1 is stable; 2, the candidate, has 50% of the inputs (split)"
    assert any(line.split()[:5] == ["split", "50%", "2", "20", "20"] for line in lines)
    assert "roll_back: The candidate fails more often." in lines
    assert name in lines[-1]
    as_json = json.loads(invoke("promote", "status", "m", "--json", env=local_environment(laptop)).out)
    assert (as_json["traffic"], list(as_json["decisions"])) == (SPLIT, [name])


@pytest.mark.parametrize("action", ["freeze", "resume", "force", "rollback"])
def test_an_order_goes_to_the_pipeline_with_its_reason(invoke: Any, laptop: Emulated, put: Any, action: str) -> None:
    put("traffic.json", {"m": SPLIT})
    ended = invoke("promote", action, "m", "--reason", "holidays", env=local_environment(laptop))
    assert ended.status == 0, ended.err
    assert laptop.orders("promotions") == [{"promote": {"model": "m", "action": action, "reason": "holidays"}}]
    other = invoke("promote", action, "n", "--reason", "holidays", env=local_environment(laptop))
    assert (other.status, "models with traffic: m" in other.err) == (2, True)
    assert invoke("promote", action, "m", env=local_environment(laptop)).status == 2


def test_a_label_is_sent(invoke: Any, laptop: Emulated) -> None:
    laptop.orders()
    ended = invoke("label", "in/a.txt", "NEGATIVE", "--source", "audit", env=local_environment(laptop))
    assert ended.status == 0, ended.err
    invoke("label", "0" * 32, "x", "--source", "correction", "--by", "job", env=local_environment(laptop))
    assert laptop.orders() == [
        {"label": {"name": "in/a.txt", "label": "NEGATIVE", "source": "audit"}},
        {"label": {"job": "0" * 32, "label": "x", "source": "correction"}},
    ]
    assert invoke("label", "in/a.txt", "NEGATIVE", env=local_environment(laptop)).status == 2


def test_a_file_of_labels_is_sent_in_parts_that_the_pipeline_reads(invoke: Any, laptop: Emulated) -> None:
    rows = "".join(f'{number}.txt,"POS;{number}",audit,x\n' for number in range(2001))
    Path("audit.csv").write_text("\ufeffname,label,source,note\n" + rows)
    ended = invoke("label", "--csv", "audit.csv", env=local_environment(laptop))
    assert ended.status == 0, ended.err
    bucket = laptop.client.connection.input
    first, second = (bucket.blob(f"labels/audit-{number}.csv").download_as_text() for number in (1, 2))
    assert len(first.splitlines()) == 2001
    assert second == "name,label,source\n2000.txt,POS;2000,audit\n"
    for content in ("name,label\na,x\n", "name,label,source\n"):
        Path("bad.csv").write_text(content)
        assert invoke("label", "--csv", "bad.csv", env=local_environment(laptop)).status == 2
