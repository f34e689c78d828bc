"""`einf promote`: candidates, the decisions on them, and orders of a person."""

from typing import Any

import click

from event_inference import candidates
from event_inference.access.clients import translated
from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.errors import FAILED
from event_inference.inputs import orders
from event_inference.promotion import records

_HELP = {"help_option_names": ["-h", "--help"]}
_REASON = click.option("--reason", required=True, help="Why; kept in the decision's document.")
_ORDERS = {
    "freeze": "Send all inputs to the stable version; the experiment waits.",
    "resume": "Go on with a frozen experiment.",
    "force": "Make the candidate the stable version now, whatever the evidence.",
    "rollback": "End the experiment; without one, return to the version that was stable before.",
}


@click.group(context_settings=_HELP)
def promote() -> None:
    """Watch candidates, check the decisions on them, and step in (docs/promotion.md)."""


@command(name="status")
@click.argument("model")
def status(session: Session, model: str, as_json: bool) -> None:
    """Show a model's traffic, what speaks for and against its candidate, and the decisions so far."""
    connection = session.client().connection
    with translated(session.target):
        entry = candidates.entry(connection, model)
        look = candidates.last_look(connection, model, entry["experiment"]) if entry.get("experiment") else None
        listed = list(candidates.decisions(connection, model))
    if as_json:
        output.print_json({"traffic": entry, "evidence": look, "decisions": dict(listed)})
        return
    _print_traffic(model, entry)
    if look:
        _print_evidence(look)
    if listed:
        click.echo()
        rows = [(each["at"][:19], each["action"], each["by"], each["reason"], name) for name, each in listed]
        output.table(rows, "at", "decision", "by", "reason", "document")


@command(name="verify")
@click.argument("document")
@click.option("--deep", is_flag=True, help="Also count the observations again, as far as they are still stored.")
def verify(session: Session, document: str, deep: bool, as_json: bool) -> None:
    """Compute the decision of DOCUMENT again, a file or an object of the models bucket, from the counts in it."""
    connection = session.client().connection
    with translated(session.target):
        stored = candidates.decision(connection, document)
        wrong = records.differences(stored) if "counts" in stored else []
        if deep and "counts" in stored:
            wrong += records.miscounted(stored, candidates.recounted(connection, stored))
    if as_json:
        output.print_json({"document": document, "action": stored["action"], "differences": wrong})
    else:
        for line in wrong:
            click.echo(line)
        verdict = "does not follow from what is stored" if wrong else "follows from what is stored"
        if "counts" not in stored:
            verdict = "is a person's order without an experiment; there is nothing to compute"
        click.echo(f"{stored['action']}: {verdict}")
    if wrong:
        click.get_current_context().exit(FAILED)


def _order(action: str, about: str) -> click.Command:
    @command(name=action, changes=True, help=about)
    @click.argument("model")
    @_REASON
    def order(session: Session, model: str, reason: str, as_json: bool) -> None:
        client = session.client(f"{action} the traffic of {model}")
        with translated(session.target):
            candidates.entry(client.connection, model)
            content = {"promote": {"model": model, "action": action, "reason": reason}}
            sent = orders.publish(client.connection, content, session.target.promotions_path)
        if as_json:
            output.print_json({"message_id": sent.message_id, "order": sent.content})
        else:
            click.echo(f"order {sent.message_id}: einf promote status {model} shows what became of it")

    made: click.Command = order
    return made


for _command in (status, verify, *(_order(action, about) for action, about in _ORDERS.items())):
    promote.add_command(_command)


def _print_traffic(model: str, entry: dict[str, Any]) -> None:
    if not entry.get("candidate"):
        click.echo(f"{model}: {entry['stable']} is stable; there is no candidate")
        return
    part = f"{entry['share']:.0%} of the inputs" if entry["mode"] != "frozen" else "no inputs"
    click.echo(
        f"{model}: {entry['stable']} is stable; {entry['candidate']}, the candidate, has {part} ({entry['mode']})"
    )


def _print_evidence(look: dict[str, Any]) -> None:
    rows = []
    for phase in look["counts"]:
        for version in ("stable", "candidate"):
            counts = phase[version]
            rows.append(
                (
                    f"{phase['mode']} {phase['share']:.0%}",
                    look[version],
                    counts["requests"],
                    counts["failed"],
                    counts["rejected"],
                    counts["slow"],
                    counts["labelled"],
                    counts["wrong"],
                )
            )
    click.echo()
    output.table(rows, "phase", "version", "inputs", "failed", "rejected", "slow", "labelled", "wrong")
    evidence = "  ".join(f"{name} {value:.3g} of {look['thresholds'][name]:.0f}"
                         for name, value in look["e_values"].items())  # fmt: skip
    click.echo(f"evidence: {evidence}")
    if look["difference"]:
        low, high = (100 * bound for bound in look["difference"])
        versions = f"{look['candidate']} less that of {look['stable']}"
        click.echo(f"the accuracy of {versions}: {low:+.1f} to {high:+.1f} points")
    click.echo(f"{look['action']}: {look['reason']}")
    click.echo(f"last look {look['at'][:19]}, nothing new since {look['unchanged_since'][:19]}")
