"""Tables of a run as Markdown and JSON: figures, ratios to the packed ceiling and to the best peer, all failures."""

import datetime
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.ceilings import Ceiling, packed_ceiling
from benchmarks.serving.load import OK, REFUSED, Summary
from benchmarks.serving.paths import RESULTS
from benchmarks.serving.peers import OURS
from benchmarks.serving.results import Measurements, ModelRun, Result

QUIET_LOAD = 0.5  # one-minute load average that a quiet machine stays under
STEADY = 0.1  # share by which a ceiling may change during a run


def machine() -> dict[str, Any]:
    """Where and when; versions are those of the environment that runs the benchmark."""
    from importlib.metadata import version

    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def facts(machine: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())


def markdown(measured: Measurements) -> str:
    generator = ", ".join(f"{rate:,.0f} at {clients}" for clients, rate in measured.generator.items())
    parts = [
        "# Serving benchmark",
        f"{facts(measured.machine)}; torch threads {measured.settings['threads']}.",
        *([f"Beside {hogs} processes that keep a core busy each."] if (hogs := measured.settings["hogs"]) else []),
        f"The load generator alone, against a server that does nothing: {generator} clients (requests/s).",
        *([f"**Provisional, not to be quoted: {'; '.join(doubts(measured))}.**"] if doubts(measured) else []),
        *(section(run) for run in measured.runs),
    ]
    return "\n\n".join(parts) + "\n"


def section(run: ModelRun) -> str:
    ceiling = statistics.mean(packed_ceiling(each) for each in run.ceilings) if run.ceilings else None
    clients = sorted({count for result in run.results for count in result.cells})
    parts = [f"## Model: {run.model}"]
    if run.ceilings:
        parts += ["### The model alone (texts per second, tokenised before)", alone(run.ceilings)]
    parts += ["### Closed loop", closed_loop(run.results, clients, ceiling)]
    if ratios := against_best_peer(run.results, clients):
        parts += [f"{OURS} against the best peer, throughput:", ratios]
    parts += ["### Open loop at 70 % of each server's own capacity (random arrivals)", open_loop(run.results)]
    if trouble := troubles(run.results):
        parts += ["### What went wrong", trouble]
    return "\n\n".join(parts)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def doubts(measured: Measurements) -> list[str]:
    """Reasons not to quote a run: the machine was busy, or did not stay as fast as it was."""
    reasons = []
    if (load := measured.machine["load_average_at_start"]) > QUIET_LOAD:
        reasons.append(f"other work was running (load average {load} at the start)")
    for run in measured.runs:
        if not run.ceilings:
            continue
        before, after = (packed_ceiling(each) for each in run.ceilings)
        if abs(after - before) > STEADY * before:
            reasons.append(f"the {run.model} model's packed ceiling went from {before:,.1f} to {after:,.1f} texts/s")
    return reasons


def alone(measured: Sequence[dict[str, Ceiling]]) -> str:
    ceiling = statistics.mean(packed_ceiling(each) for each in measured)
    rows = []
    for name in measured[0]:
        rates = [each[name]["per_second"] for each in measured]
        mean = statistics.mean(rates)
        both = " / ".join(f"{rate:,.1f}" for rate in rates)
        rows.append([name, f"{mean:,.1f}", f"{mean / ceiling:.2f}", both, f"{measured[0][name]['tokens_ratio']:.2f}"])
    header = ["how", "per second", "of packed ceiling", "before / after the servers", "tokens computed / real"]
    return table(header, rows)


def closed_loop(results: Sequence[Result], clients: Sequence[int], ceiling: float | None) -> str:
    rate = "/s (of ceiling)" if ceiling else "/s"
    header = ["server", *(f"{count} clients: {rate}, p50 / p99 ms" for count in clients)]
    rows = []
    for result in results:
        cells = [cell(result.cells.get(count), ceiling) for count in clients]
        rows.append([result.server, *cells])
    return table(header, rows)


def cell(summary: Summary | None, ceiling: float | None) -> str:
    if summary is None:
        return "–"
    latency = summary["latency_ms"]
    times = f", {latency['p50']:,.0f} / {latency['p99']:,.0f}" if latency else ""
    refused = f", {count} refused" if (count := summary["outcomes"].get(REFUSED)) else ""
    share = f" ({summary['per_second'] / ceiling:.2f})" if ceiling else ""
    return f"{summary['per_second']:,.1f}{share}{times}{refused}"


def against_best_peer(results: Sequence[Result], clients: Sequence[int]) -> str:
    service = next((result for result in results if result.server == OURS and result.cells), None)
    others = [result for result in results if result.server != OURS and "packed" not in result.server]
    if service is None:
        return ""
    rows = []
    for count in clients:
        rates = {other.server: other.cells[count]["per_second"] for other in others if count in other.cells}
        if rates and count in service.cells:
            best = max(rates, key=lambda name: rates[name])
            ratio = service.cells[count]["per_second"] / rates[best]
            rows.append(
                [str(count), f"{service.cells[count]['per_second']:,.1f}", f"{best} {rates[best]:,.1f}", f"{ratio:.2f}"]
            )
    return table(["clients", OURS, "best peer", "ratio"], rows) if rows else ""


def open_loop(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        if (summary := result.open_loop) is None or (latency := summary["latency_ms"]) is None:
            rows.append([result.server, *["–"] * 5])
        else:
            times = [f"{latency[each]:,.1f}" for each in ("p50", "p95", "p99")]
            rows.append(
                [result.server, f"{summary['per_second']:,.1f}", *times, str(sum(summary["outcomes"].values()))]
            )
    return table(["server", "answers/s", "p50 ms", "p95 ms", "p99 ms", "requests"], rows)


def troubles(results: Sequence[Result]) -> str:
    lines = [f"- {result.server}: no figures, {result.error}" for result in results if result.error]
    for result in results:
        cells = {f"{count} clients": summary for count, summary in result.cells.items()}
        if result.open_loop:
            cells["open loop"] = result.open_loop
        for name, summary in cells.items():
            bad = {outcome: count for outcome, count in summary["outcomes"].items() if outcome != OK}
            if bad:
                total = sum(summary["outcomes"].values())
                counts = ", ".join(f"{count} {outcome}" for outcome, count in bad.items())
                lines.append(f"- {result.server}, {name}: {counts} of {total}")
    return "\n".join(lines)


def line(result: Result) -> str:
    """One line of progress."""
    if result.error:
        return f"{result.server}: {result.error}"
    cells = ", ".join(f"{count}: {summary['per_second']:,.1f}/s" for count, summary in result.cells.items())
    return f"{result.server}: {cells} (ready after {result.ready_seconds} s)"


def save(measured: Measurements) -> list[Path]:
    name = "busy" if measured.settings["hogs"] else "serving"
    return write(name, measured.machine, json.dumps(asdict(measured), indent=1), markdown(measured))


def write(name: str, machine: dict[str, Any], as_json: str, as_markdown: str, folder: Path = RESULTS) -> list[Path]:
    """`<date>-<name>.json` and `.md` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{machine['date'][:10]}-{name}"
    json_path, markdown_path = folder / f"{stem}.json", folder / f"{stem}.md"
    json_path.write_text(f"{as_json}\n")
    markdown_path.write_text(as_markdown)
    return [json_path, markdown_path]
