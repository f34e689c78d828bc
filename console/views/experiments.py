"""Experiments: how inputs are divided, what speaks for and against a candidate, and the decisions so far."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from console.web import wording
from event_inference.outcomes import reading

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

_DECISIONS = 20
_SILENT = 1.0  # the e-value of no evidence
_ACTIONS = {
    "promote": "Promoted: the candidate answers everything now.",
    "roll_back": "Rolled back: the stable version answers everything again.",
    "raise_share": "The candidate gets more inputs.",
    "undecided": "Ended without a decision: the stable version stays.",
    "wait": "Waiting for more evidence.",
    "freeze": "Frozen by a person.",
    "resume": "Resumed by a person.",
    "force": "Promoted by a person.",
    "rollback": "Rolled back by a person.",
}
_TESTS = {
    "better": "the candidate is better",
    "worse": "the candidate is less accurate",
    "errors": "the candidate fails more often",
    "refusals": "the candidate rejects more inputs",
    "slow": "the candidate is slower",
    "corrections": "the candidate is corrected more often",
    "inputs_missing": "some of the candidate's inputs are missing",
    "labels_missing": "labels were chosen by the answer",
    "budget": "the candidate fails more of its inputs than it may",
}

Json = dict[str, Any]


def traffic_sentence(entry: Mapping[str, Any]) -> str:
    """How a model's inputs are divided between its versions, and why."""
    stable, candidate, mode = entry.get("stable"), entry.get("candidate"), entry.get("mode")
    if mode == "split" and candidate:
        share = wording.percent(entry.get("share") or 0)
        text = f"Version {candidate} gets {share} of the inputs, version {stable} the rest."
    elif mode == "shadow" and candidate:
        text = f"Version {stable} answers. Version {candidate} gets the same inputs, and its answers are only compared."
    else:
        text = f"Version {stable} answers everything{'; changes are frozen' if mode == 'frozen' else ''}."
    if entry.get("experiment"):
        text += f" The experiment is {entry['experiment']}"
        text += f", since {entry['since']}." if entry.get("since") else "."
    return f"{text} {entry.get('reason') or ''}".strip()


def evidence(models: "Bucket", model: str, entry: Mapping[str, Any]) -> Json | None:
    """What the last look at an experiment found: counts by phase and version, and tests; None before that."""
    if not entry.get("experiment"):
        return None
    look = reading.read_json(models, f"evidence/{model}/{entry['experiment']}/counts.json")
    if not isinstance(look, Mapping):
        return None
    return {
        "rows": [row for phase in look.get("counts") or [] for row in _counts(phase, look)],
        "tests": tests(look),
        "difference": _difference(look.get("difference")),
        "reason": str(look.get("reason") or ""),
    }


def tests(look: Mapping[str, Any]) -> list[Json]:
    """Each test in words, with its e-value, the threshold that it must reach, and the share of the way to it.

    An e-value begins at 1, and is above it where the evidence is for what the test says.
    """
    values, thresholds = look.get("e_values") or {}, look.get("thresholds") or {}
    found = []
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if not isinstance(value, int | float):
            continue
        threshold = thresholds.get(name)
        share = min(1.0, value / threshold) if isinstance(threshold, int | float) and threshold > 0 else None
        found.append(
            {
                "words": _TESTS.get(name, name),
                "value": value,
                "threshold": threshold,
                "share": share,
                "is_telling": value > _SILENT,
            }
        )
    return sorted(found, key=lambda test: -(test["share"] or 0))


def decisions(models: "Bucket") -> list[Json]:
    """The newest decisions of all models; their names end in their time."""
    listed = sorted(
        (blob.name for blob in models.list_blobs(prefix="decisions/") if blob.name.endswith(".json")),
        key=lambda name: name.rpartition("/")[2],
        reverse=True,
    )[:_DECISIONS]
    found = reading.concurrently(lambda name: reading.read_json(models, name), listed)
    return [
        {
            "name": name,
            "model": name.split("/")[1],
            "time": name.rpartition("/")[2].removesuffix(".json"),
            "content": content,
            "sentence": _sentence(content),
            "tests": tests(content),
        }
        for name, content in zip(listed, found, strict=True)
        if isinstance(content, dict)
    ]


def _sentence(decision: Mapping[str, Any]) -> str:
    action = str(decision.get("action") or "")
    words = [_ACTIONS.get(action, action), str(decision.get("reason") or "")]
    return " ".join(part for part in words if part) or "The record says no more in words."


def _counts(phase: Mapping[str, Any], look: Mapping[str, Any]) -> list[Json]:
    names = ("requests", "failed", "rejected", "slow", "labelled", "wrong")
    return [
        {
            "phase": f"{phase.get('mode')}, {wording.percent(phase.get('share') or 0)}",
            "version": look.get(version, version),
            **{name: counts.get(name) for name in names},
        }
        for version in ("stable", "candidate")
        if isinstance(counts := phase.get(version), Mapping)
    ]


def _difference(bounds: Any) -> str:
    if not isinstance(bounds, list) or len(bounds) != 2:
        return ""
    low, high = (100 * bound for bound in bounds)
    return f"The candidate's accuracy less the stable version's is {low:+.1f} to {high:+.1f} points."
