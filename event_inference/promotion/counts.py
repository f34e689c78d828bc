"""Counts of an experiment: of each phase of constant share, of each version, and of inputs that both predicted.

They can be added in any order, hold no input's content, and are all that a decision follows from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from event_inference.promotion.evidence import Evidence, Pairs, Split

Mode = Literal["shadow", "split"]
BINS = 10  # of confidence, from 0 to 1


@dataclass(slots=True)
class Version:
    """What became of the inputs that a version predicted in a phase.

    Args:
        requests: inputs assigned to the version that have an outcome, of which so many failed by a fault of the
            service, were rejected by the execution, or were answered by the stable version in the candidate's place.
        timed: those whose time is compared with the limit, of which so many were slow.
        labelled: answers whose true label is known, by chance and not by the answer; so many were wrong or missing.
        corrected: answers that a user corrected.
        gpu_microseconds: of the device, of all requests together.
        confidence: how many answers had a confidence of 0 to .1, .1 to .2, …
    """

    requests: int = 0
    failed: int = 0
    rejected: int = 0
    unserved: int = 0
    timed: int = 0
    slow: int = 0
    labelled: int = 0
    wrong: int = 0
    corrected: int = 0
    gpu_microseconds: int = 0
    confidence: list[int] = field(default_factory=lambda: [0] * BINS)


@dataclass(slots=True)
class Both:
    """Inputs that both versions predicted (shadow).

    Args:
        compared: answers of both with a label each, of which so many agreed.
        accuracy, failing, slowing: `{win, loss, same}` as `Pairs` counts them.
        missing: sampled inputs without the candidate's answer so far.
    """

    compared: int = 0
    agreed: int = 0
    accuracy: dict[str, int] = field(default_factory=lambda: {"win": 0, "loss": 0, "same": 0})
    failing: dict[str, int] = field(default_factory=lambda: {"win": 0, "loss": 0, "same": 0})
    slowing: dict[str, int] = field(default_factory=lambda: {"win": 0, "loss": 0, "same": 0})
    missing: int = 0


@dataclass(slots=True)
class Phase:
    """A time in which the candidate's share was constant."""

    mode: Mode
    share: float
    stable: Version = field(default_factory=Version)
    candidate: Version = field(default_factory=Version)
    both: Both = field(default_factory=Both)

    def __add__(self, other: "Phase") -> "Phase":
        """The counts of two parts of the phase together."""
        total: Phase = _added(self, other)
        return total

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            value["mode"],
            float(value["share"]),
            Version(**value["stable"]),
            Version(**value["candidate"]),
            Both(**value["both"]),
        )

    def json(self) -> dict[str, Any]:
        return asdict(self)


def merged(phases: Iterable[Phase]) -> list[Phase]:
    """Phases with the same share and mode added, in the order of their shares."""
    totals: dict[tuple[Mode, float], Phase] = {}
    for phase in phases:
        key = phase.mode, phase.share
        totals[key] = totals[key] + phase if key in totals else phase
    return [totals[key] for key in sorted(totals)]


def evidence(phases: Iterable[Phase]) -> Evidence:
    """What the counts say for and against the candidate."""
    together = merged(phases)
    shadows = [phase.both for phase in together if phase.mode == "shadow"]
    splits = [phase for phase in together if phase.mode == "split" and 0 < phase.share < 1]
    return Evidence(
        pairs=_pairs(both.accuracy for both in shadows),
        failing=_pairs(both.failing for both in shadows),
        slowing=_pairs(both.slowing for both in shadows),
        mistakes=tuple(_split(phase, "wrong", "labelled") for phase in splits),
        errors=tuple(_split(phase, "failed", "requests") for phase in splits),
        refusals=tuple(_split(phase, "rejected", "requests") for phase in splits),
        slow=tuple(_split(phase, "slow", "timed") for phase in splits),
        unserved=sum(phase.candidate.unserved for phase in splits),
        corrections=tuple(_split(phase, "corrected", "requests") for phase in splits),
    )


def _pairs(parts: Iterable[Mapping[str, int]]) -> Pairs:
    return sum((Pairs(**part) for part in parts), Pairs())


def _split(phase: Phase, happened: str, of: str) -> Split:
    """Of the inputs that one field counts, those to which something happened that another counts."""
    candidate, stable = (getattr(version, happened) for version in (phase.candidate, phase.stable))
    return Split(
        phase.share,
        candidate_yes=candidate,
        candidate_no=getattr(phase.candidate, of) - candidate,
        stable_yes=stable,
        stable_no=getattr(phase.stable, of) - stable,
    )


def _added(one: Any, other: Any) -> Any:
    """Numbers added, and what identifies a phase kept."""
    match one:
        case int():
            return one + other
        case list():
            return [left + right for left, right in zip(one, other, strict=True)]
        case dict():
            return {name: one[name] + other[name] for name in one}
        case str() | float():
            return one
    return type(one)(*(_added(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)))
