"""Writes a run's outcomes as Markdown and JSON: checks, speed by number format, and every failure."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.gpu.plan import FORMATS, Outcome
from benchmarks.gpu.tasks import SERVED, TASKS
from benchmarks.serving import report
from benchmarks.serving.load import Summary
from benchmarks.serving.paths import RESULTS, ROOT

BUILD = ROOT / "build"
SPEED = ("ceiling", "serving", "images", "shard", "tasks")
Cell = Callable[[Outcome], str]


@dataclass
class Record:
    """Where and when, and the outcomes so far."""

    machine: dict[str, Any]
    gaps: list[str]
    quick: bool
    outcomes: list[Outcome] = field(default_factory=list)

    @classmethod
    def begin(cls, device: str, gaps: list[str], *, quick: bool) -> Self:
        return cls({**report.machine(), "device": device, **_gpu(device)}, gaps, quick)

    def save(self, folder: Path | None) -> list[Path]:
        is_cpu = self.machine["device"] == "cpu"
        found = {
            "machine": self.machine,
            "quick": self.quick,
            "missing": self.gaps,
            "outcomes": [each.as_dict() for each in self.outcomes],
        }
        target = folder or (BUILD if is_cpu else RESULTS)
        return report.write("gpu", self.machine, json.dumps(found, indent=1), markdown(self), target)


def _gpu(device: str) -> dict[str, str]:
    if device == "cpu":
        return {}
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
        name, driver, memory = output.splitlines()[0].split(", ")
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {"gpu": "unknown: nvidia-smi fails"}
    return {"gpu": name, "driver": driver, "gpu_memory": memory}


def markdown(record: Record) -> str:
    counts = Counter(each.status for each in record.outcomes)
    parts = ["# The GPU service on a GPU: parity with the CPU, and speed", f"{report.facts(record.machine)}."]
    if record.quick:
        parts.append("**Tiny models and short figures: this checks the script and is not to be quoted.**")
    parts += [f"- {gap}" for gap in record.gaps]
    parts.append(f"Steps: {', '.join(f'{count} {status}' for status, count in counts.most_common())}.")
    parts += ["## Checks", _checks(record.outcomes)]
    measured = {each.number_format for each in record.outcomes if each.name in SPEED}
    formats = [each for each in FORMATS if each in measured]
    for title, columns in (("Texts per second", TEXTS), ("Images and shards", OTHERS)):
        parts += [f"## {title}", _by_format(record.outcomes, formats, columns)] if formats else []
    if of_tasks := [each.number_format for each in record.outcomes if each.name == "tasks"]:
        parts += ["## Other tasks, inputs per second", _by_format(record.outcomes, of_tasks, OF_TASKS)]
    if trouble := [_trouble(each) for each in record.outcomes if each.status in ("failed", "not run")]:
        parts += ["## What failed or did not run", *trouble]
    return "\n\n".join(parts) + "\n"


def _checks(outcomes: Sequence[Outcome]) -> str:
    """One row for each check; differences are in standard deviations of the logits of different inputs."""
    rows = []
    for each in sorted(outcomes, key=lambda each: each.title):
        if each.name in SPEED or (each.name == "make" and each.status == "passed"):
            continue
        differences = each.figures.get("differences") or {}
        worst = max(differences, key=lambda case: differences[case], default="")
        detail = f"{differences[worst]:.2g} ({worst})" if worst else each.reason
        served = " ".join(str(each.figures.get(name, "")) for name in ("attention", "served as")).strip()
        rows.append([each.title, each.status, detail, str(each.figures.get("limit", "")), served, f"{each.seconds}"])
    return report.table(["check", "status", "largest difference", "limit", "runs as", "s"], rows)


def _closed(clients: str) -> Cell:
    def cell(outcome: Outcome) -> str:
        summary: Summary = outcome.figures["cells"][clients]
        latency = summary["latency_ms"] or {}
        return f"{summary['per_second']:,.0f}, {latency.get('p50', '–')} / {latency.get('p99', '–')}"

    return cell


def _figure(*path: str) -> Cell:
    def cell(outcome: Outcome) -> str:
        value: Any = outcome.figures
        for name in path:
            value = value[name]
        return f"{value:,.0f}"

    return cell


TEXTS: dict[str, tuple[str, Cell]] = {
    **{f"packed forward, {rows}": ("ceiling", _figure("packed", rows)) for rows in ("1", "8", "32", "128", "512")},
    "transformers pipeline": ("ceiling", _figure("pipeline")),
    **{f"served, {n} clients: /s, p50 / p99 ms": ("serving", _closed(n)) for n in ("1", "8", "32", "128")},
}
OTHERS: dict[str, tuple[str, Cell]] = {
    **{f"ViT forward, {rows}: images/s": ("images", _figure("alone", rows)) for rows in ("1", "8", "64", "256")},
    "ViT served from JPEG: images/s": ("images", _figure("service")),
    "shard: rows/s": ("shard", _figure("rows_per_second")),
}
OF_TASKS: dict[str, tuple[str, Cell]] = {
    f"{TASKS[name]}, {name}, {way}": ("tasks", _figure(name, way)) for name in SERVED for way in ("forward", "served")
}


def _by_format(outcomes: Sequence[Outcome], formats: Sequence[str], rows: dict[str, tuple[str, Cell]]) -> str:
    found = {(each.name, each.number_format): each for each in outcomes}
    lines = [
        [title, *(_cell(found.get((name, each)), cell) for each in formats)] for title, (name, cell) in rows.items()
    ]
    return report.table(["", *formats], lines)


def _cell(outcome: Outcome | None, cell: Cell) -> str:
    if outcome is None:
        return "not run"
    try:
        text = cell(outcome)
    except KeyError:
        return "–" if outcome.figures else outcome.status
    return text if outcome.status == "passed" else f"{text} (failed, see below)"


def _trouble(outcome: Outcome) -> str:
    lines = [f"### {outcome.title}: {outcome.status}", *([outcome.reason] if outcome.reason else [])]
    lines += ["\n".join(f"- {problem}" for problem in outcome.problems)] if outcome.problems else []
    lines += [f"```\n{outcome.traceback.strip()}\n```"] if outcome.traceback.strip() else []
    return "\n\n".join(lines)
