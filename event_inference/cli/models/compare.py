"""`einf compare`: which of two versions of a model is better, with a bound on being wrong."""

import csv
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.cli.values import MOMENT
from event_inference.errors import InputError
from event_inference.promotion.comparison import Comparison
from event_inference.promotion.comparison import compare as compared
from event_inference.promotion.decision import Decision, Rules, decide

_WORDS = {
    "promote": "promote {candidate}",
    "roll_back": "keep {stable}",
    "undecided": "undecided: keep {stable}",
    "wait": "not decided yet",
}


@command()
@click.argument("model")
@click.argument("stable")
@click.argument("candidate")
@click.option(
    "--labels",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="CSV with the columns name (of the input) and label (the true one).",
)
@click.option("--since", type=MOMENT, metavar="TIME", help="Of the documents to compare.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Probability of preferring a candidate that is not better, at most.",
)
@click.option("--margin", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True,
              help="Accuracy that the candidate may lose and still be preferred.")  # fmt: skip
def compare(
    session: Session, model: str, stable: str, candidate: str, file: Path, as_json: bool, **options: Any
) -> None:
    """Compare the versions STABLE and CANDIDATE of MODEL on inputs that both have predicted and whose label is known.

    Label more inputs and compare again as often as you like: the probability of preferring a candidate that is not
    better stays below --alpha however often you look. Choose the inputs to label before you see any answer; labels that
    correct one version's answers favour the other.
    """
    documents = session.client().results(since=options["since"], every_generation=True)
    if stable == candidate:
        raise InputError("STABLE and CANDIDATE must be two versions.")
    ordered = sorted(documents, key=lambda document: document.finished_at)
    found = compared((each.content for each in ordered), model, stable, candidate, _labels(file))
    for version in (stable, candidate):
        if version not in found.versions:
            others = ", ".join(found.versions) or "none"
            raise InputError(f"Version {version} of {model} has predicted nothing; versions with results: {others}.")
    rules = Rules(alpha=options["alpha"], guard_alpha=options["alpha"], margin=options["margin"])
    decision = decide(found.evidence, rules)
    if as_json:
        output.print_json({"stable": stable, "candidate": candidate, **asdict(found), **asdict(decision)})
    else:
        _print(found, decision, stable, candidate)


def _labels(file: Path) -> dict[str, str]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if not {"name", "label"} <= set(rows.fieldnames or ()):
            raise InputError(f"{file} needs the columns name and label.")
        return {row["name"]: row["label"] for row in rows}


def _print(found: Comparison, decision: Decision, stable: str, candidate: str) -> None:
    pairs = found.evidence.pairs
    if count := pairs.labels:
        shares = [f"{right / count:.1%}" for right in found.right]
        output.table(zip((stable, candidate), shares, strict=True), "version", "accuracy")
    click.echo(f"{count:,} labelled inputs; {pairs.win} only {candidate} gets right, {pairs.loss} only {stable}")
    if decision.difference:
        low, high = (100 * bound for bound in decision.difference)
        click.echo(f"the accuracy of {candidate} less that of {stable}: {low:+.1f} to {high:+.1f} points")
    click.echo(_WORDS[decision.action].format(stable=stable, candidate=candidate))
    evidence = "  ".join(
        f"{name} {math.exp(min(decision.e_values[name], 700)):.3g} of {math.exp(decision.thresholds[name]):.0f}"
        for name in ("better", "worse")
    )
    click.echo(f"evidence: {evidence}")
    if found.unlabelled or found.unpaired:
        lacking = f"{found.unlabelled:,} inputs have no label"
        output.remark(f"{lacking}; {found.unpaired:,} labels lack one of the predictions.")
