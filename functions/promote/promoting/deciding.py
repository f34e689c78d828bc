"""Decides on every candidate by its evidence, and leaves a document of each decision.

A decision's document is written before the traffic changes, and removed again if someone else changed that first.
"""

import json
from collections import Counter
from datetime import datetime
from typing import Any

from google.api_core.exceptions import PreconditionFailed

from event_inference.promotion import records
from event_inference.promotion.decision import Decision
from pipeline import logs, storage, times
from pipeline.deployment import Deployment
from promoting import evidence, traffic
from promoting.traffic import Entry, Traffic

AUTHOR = "promote"
ATTEMPTS = 5  # at a change that others are faster than


def run(deployment: Deployment, clock: times.Clock = times.utc_now) -> dict[str, int]:
    """Looks at every candidate; returns how many decisions of each kind were made.

    Raises:
        ConfigurationError: traffic.json cannot be read.
    """
    counts: Counter[str] = Counter()
    for model, entry in traffic.read(deployment.models).models.items():
        if traffic.is_running(entry):
            counts[_decide(deployment, model, clock)] += 1
    return dict(counts)


def _decide(deployment: Deployment, model: str, clock: times.Clock) -> str:
    """Decides on a model's candidate and returns the action; `broken` if its traffic or rules cannot be used."""
    for _ in range(ATTEMPTS):
        current = traffic.read(deployment.models)
        entry = current.models.get(model, {})
        if not traffic.is_running(entry):
            return "ended"
        try:
            action = _look(deployment, model, entry, current, clock())
        except PreconditionFailed:
            continue
        except (ValueError, TypeError, KeyError) as error:
            logs.warning("failed", code="invalid_traffic", model=model, reason=f"{type(error).__name__}: {error}")
            return "broken"
        return action
    return "contended"


def _look(deployment: Deployment, model: str, entry: Entry, current: Traffic, now: datetime) -> str:
    """Looks at the evidence and acts on it.

    Raises:
        PreconditionFailed: the traffic has changed meanwhile.
        ValueError, TypeError, KeyError: the model's traffic or rules cannot be used.
    """
    models, experiment = deployment.models, entry["experiment"]
    if traffic.shares_experiment(current.models, model):
        raise ValueError(f"another model has the experiment {experiment}, too")
    state = evidence.read_state(models, model, experiment)
    trial = evidence.collect(deployment, model, entry, state, now)
    decision = trial.decide()
    name = document_name(model, now)
    document = records.document(trial, decision, name, now)
    if decision.action != state.action or decision.action != "wait":
        after = _after(entry, decision)
        apply(deployment, current, model, after, document, by=AUTHOR, name=name, now=now)
    began = state.began or evidence.began_of(entry, now)
    evidence.write_state(models, model, experiment, {**document, "began": began, **_idle(state, document)})
    logs.info(
        "decided", model=model, experiment=experiment, candidate=trial.candidate, action=decision.action,
        reason=decision.reason,
    )  # fmt: skip
    return decision.action


def _after(entry: Entry, decision: Decision) -> Entry:
    """A model's traffic after a decision."""
    match decision.action:
        case "promote":
            return traffic.promoted(entry)
        case "roll_back" | "undecided":
            return traffic.rolled_back(entry)
        case "raise_share":
            return traffic.raised(entry, decision.share or entry["share"])
    return entry


def apply(
    deployment: Deployment,
    current: Traffic,
    model: str,
    after: Entry,
    document: dict[str, Any],
    *,
    by: str,
    name: str,
    now: datetime,
) -> None:
    """Writes a decision's document, then the traffic that it leads to, if that is another.

    Raises:
        PreconditionFailed: the traffic has changed since it was read; the document is gone again.
    """
    models, before = deployment.models, current.models[model]
    blob = models.blob(name)
    content = {**document, "traffic": {"before": before, "after": after}}
    storage.put(blob, json.dumps(content, ensure_ascii=False, indent=2) + "\n", {}, generation=0)
    if after == before:
        return
    # An experiment's `since` stays while it runs: its time is counted from there.
    since = {} if after.get("candidate") else {"since": now.isoformat()}
    noted = {**after, **since, "changed": now.isoformat(), "by": by, "reason": document["reason"], "decision": name}
    try:
        current.write(models, model, noted)
    except PreconditionFailed:
        blob.delete()
        raise


def document_name(model: str, now: datetime) -> str:
    return f"decisions/{model}/{now.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}.json"


def _idle(state: evidence.State, document: dict[str, Any]) -> dict[str, Any]:
    """Since when no input has been observed."""
    if state.content.get("counts") != document["counts"]:
        return {"unchanged_since": document["at"]}
    return {"unchanged_since": state.content.get("unchanged_since", document["at"])}
