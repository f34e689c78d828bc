"""The steps of a run: what each is called, how it is started, and how long it may take."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu import checkpoints, tasks
from benchmarks.serving.paths import ROOT

FORMATS = ("float16", "bfloat16", "float32")
EXACT = "float32 without TF32"
PATIENCE_S = 15.0  # of a process that is told to stop, for the end of its server
LOG_END = 4000  # characters of a failed step's output


@dataclass(frozen=True)
class Step:
    """One check or measurement in a process of its own; `least` is the seconds that it needs to be worth starting."""

    name: str
    model: str = ""
    number_format: str = "auto"
    limit: float = 120.0
    least: float = 5.0
    arguments: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return " ".join(part for part in (self.name, self.model, self.number_format) if part not in ("", "auto"))


@dataclass
class Outcome:
    """`status` is passed, failed, skipped or not run."""

    name: str
    model: str
    number_format: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    problems: list[str] = field(default_factory=list)
    traceback: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return Step(self.name, self.model, self.number_format).title

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in ("", [], {})}


def preparation(*, quick: bool) -> list[Step]:
    names = (*checkpoints.TEXTS, *checkpoints.IMAGES, *tasks.TASKS)
    return [Step("make", each) for each in ([",".join(names)] if quick else names)]


def parity(device: str) -> list[Step]:
    """A failed GPU operation can break all later ones of its process, so each format has its own.

    The tasks other than classification share the classifiers' layers, so the exact format and the default are enough.
    """
    formats: tuple[str, ...] = ("bfloat16",) if device == "cpu" else (EXACT, "float32", "float16", "bfloat16")
    of_tasks = formats if device == "cpu" else (EXACT, "float16")
    paths = [Step("choice"), Step("compiled", limit=180), Step("service"), Step("out_of_memory")]
    return [
        *paths,
        *(Step("parity", name, each) for name in checkpoints.CLASSIFIERS for each in formats),
        *(Step("parity", name, each) for name in tasks.TASKS for each in of_tasks),
        *(Step("predictions", name) for name in tasks.SERVED),
    ]


def speed(*, quick: bool) -> list[Step]:
    """By number format, the most likely one first, since the time may run out."""
    cell = ("--cell", "0.3" if quick else "2")
    clients = ("--clients", "1,8" if quick else "1,8,32,128")
    rows = ("--rows", "200" if quick else "20000")
    formats = ("float32",) if quick else FORMATS
    of_tasks = Step("tasks", number_format=formats[0], least=30, arguments=cell)
    return [
        step
        for each in formats
        for step in (
            Step("ceiling", number_format=each, least=20, arguments=cell),
            Step("serving", number_format=each, least=30, arguments=(*cell, *clients)),
            Step("shard", number_format=each, least=25, arguments=rows),
            Step("images", number_format=each, least=20, arguments=cell),
            *([of_tasks] if each == formats[0] else []),
        )
    ]


@dataclass(frozen=True)
class Runner:
    """Runs steps on a device until the deadline, which is a time of `time.monotonic`."""

    device: str
    quick: bool
    folder: Path
    deadline: float

    def run(self, step: Step, threads: int) -> Outcome:
        outcome = Outcome(step.name, step.model, step.number_format, "not run")
        left = self.deadline - time.monotonic()
        if left < (1.0 if self.quick else step.least):
            outcome.reason = "the time ran out"
            return outcome
        began = time.monotonic()
        result, log = self.folder / f"{step.title}.json", self.folder / f"{step.title}.log"
        limit = min(left, step.limit)
        code = self._start(step, result, log, threads, limit)
        outcome.seconds = round(time.monotonic() - began, 1)
        if code is None:  # whatever it wrote while it was being ended
            outcome.status, outcome.problems = "failed", [f"it was not done after {limit:.0f} s"]
        elif result.exists():
            vars(outcome).update(json.loads(result.read_text()))
        else:
            problem = f"the process ended with status {code} before it had a result"
            outcome.status, outcome.problems = "failed", [problem]
        if outcome.status == "failed" and not outcome.traceback:
            outcome.traceback = log.read_text(errors="replace")[-LOG_END:]
        return outcome

    def _start(self, step: Step, result: Path, log: Path, threads: int, limit: float) -> int | None:
        """The status with which the process ended; None if it was not done by the limit."""
        command = [
            *(sys.executable, "-m", "benchmarks.gpu.step", step.name, "--device", self.device),
            *("--model", step.model, "--format", step.number_format, "--folder", str(self.folder)),
            *("--result", str(result), *(["--quick"] if self.quick else []), *step.arguments),
        ]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
        with log.open("w") as output:
            child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
            try:
                return child.wait(limit)
            except subprocess.TimeoutExpired:
                child.terminate()
                try:
                    child.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
                return None
