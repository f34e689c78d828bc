"""Lets the pipeline decide on four candidates of the starter text model, on this machine: `make demo-promotion`.

Each experiment has a model of its own: a better candidate, first in shadow; a worse one; one that fails on a word; and
one that is slow. Inputs are sent, some get labels, and the scheduler's order is given at once instead of every ten
minutes. Then one of two regions of the GPU service is killed while texts arrive. In the end every decision is computed
again from what is stored.
"""

import csv
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emulator.process import Stack, StackError
from emulator.terminal import escaped
from event_inference import Client, EventInferenceError, Handle, candidates
from event_inference.inputs import orders
from event_inference.promotion import records
from samples import candidates as versions
from samples import regions

FOLDER = Path(__file__).parents[1] / ".local" / "demo-promotion"
TIMEOUT_S = 300.0  # on a busy machine
WAIT_S = 90.0
NOTICED_S = 31.0  # after which every instance has read a changed traffic.json
SETTLED_S = 2.5  # after which an observation counts
RULES = {"inputs_per_step": 20, "shares": [0.5], "limit_answers": 40}
PRAISE = "A wonderful film, moving and funny, number {}."
BLAME = "A dull film, badly acted and far too long, number {}."
COMPLAINT = "I want a refund, order {}."


@dataclass(frozen=True)
class Experiment:
    """A model with a candidate: how it begins, what is sent at each round, and how it should end."""

    model: str
    stable: str
    candidate: str
    mode: str
    inputs: int
    labelled: bool
    ends: str
    complaints: bool = False

    def traffic(self) -> dict[str, Any]:
        return {
            "stable": "1",
            "candidate": "2",
            "share": 1.0 if self.mode == "shadow" else 0.5,
            "mode": self.mode,
            "experiment": f"{self.model}-demo",
            "since": datetime.now(UTC).isoformat(),
            "by": "demo",
            "reason": f"a candidate that is {self.model}",
            "rules": RULES,
        }


ANSWERING = "worse"  # the model whose stable version answers while a region is down
EXPERIMENTS = (
    Experiment("better", "negative", "starter", "shadow", 60, labelled=True, ends="promote"),
    Experiment("worse", "starter", "negative", "split", 60, labelled=True, ends="roll_back"),
    Experiment("broken", "starter", "damaged", "split", 40, labelled=False, ends="roll_back", complaints=True),
    Experiment("slow", "starter", "deep", "split", 90, labelled=False, ends="roll_back"),
)


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 150)
    shutil.rmtree(FOLDER, ignore_errors=True)
    began = time.monotonic()
    os.environ["MODELS"] = str(checkpoints(FOLDER / "models"))
    try:
        with Stack(FOLDER / "state", stack=regions.stack_file(FOLDER)) as stack:
            with console.status("Starting the emulator, the pipeline in two regions, and versions of four models …"):
                stack.start(timeout_s=TIMEOUT_S)
            console.print(f"Up after {time.monotonic() - began:.0f} s, {len(stack.addresses['services'])} services.")
            with Client(local=stack.data) as client:
                run(client, console, began)
                wrong = [*regions.lose_one(client, stack, ANSWERING, console), *mistakes(client)]
    except (StackError, EventInferenceError) as error:
        console.print(Text(escaped(str(error)), "red"))
        return 1
    for line in wrong:
        console.print(Text.assemble(("not as expected: ", "red"), escaped(line)))
    console.print(f"{time.monotonic() - began:.0f} s in all; the state is in {FOLDER.relative_to(Path.cwd())}/.")
    return 1 if wrong else 0


def checkpoints(folder: Path) -> Path:
    """Two versions for each experiment's model, and the models.json that lists them."""
    for make in (versions.starter, versions.negative, versions.damaged, versions.deep):
        make(folder / make.__name__)
    listed = [
        {"name": each.model, "version": version, "task": "text-classification", "source": source}
        for each in EXPERIMENTS
        for version, source in (("1", each.stable), ("2", each.candidate))
    ]
    file = folder / "models.json"
    file.write_text(json.dumps({"demo": listed}, indent=2) + "\n", encoding="utf-8")
    return file


def run(client: Client, console: Console, began: float) -> None:
    """Sends rounds of inputs and labels, lets `promote` look after each, and shows its decisions."""
    models = client.connection.storage.bucket(client.target.models_bucket)
    traffic = {each.model: each.traffic() for each in EXPERIMENTS}
    models.blob("traffic.json").upload_from_string(json.dumps(traffic, indent=2))
    changed, number = time.monotonic() - NOTICED_S, 0
    shown: set[str] = set()
    while (running := under_way(client)) and time.monotonic() - began < TIMEOUT_S:
        ready = [each for each in running if each.model != "better" or time.monotonic() - changed >= NOTICED_S]
        if not ready:
            with console.status("Waiting until the functions have noticed that the better candidate may serve …"):
                time.sleep(max(0.0, changed + NOTICED_S - time.monotonic()))
            continue
        number += 1
        send(client, ready, number, console)
        look(client, running)
        if decided := print_decisions(client, console, shown):
            changed = time.monotonic() if "better" in decided else changed


def under_way(client: Client) -> list[Experiment]:
    entries = candidates.traffic(client.connection)
    return [each for each in EXPERIMENTS if entries[each.model].get("candidate")]


def send(client: Client, experiments: list[Experiment], number: int, console: Console) -> None:
    """Sends a round of inputs, waits for their documents, and labels them where the experiment has labels.

    Those of the slow candidate come last and two at a time, so that no others' waiting is measured.
    """
    handles = []
    for concurrency, chosen in ((8, [each for each in experiments if each.model != "slow"]), (2, [EXPERIMENTS[-1]])):
        sent = [(each, index) for each in chosen if each in experiments for index in range(each.inputs)]
        with ThreadPoolExecutor(concurrency) as pool:
            handles += list(pool.map(lambda one: submit(client, one[0], one[1], number, wait=concurrency < 8), sent))  # noqa: B023
        list(client.wait(handles, timeout=WAIT_S))
    console.print(f"Round {number}: {len(handles)} inputs have their documents.")
    labels = [
        (f"{each.model}/{number}-{index}.txt", "POSITIVE" if index % 2 else "NEGATIVE", "annotation")
        for each in experiments
        for index in range(each.inputs)
        if each.labelled
    ]
    if labels:
        text = io.StringIO()
        csv.writer(text).writerows([("name", "label", "source"), *labels])
        handle = client.submit(text.getvalue().encode(), name=f"labels/{number}.csv", content_type="text/csv")
        console.print(f"Labels: {handle.wait(timeout=WAIT_S).summary}.")


def submit(client: Client, experiment: Experiment, index: int, number: int, *, wait: bool) -> Handle:
    """Sends an input; every other one is positive."""
    text = COMPLAINT if experiment.complaints else PRAISE if index % 2 else BLAME
    name = f"{experiment.model}/{number}-{index}.txt"
    handle = client.submit(text.format(f"{number}-{index}").encode(), name=name, model=experiment.model)
    if wait:
        handle.wait(timeout=WAIT_S)
    return handle


def look(client: Client, running: list[Experiment]) -> None:
    """Gives the scheduler's order, and waits until `promote` has looked at every experiment."""
    time.sleep(SETTLED_S)
    since = datetime.now(UTC).isoformat()
    orders.publish(client.connection, {"promote": {}}, client.target.promotions_path)
    deadline = time.monotonic() + WAIT_S
    for each in running:
        while time.monotonic() < deadline:
            seen = candidates.last_look(client.connection, each.model, f"{each.model}-demo")
            if seen and seen["at"] >= since:
                break
            time.sleep(0.3)


def print_decisions(client: Client, console: Console, shown: set[str]) -> list[str]:
    """Shows the decisions since the last call; returns the models whose traffic they changed."""
    table = Table("model", "decision", "because", "document", box=None, header_style="bold", pad_edge=False)
    changed = []
    for each in EXPERIMENTS:
        for name, document in candidates.decisions(client.connection, each.model):
            if name in shown:
                continue
            shown.add(name)
            table.add_row(each.model, document["action"], document["reason"], name)
            if document["action"] != "wait":
                changed.append(each.model)
    if table.row_count:
        console.print(table)
    return changed


def mistakes(client: Client) -> Iterator[str]:
    """What did not end as it should, and decisions that do not follow from what is stored."""
    entries = candidates.traffic(client.connection)
    for each in EXPERIMENTS:
        decisions = list(candidates.decisions(client.connection, each.model))
        actions = [document["action"] for _, document in decisions]
        if not actions or actions[-1] != each.ends:
            yield f"{each.model} ended with {', '.join(actions) or 'no decision'} instead of {each.ends}"
        stable = "2" if each.ends == "promote" else "1"
        if entries[each.model]["stable"] != stable:
            yield f"{each.model} has the stable version {entries[each.model]['stable']} instead of {stable}"
        for name, document in decisions:
            wrong = records.differences(document)
            wrong += records.miscounted(document, candidates.recounted(client.connection, document))
            yield from (f"{name}: {line}" for line in wrong)


if __name__ == "__main__":
    sys.exit(main())
