"""`einf notifications`: lists the notifications that endpoints did not take, and sends them again."""

from typing import TYPE_CHECKING

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.errors import InputError
from event_inference.outcomes.documents import counted

if TYPE_CHECKING:
    from event_inference.undelivered import Undelivered

_LIST = """
$ einf notifications list
"""
_REPLAY = """
$ einf notifications replay --all --dry-run
0 notifications would be sent again
"""
_ENDPOINT = click.option("--endpoint", default="", metavar="NAME", help="Only those of one endpoint.")
_HEADINGS = ("endpoint", "type", "document", "given up", "reason", "id")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def notifications() -> None:
    """List the notifications that endpoints did not take, and send them again (docs/notifications.md)."""


@command(name="list", examples=_LIST)
@_ENDPOINT
def listing(session: Session, endpoint: str, as_json: bool) -> None:
    """Show what was given up after three days of attempts, or because the receiver answered 410."""
    _show(list(session.client().undelivered(endpoint)), as_json)


@command(changes=True, examples=_REPLAY)
@click.argument("ids", nargs=-1)
@_ENDPOINT
@click.option("--all", "is_all", is_flag=True, help="All of them; needed if nothing else is given.")
@click.option("--dry-run", is_flag=True, help="Only list them.")
def replay(session: Session, ids: tuple[str, ...], endpoint: str, is_all: bool, dry_run: bool, as_json: bool) -> None:
    """Send those with these IDS again; receivers get them with the same webhook-id as before."""
    if not (ids or endpoint or is_all):
        raise InputError("This would send all of them again. Choose by IDS or --endpoint, or add --all.")
    client = session.client("" if dry_run else "send notifications again")
    chosen = [each for each in client.undelivered(endpoint) if not ids or each.id in ids]
    if missing := set(ids) - {each.id for each in chosen}:
        raise InputError(f"There is no undelivered notification {', '.join(sorted(missing))}; list them first.")
    if dry_run:
        _show(chosen, as_json)
    for each in () if dry_run else chosen:
        sent = client.send_again(each)
        if as_json:
            output.print_json({"message_id": sent.message_id, "order": sent.content})
    if not as_json:
        done = "would be sent again" if dry_run else "sent again"
        click.echo(f"{counted(len(chosen), 'notification')} {done}")


def _show(found: "list[Undelivered]", as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        for each in found:
            output.print_json(asdict(each))
        return
    rows = [(each.endpoint, each.type, each.document, each.given_up_at[:19], each.code, each.id) for each in found]
    output.table(rows, *_HEADINGS)


for _command in (listing, replay):
    notifications.add_command(_command)
