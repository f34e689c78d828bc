"""Observations of single inputs, as the pipeline leaves them in the output bucket, and their counts.

observations/<experiment>/<job>.served     what the input's sender got, and from which version
observations/<experiment>/<job>.shadow     what the candidate answered beside it
observations/<experiment>/<job>.label      whether the answer was right, or was corrected

The content is JSON in the object's metadata, so that a listing reads a thousand at once. A job has each once: what was
observed first stays, whatever is delivered again, retried or replayed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Literal, Self

from event_inference.promotion.counts import BINS, Mode, Phase, Version

KEY = "observation"  # of the metadata

What = Literal["served", "shadow", "label"]


def prefix(experiment: str) -> str:
    return f"observations/{experiment}/"


@dataclass(frozen=True, slots=True)
class Observation:
    """One of an input's observations.

    Args:
        written_at: when Cloud Storage created the object.
    """

    job: str
    what: What
    content: Mapping[str, Any]
    written_at: datetime

    @classmethod
    def parse(cls, name: str, metadata: Mapping[str, str] | None, written_at: datetime) -> "Observation | None":
        """An observation of a listing; None for an object that is not one."""
        job, _, what = name.rpartition("/")[2].rpartition(".")
        if what not in ("served", "shadow", "label") or KEY not in (metadata or {}):
            return None
        return cls(job, what, json.loads((metadata or {})[KEY]), written_at)  # type: ignore[arg-type]

    @property
    def stable_ms(self) -> float | None:
        """The time of an answer by the stable version, in milliseconds."""
        if self.what != "served" or self.content["arm"] != "stable" or self.content.get("ms") is None:
            return None
        return float(self.content["ms"])


@dataclass(frozen=True, slots=True)
class Limit:
    """The stable version's 95th percentile of the time to predict, fixed before what it is compared with.

    Args:
        milliseconds: of queue and inference.
        since: inputs observed later are compared.
    """

    milliseconds: float
    since: datetime

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        return cls(float(value["milliseconds"]), datetime.fromisoformat(value["since"]))

    def json(self) -> dict[str, Any]:
        return {"milliseconds": self.milliseconds, "since": self.since.isoformat()}


@dataclass(slots=True)
class _Input:
    """All that was observed of one input; missing parts are empty."""

    job: str
    parts: dict[What, Mapping[str, Any]] = field(default_factory=dict)
    served_at: datetime | None = None

    @property
    def truth(self) -> str | None:
        """The true label, if it is known by chance and not by the answer."""
        return self.parts.get("label", {}).get("label")


def count(observations: Iterable[Observation], limit: Limit | None = None) -> list[Phase]:
    """The counts of one experiment's observations.

    Args:
        observations: in the order of their names, as a listing returns them.
        limit: of time; without one, no input is slow.
    """
    phases: dict[tuple[Mode, float], Phase] = {}
    for observed in _inputs(observations):
        served = observed.parts.get("served")
        if served is None:  # a label or a shadow that is ahead of its document's
            continue
        key: tuple[Mode, float] = served["mode"], float(served["share"])
        phase = phases.setdefault(key, Phase(*key))
        _count_served(phase.candidate if served["arm"] == "candidate" else phase.stable, observed, limit)
        if key[0] == "shadow" and served.get("sampled"):
            _count_both(phase, observed, limit)
    return [phases[key] for key in sorted(phases)]


def limit(stable_ms: Sequence[float], until: datetime, enough: int) -> Limit | None:
    """The limit that the stable version's times fix, for inputs observed after `until`; None while they are few."""
    return Limit(sorted(stable_ms)[-(len(stable_ms) // 20) - 1], until) if len(stable_ms) >= enough else None


def _inputs(observations: Iterable[Observation]) -> Iterator[_Input]:
    for job, parts in groupby(observations, key=lambda each: each.job):
        observed = _Input(job)
        for each in parts:
            observed.parts[each.what] = each.content
            if each.what == "served":
                observed.served_at = each.written_at
        yield observed


def _count_served(version: Version, observed: _Input, limit: Limit | None) -> None:
    _count(version, observed, "served", limit)
    version.corrected += bool(observed.parts.get("label", {}).get("corrected"))


def _count(version: Version, observed: _Input, what: What, limit: Limit | None) -> None:
    """Adds an answer to the counts of the version that gave it."""
    content = observed.parts[what]
    version.requests += 1
    version.failed += content["outcome"] == "failed"
    version.rejected += content["outcome"] == "rejected"
    version.unserved += bool(content.get("unserved"))
    version.gpu_microseconds += int(content.get("gpu_us") or 0)
    if (is_slow := _is_slow(observed, what, limit)) is not None:
        version.timed += 1
        version.slow += is_slow
    if observed.truth is not None:
        version.labelled += 1
        version.wrong += content.get("label") != observed.truth  # nor is a failure a right answer
    if (confidence := content.get("confidence")) is not None:
        version.confidence[min(int(float(confidence) * BINS), BINS - 1)] += 1


def _is_slow(observed: _Input, what: What, limit: Limit | None) -> bool | None:
    """Whether an answer took longer than the limit; None for one that fixed it, and for batches.

    A failure without a time is not slow, but counts, or a version that fails more often would seem to serve less.
    """
    content = observed.parts[what]
    if limit is None or observed.served_at is None or observed.served_at <= limit.since or "ms" not in content:
        return None
    return content["ms"] is not None and content["ms"] > limit.milliseconds


def _count_both(phase: Phase, observed: _Input, limit: Limit | None) -> None:
    served, shadow, both = observed.parts["served"], observed.parts.get("shadow"), phase.both
    has_failed = served["outcome"] == "failed"
    if shadow is None:
        both.failing["win"] += has_failed  # the candidate is asked only if there is an answer to compare
        both.missing += served["outcome"] == "succeeded"
        return
    _count(phase.candidate, observed, "shadow", limit)
    both.failing[_word(has_failed, shadow["outcome"] == "failed")] += 1
    times = _is_slow(observed, "served", limit), _is_slow(observed, "shadow", limit)
    if None not in times:
        both.slowing[_word(*map(bool, times))] += 1
    answers = served.get("label"), shadow.get("label")
    if None not in answers:
        both.compared += 1
        both.agreed += answers[0] == answers[1]
    if observed.truth is not None:
        both.accuracy[_word(*(answer != observed.truth for answer in answers))] += 1


def _word(stable: bool, candidate: bool) -> str:
    """Which version alone met with something bad."""
    if stable == candidate:
        return "same"
    return "win" if stable else "loss"
