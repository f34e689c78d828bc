"""`einf events`: sends the event of an input, or one in a file, to a function of the local stack again."""

from pathlib import Path

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.errors import FAILED


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def events() -> None:
    """Send a recorded event to a function of the local stack again."""


_EXAMPLES = """
$ einf events replay texts/praise.txt
on-upload answered 200
"""


@command(examples=_EXAMPLES)
@click.argument("event")
@click.option("--to", metavar="SERVICE", help="By default on-upload, or on-message for an event of Pub/Sub.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds to wait for the answer.")
def replay(session: Session, event: str, to: str | None, timeout: float, as_json: bool) -> int:
    """Send EVENT again: that of an upload (the object's name, gs:// URI or job), that of a message with instances
    (TOPIC/MESSAGE-ID, or job), or a CloudEvent in a JSON file.

    The function gets it as it got it at first, with the same event id. Since an input is processed once, a repeated
    event starts nothing new; it is for standing at a breakpoint (einf local debug). To process an input again, use
    einf submit --again, or einf replay.
    """
    from event_inference import replayed_events

    client = session.client()
    content = replayed_events.read(Path(event)) if Path(event).is_file() else replayed_events.of_input(client, event)
    service = to or replayed_events.service(content)
    status, text = replayed_events.send(client.target, content, service, timeout)
    if as_json:
        output.print_json({"service": service, "status": status, "body": text, "event": content})
    else:
        click.echo(f"{service} answered {status}" + (f": {output.shown(text)}" if status >= 400 else ""))
    return FAILED if status >= 400 else 0


events.add_command(replay)
