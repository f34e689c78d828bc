"""`einf replay`, `sweep` and `collect`: orders to the pipeline."""

from typing import TYPE_CHECKING, Any

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.cli.values import MOMENT
from event_inference.errors import InputError
from event_inference.inputs.orders import DEFAULT_REPLAYED
from event_inference.outcomes.documents import counted

if TYPE_CHECKING:
    from event_inference.inputs.orders import Order

_REPLAY = """
$ einf replay --code http_503 --dry-run
0 jobs would start again
$ einf replay --code http_503 --since 1d
order …: follow it with einf watch
"""
_SWEEP = """
$ einf sweep texts/
order …: follow it with einf watch
"""
_COLLECT = """
$ einf collect
order …: follow it with einf watch
"""


@command(changes=True, examples=_REPLAY)
@click.argument("prefix", default="")
@click.option("--code", default="", help="Of the error.")
@click.option("--since", type=MOMENT, metavar="TIME", help="Finished since: 1h, 2d, 2026-01-31T12:00:00Z.")
@click.option("--until", type=MOMENT, metavar="TIME", help="Finished until.")
@click.option("--limit", type=click.IntRange(1), help="Jobs to start.  [default: 1,000, or all with --all]")
@click.option("--partial", is_flag=True, help="The lost shards of partial results instead of failures.")
@click.option("--all", "is_all", is_flag=True, help="Whatever else is given, without a limit; needed if nothing is.")
@click.option("--dry-run", is_flag=True, help="Only count.")
def replay(session: Session, as_json: bool, is_all: bool, dry_run: bool, **criteria: Any) -> None:
    """Run failed inputs whose documents' names begin with PREFIX again, with the same model and parameters."""
    if not is_all and not any(criteria[name] for name in ("prefix", "code", "since", "until", "partial")):
        raise InputError("This would run all failures again. Choose by PREFIX, --code or --since, or add --all.")
    criteria["limit"] = criteria["limit"] or (None if is_all else DEFAULT_REPLAYED)
    if dry_run:
        documents = list(session.client().replayable(**criteria))
        if as_json:
            for document in documents:
                output.print_json(document.content)
        else:
            output.table([(found.input, *output.answer(found)[:2]) for found in documents[:20]], *_HEADINGS)
            click.echo(f"{counted(len(documents), 'job')} would start again")
        return
    _report(session.client("run failed inputs again").replay(**criteria), as_json)


@command(changes=True, examples=_SWEEP)
@click.argument("prefix", default="")
@click.option("--limit", type=click.IntRange(1), help="Jobs to start.  [default: all]")
def sweep(session: Session, prefix: str, limit: int | None, as_json: bool) -> None:
    """Start inputs whose names begin with PREFIX and that have no document: their event or execution was lost."""
    _report(session.client("start lost inputs").sweep(prefix=prefix, limit=limit), as_json)


@command(changes=True, examples=_COLLECT)
@click.option("--limit", type=click.IntRange(1), help="Notifications to collect.")
def collect(session: Session, limit: int | None, as_json: bool) -> None:
    """Start the inputs that have waited long enough, and take in the uploads whose notifications wait."""
    _report(session.client("start waiting inputs").collect(limit=limit), as_json)


_HEADINGS = ("input", "outcome", "answer")


def _report(order: "Order", as_json: bool) -> None:
    if as_json:
        output.print_json({"message_id": order.message_id, "order": order.content})
    else:
        click.echo(f"order {order.message_id}: follow it with einf watch")
