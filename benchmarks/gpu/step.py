"""Runs one step in this process and writes its figures, or its traceback, to a file: the process of `plan.Step`."""

import argparse
import json
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = (
    *("make", "choice", "service", "out_of_memory", "compiled", "parity", "predictions"),
    *("ceiling", "serving", "images", "shard", "tasks"),
)
Check = Callable[[argparse.Namespace], dict[str, Any]]


def check(name: str) -> Check:
    """Imports what the step needs, so that a missing package fails only the steps that use it."""
    if name == "parity":
        from benchmarks.gpu import parity

        return parity.compare
    if name in ("choice", "service", "out_of_memory", "compiled"):
        from benchmarks.gpu import paths

        return getattr(paths, name)  # type: ignore[no-any-return]
    if name in ("predictions", "tasks"):
        from benchmarks.gpu import served

        return served.predictions if name == "predictions" else served.speed
    if name == "make":
        return _make
    from benchmarks.gpu import speed

    return getattr(speed, name)  # type: ignore[no-any-return]


def _make(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.gpu import checkpoints

    for name in options.model.split(","):
        checkpoints.make(name, options.folder, quick=options.quick)
    return {"problems": []}


def result(options: argparse.Namespace) -> dict[str, Any]:
    """`status`, and figures or a traceback."""
    try:
        figures = check(options.step)(options)
    except Exception as error:  # noqa: BLE001  every failure belongs into the results
        if type(error).__name__ == "Skipped":
            return {"status": "skipped", "reason": str(error)}
        return {"status": "failed", "traceback": traceback.format_exc()}
    problems = figures.pop("problems")
    return {"status": "failed" if problems else "passed", "problems": problems, "figures": figures}


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--model", default="")
    parser.add_argument("--format", default="auto", help="number format")
    parser.add_argument("--device", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="of the checkpoints")
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cell", type=float, default=1.0, help="seconds of one figure")
    parser.add_argument("--clients", type=numbers, default=[1])
    parser.add_argument("--rows", type=int, default=200, help="of the shard")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a server that it has started ends too
    options.result.write_text(json.dumps(result(options)))


if __name__ == "__main__":
    main()
