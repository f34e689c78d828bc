"""The benchmark for a GPU machine, on the CPU with tiny models, so that it works when there is a GPU."""

import json
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.plan import Runner, Step
from benchmarks.gpu.tasks import SERVED, TASKS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "run.sh"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_step_passes_on_the_cpu(tmp_path: Path) -> None:
    command = [str(SCRIPT), "--device", "cpu", "--quick", "--seconds", "800", "--output", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (written,) = tmp_path.glob("*-gpu.json")
    outcomes = json.loads(written.read_text())["outcomes"]
    assert {each["name"] for each in outcomes if each["status"] == "skipped"} <= {"out_of_memory", "compiled"}
    assert {each["name"] for each in outcomes if each["status"] == "passed"} >= {
        "parity",
        "service",
        "serving",
        "shard",
        "predictions",
        "tasks",
    }
    table = written.with_suffix(".md").read_text()
    for name in ("bert", *TASKS):
        assert f"| parity {name} bfloat16 | passed |" in table
    for name in SERVED:
        assert f"| predictions {name} | passed |" in table
        assert re.search(rf"\| {TASKS[name]}, {name}, served \| [\d,]+ \|", table)
    assert "failed" not in table


@pytest.mark.long
@pytest.mark.skipif(torch.backends.cuda.is_built(), reason="PyTorch has CUDA")
def test_without_cuda_it_says_what_is_missing(tmp_path: Path) -> None:
    run = subprocess.run([SCRIPT, "--output", tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "is built without CUDA" in run.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_step_that_fails_or_takes_too_long_is_reported(tmp_path: Path) -> None:
    runner = Runner("cpu", quick=True, folder=tmp_path, deadline=time.monotonic() + 60)
    failed = runner.run(Step("parity", "nonsense", "float32"), threads=1)
    assert failed.status == "failed"
    assert "StartError" in failed.traceback
    late = runner.run(Step("choice", limit=0.1), threads=1)
    assert (late.status, late.problems) == ("failed", ["it was not done after 0 s"])
    ended = replace(runner, deadline=time.monotonic()).run(Step("service"), threads=1)
    assert (ended.status, ended.reason) == ("not run", "the time ran out")
