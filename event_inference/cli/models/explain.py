"""`einf models explain`: which model a file would go to, and why."""

from pathlib import Path
from typing import Any

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.cli.values import METADATA

_EXAMPLES = """
$ einf models explain samples/texts/praise.txt
kind: text
model: the default one
version: the default one
$ einf models explain samples/texts/praise.txt --metadata model=sentiment --metadata version=1
kind: text
model: sentiment (requested)
version: 1 (requested)
"""


@command(examples=_EXAMPLES)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", help="Of the object.  [default: the file's name]")
@click.option("--content-type", metavar="TYPE", help="Media type.  [default: by the name's ending]")
@click.option("-m", "--metadata", multiple=True, type=METADATA, help="Custom metadata, among them parameters.")
def explain(
    session: Session, path: Path, name: str | None, content_type: str | None, metadata: Any, as_json: bool
) -> None:
    """Say which model FILE would go to, and why. It is neither sent beyond its first 64 KB nor predicted on.

    The pipeline itself answers, by the rules and the traffic that it goes by now (docs/traffic.md).
    """
    from event_inference import explanation
    from event_inference.access.clients import translated

    connection = session.client().connection
    with translated(connection.target):
        answer = explanation.explain(connection, path, name=name, content_type=content_type, metadata=dict(metadata))
    if as_json:
        output.print_json(answer)
    else:
        for line in explanation.sentences(answer):
            click.echo(output.shown(line))
