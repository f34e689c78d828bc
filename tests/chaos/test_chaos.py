"""Every generation ends in exactly one document, the right one, while services and calls fail."""

import os
import random
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from emulator.process import Stack
from pipeline.jobs import quotas
from tests.chaos import arrangement
from tests.chaos.inputs import lives
from tests.chaos.ledger import FOLDERS, Audit
from tests.chaos.storm import Storm

RARER = {"kill_after_claim": 0.01, "kill_after_result": 0.01}  # a service that dies often is restarted ever later
EXECUTIONS_PER_INPUT = 1.5  # a fifth is for inputs that can share one; a killed service loses what it has reserved
INPUTS = int(os.environ.get("CHAOS_INPUTS", "2000"))
KILLS = int(os.environ.get("CHAOS_KILLS", "60"))


def undergo(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    count: int,
    seed: int,
    kills: int,
    crashes: int,
    kill_every_s: float,
    timeout_s: float,
    pulse_every_s: float,
    **odds: float,
) -> Audit:
    """Sends the inputs, checks that each generation ends as it should, and returns the last audit."""
    cap = max(quotas.BLOCKS, round(count * EXECUTIONS_PER_INPUT))
    path = arrangement.write(folder, seed=seed, kill_every_s=kill_every_s, odds=odds, executions_per_hour=cap)
    with Stack(folder / "data", stack=path) as stack:
        stack.start(timeout_s=180)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.http)
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", stack.grpc)
        storm = Storm(stack, random.Random(seed), pulse_every_s, kills, crashes)
        began = time.monotonic()
        storm.rage(lives(count, seed), timeout_s)
        stormy = storm.ledger.audit()
        storm.calm()
        storm.wait(lambda audit: audit.is_settled, timeout_s)
        storm.wait_until_quiet(timeout_s)
        audit = storm.ledger.audit()
        report(storm, stormy, audit, time.monotonic() - began)
        assert (audit.problems, storm.evidence(audit)) == ({}, {})
        assert (storm.crashes, storm.kills_left()) == (0, 0)
        assert stack.refusals() == []
        check_that_a_missing_document_ends_the_wait(storm)
        return audit


def check_that_a_missing_document_ends_the_wait(storm: Storm) -> None:
    """A generation that nobody announced never gets a document; the storm tells that it waits in vain, and why."""
    name = "lasting/never-announced.txt"
    storm.ledger.forged(name, 1)
    began = time.monotonic()
    audit = storm.wait(lambda audit: audit.is_settled, timeout_s=600)
    assert time.monotonic() - began < 120
    assert audit.missing == [f"{name}/1"]
    (known,) = storm.evidence(audit).values()
    assert {key: known[key] for key in ("object", "events", "log", "claim", "outcome", "execution")} == {
        "object": False,
        "events": [],
        "log": [],
        "claim": None,
        "outcome": None,
        "execution": [],
    }


def report(storm: Storm, stormy: Audit, audit: Audit, took_s: float) -> None:
    """Prints what was done and how the inputs ended."""
    table = Table("what", "times", title=f"{len(storm.ledger.sent)} generations in {took_s:.0f} s")
    for counts in (storm.deeds, storm.counts()):
        for name, count in sorted(counts.items()):
            table.add_row(name, str(count))
        table.add_section()
    table.add_row("failed or partial while it stormed, then replayed", str(len(stormy.unfinished)))
    table.add_row("orders that ended as dead letters", str(len(audit.orders)))
    for folder in FOLDERS:
        table.add_row(f"documents in {folder}/", str(audit.found[folder]))
    for name, number in sorted(audit.kinds.items()):
        table.add_row(name, str(number))
    table.add_section()
    table.add_row("documents expected", str(len(storm.ledger.sent)))
    table.add_row("documents found", str(audit.found.total() - len(audit.orders)))
    for name in ("missing", "double", "wrong", "unfinished", "unexpected"):
        table.add_row(f"documents {name}", str(len(getattr(audit, name))))
    table.add_row("copies in latest/ wrong", str(len(audit.latest)))
    Console(width=100).print(table)


@pytest.mark.release
@pytest.mark.stack
@pytest.mark.timeout(400)
def test_a_small_storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undergo(tmp_path, monkeypatch, count=40, seed=7, kills=2, crashes=1, kill_every_s=3, timeout_s=120, pulse_every_s=5)


@pytest.mark.chaos
@pytest.mark.timeout(5400 + INPUTS)
def test_a_large_storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHAOS_INPUTS generations; CHAOS_KILLS kills of services, a tenth as many of the emulator."""
    audit = undergo(
        tmp_path,
        monkeypatch,
        count=INPUTS,
        seed=int(os.environ.get("CHAOS_SEED", "1")),
        kills=KILLS,
        crashes=max(1, KILLS // 10),
        kill_every_s=6,
        timeout_s=1500 + INPUTS / 4,
        pulse_every_s=60 if INPUTS > 1000 else 15,
        **RARER,
    )
    assert audit.kinds["documents of inputs that found no execution left"] > INPUTS // 20
