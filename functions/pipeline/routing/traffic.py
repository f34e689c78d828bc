"""traffic.json: which version of a model answers, and which candidate takes part in an experiment.

    {"<model>": {"stable": "1", "candidate": "2" | null, "share": 0.1, "mode": "shadow" | "split" | "frozen",
                 "experiment": "<id>", …}}

Other keys are notes for people (`since`, `by`, `reason`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipeline.jobs.job import Experiment

FILE = "traffic.json"
Mode = Literal["shadow", "split", "frozen"]
BITS = 53  # of the hash: what a double holds exactly


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic of one model. A frozen one goes to the stable version alone, as does one without a candidate."""

    stable: str
    candidate: str | None = None
    share: float = 0.0
    mode: Mode = "frozen"
    experiment: str = ""

    @property
    def runs(self) -> bool:
        """Whether the experiment goes on."""
        return self.candidate is not None and self.mode != "frozen"

    def assign(self, job: str, *, shadowed: bool) -> tuple[str, Experiment | None]:
        """The version that answers a job, and the experiment that the job takes part in.

        The same job always gets the same version, as long as the experiment and its share stay.

        Args:
            shadowed: whether the candidate can answer too, unseen.
        """
        if self.candidate is None or self.mode == "frozen":
            return self.stable, None
        is_chosen = position(self.experiment, job) < self.share
        experiment: Experiment = {
            "id": self.experiment, "arm": "stable", "share": self.share, "mode": self.mode,
        }  # fmt: skip
        if self.mode == "shadow":
            return self.stable, {**experiment, "candidate": self.candidate} if is_chosen and shadowed else experiment
        if is_chosen:
            return self.candidate, {**experiment, "arm": "candidate", "stable": self.stable}
        return self.stable, experiment


def position(experiment: str, job: str) -> float:
    """The job's place between 0 and 1 in an experiment; the candidate gets those below its share."""
    digest = hashlib.sha256(f"{experiment}/{job}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> (64 - BITS)) / (1 << BITS)


def parse(content: bytes) -> Mapping[str, Traffic]:
    """The traffic by the model's name.

    Raises:
        ValueError: with all that is wrong.
    """
    models = json.loads(content)
    if not isinstance(models, dict):
        raise ValueError("It must be an object that maps names of models to their traffic.")  # noqa: TRY004
    problems = [f"{name}: {problem}" for name, fields in models.items() for problem in _problems(fields)]
    if problems:
        raise ValueError(" ".join(problems))
    return {name: _traffic(fields) for name, fields in models.items()}


def _traffic(fields: dict[str, Any]) -> Traffic:
    return Traffic(
        fields["stable"],
        fields.get("candidate"),
        float(fields["share"]),
        fields["mode"],
        fields.get("experiment") or "",
    )


def _problems(fields: object) -> Iterator[str]:
    if not isinstance(fields, dict):
        yield "it must be an object."
        return
    stable, candidate, share = fields.get("stable"), fields.get("candidate"), fields.get("share")
    if not isinstance(stable, str) or not stable:
        yield 'stable must be a version, such as "1".'
    if candidate is not None and (not isinstance(candidate, str) or not candidate):
        yield "candidate must be a version or null."
    elif candidate is not None and candidate == stable:
        yield f"candidate and stable are the same version, {stable!r:.100}."
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        yield "share must be a number from 0 to 1."
    if fields.get("mode") not in get_args(Mode):
        yield f"mode must be one of {', '.join(get_args(Mode))}."
    experiment = fields.get("experiment")
    if candidate is not None and (not isinstance(experiment, str) or not experiment):
        yield "experiment must be an id, since there is a candidate."
