"""Checks the GPU paths against the CPU, then measures them; started by run.sh.

Every step runs in its own process. A step that fails is reported with its traceback, and the others go on; the exit
status is 1 when one has failed or has not run, and 2 when nothing can run here.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from benchmarks.gpu import preflight


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/gpu/run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true", help="tiny models and short figures: checks this script itself")
    parser.add_argument("--seconds", type=float, default=450.0, help="for everything; the checks come first")
    parser.add_argument("--jobs", type=int, default=max(2, min(6, (os.cpu_count() or 2) // 2)), help="checks at a time")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/, and build/ for the CPU")
    return parser.parse_args()


def main() -> int:
    options = parse()
    deadline = time.monotonic() + options.seconds
    if obstacles := preflight.obstacles(options.device):
        print("The benchmark cannot run here:", *obstacles, sep="\n- ", file=sys.stderr)
        return 2
    return measure(options, deadline)


def measure(options: argparse.Namespace, deadline: float) -> int:
    from benchmarks.gpu import plan, report

    cores = len(os.sched_getaffinity(0))
    jobs = min(options.jobs, cores)
    record = report.Record.begin(options.device, preflight.gaps(), quick=options.quick)
    with tempfile.TemporaryDirectory(prefix="gpu-benchmark-") as folder:
        runner = plan.Runner(options.device, options.quick, Path(folder), deadline)
        for steps, at_a_time in (
            (plan.preparation(quick=options.quick), jobs),
            (plan.parity(options.device), jobs),
            (plan.speed(quick=options.quick), 1),
        ):
            with ThreadPoolExecutor(at_a_time) as pool:
                for done in as_completed([pool.submit(runner.run, step, cores // at_a_time) for step in steps]):
                    outcome = done.result()
                    print(f"{outcome.status:8} {outcome.title} ({outcome.seconds} s)", file=sys.stderr, flush=True)
                    record.outcomes.append(outcome)
                    written = record.save(options.output)  # each time: the machine may be taken away
    counts = Counter(outcome.status for outcome in record.outcomes)
    print("; ".join(f"{count} {status}" for status, count in counts.most_common()))
    print("written:", *written)
    return 1 if counts["failed"] or counts["not run"] else 0


if __name__ == "__main__":
    sys.exit(main())
