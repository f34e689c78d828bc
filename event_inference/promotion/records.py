"""Decisions as documents, from which anyone can compute them again."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from event_inference.promotion.counts import Phase, evidence
from event_inference.promotion.decision import Decision, Rules, Situation, decide
from event_inference.promotion.observations import Limit

SCHEMA = "decision/v1"
AUTHOR = "promote"  # of a decision by evidence; a person's order has another
LARGEST = 700.0  # whose exponential is still a float
DIGITS = 9  # in which two machines agree


@dataclass(frozen=True, slots=True)
class Trial:
    """All that a decision follows from.

    Args:
        until: observations written later do not count.
        limit: of time, once it is fixed.
    """

    model: str
    experiment: str
    stable: str
    candidate: str
    rules: Rules
    situation: Situation
    phases: tuple[Phase, ...]
    until: datetime
    limit: Limit | None = None

    def decide(self) -> Decision:
        return decide(evidence(self.phases), self.rules, self.situation)

    def json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "experiment": self.experiment,
            "stable": self.stable,
            "candidate": self.candidate,
            "until": self.until.isoformat(),
            "rules": asdict(self.rules),
            "situation": asdict(self.situation),
            "limit": self.limit.json() if self.limit else None,
            "counts": [phase.json() for phase in self.phases],
        }

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            model=value["model"],
            experiment=value["experiment"],
            stable=value["stable"],
            candidate=value["candidate"],
            rules=rules(value["rules"]),
            situation=Situation(**value["situation"]),
            phases=tuple(Phase.parse(phase) for phase in value["counts"]),
            until=datetime.fromisoformat(value["until"]),
            limit=Limit.parse(value["limit"]) if value["limit"] else None,
        )


def rules(value: Mapping[str, Any]) -> Rules:
    """Rules from JSON. Raises TypeError or ValueError for unknown names and impossible values."""
    chosen = Rules(**{**value, "shares": tuple(value.get("shares", Rules().shares))})
    numbers = {
        "alpha": 0 < chosen.alpha < 1,
        "guard_alpha": 0 < chosen.guard_alpha < 1,
        "margin": 0 <= chosen.margin < 1,
        "horizon": chosen.horizon >= 1,
        "days": chosen.days > 0,
        "inputs_per_step": chosen.inputs_per_step >= 1,
        "limit_answers": chosen.limit_answers >= 1,
        "shares": all(0 < share < 1 for share in chosen.shares) and list(chosen.shares) == sorted(chosen.shares),
        "budget": 0 < chosen.budget < 1,
    }
    if wrong := [name for name, is_possible in numbers.items() if not is_possible]:
        raise ValueError(f"{', '.join(wrong)} of the rules cannot be used.")
    return chosen


def conclusion(decision: Decision) -> dict[str, Any]:
    """A decision's own fields of its document; e-values beside the thresholds that they were compared with."""
    return {
        "action": decision.action,
        "reason": decision.reason,
        "share": decision.share,
        "e_values": {name: _exponential(value) for name, value in decision.e_values.items()},
        "thresholds": {name: _exponential(value) for name, value in decision.thresholds.items()},
        "difference": [_rounded(bound) for bound in decision.difference] if decision.difference else None,
    }


def document(trial: Trial, decision: Decision, name: str, at: datetime) -> dict[str, Any]:
    """The document of a decision that the evidence led to.

    Args:
        name: of the object that will hold it.
    """
    return {
        "schema": SCHEMA,
        "at": at.isoformat(),
        "by": AUTHOR,
        **conclusion(decision),
        **trial.json(),
        "verify": f"einf promote verify {name}",
    }


def differences(stored: Mapping[str, Any]) -> list[str]:
    """What a decision document says otherwise than its own counts lead to; empty if it holds.

    An order of a person needs no evidence, so only the e-values and the interval are computed again.
    """
    computed = conclusion(Trial.parse(stored).decide())
    names = computed if stored["by"] == AUTHOR else ("e_values", "thresholds", "difference")
    return _differences(stored, {name: computed[name] for name in names})


def miscounted(stored: Mapping[str, Any], phases: Iterable[Phase]) -> list[str]:
    """Where a decision document's counts are others than those of the observations that are still stored."""
    recounted = [phase.json() for phase in phases]
    return _differences({"counts": stored["counts"]}, {"counts": recounted})


def _differences(stored: Any, computed: Any, path: str = "") -> list[str]:
    if isinstance(computed, Mapping) and isinstance(stored, Mapping):
        return [
            line
            for name in computed
            for line in _differences(stored.get(name), computed[name], f"{path}.{name}".lstrip("."))
        ]
    if isinstance(computed, list) and isinstance(stored, list) and len(stored) == len(computed):
        pairs = enumerate(zip(stored, computed, strict=True))
        return [line for index, pair in pairs for line in _differences(*pair, f"{path}[{index}]")]
    if stored == computed:
        return []
    return [f"{path}: the document says {stored!r}, computed is {computed!r}"]


def _exponential(logarithm: float) -> float:
    return _rounded(math.exp(min(logarithm, LARGEST)))


def _rounded(number: float) -> float:
    """In as many digits as two machines agree in."""
    return float(f"{number:.{DIGITS}g}")
