"""`einf label`: tells the pipeline what is true of inputs."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.errors import InputError

SOURCES = ("audit", "annotation", "correction")
ROWS_PER_FILE = 2000  # that the pipeline reads
_COLUMNS = ("name", "job", "document", "label", "source")


@command(changes=True)
@click.argument("name", required=False)
@click.argument("label", required=False)
@click.option(
    "--source",
    type=click.Choice(SOURCES),
    help="Why this input was labelled: drawn at random, annotated as a whole, or corrected by a user.",
)
@click.option("--by", type=click.Choice(("name", "job", "document")), default="name", show_default=True,
              help="What NAME is.")  # fmt: skip
@click.option(
    "--csv",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Labels of many inputs: CSV with the columns name, label and source.",
)
def label(
    session: Session,
    name: str | None,
    label: str | None,
    source: str | None,
    by: str,
    file: Path | None,
    as_json: bool,
) -> None:
    """Say that LABEL is true of the input NAME, or send a CSV of labels.

    Only labels of inputs that were chosen without regard to the answer (audit, annotation) measure a version's
    accuracy. Corrections count as errors that users found.
    """
    if file is not None:
        if name or label or source:
            raise InputError("Give NAME, LABEL and --source, or --csv, not both.")
        _send(session, file, as_json=as_json)
        return
    if not (name and label and source):
        raise InputError("Give NAME, LABEL and --source, or --csv FILE.")
    sent = session.client("label an input").order({"label": {by: name, "label": label, "source": source}})
    if as_json:
        output.print_json({"message_id": sent.message_id, "order": sent.content})
    else:
        click.echo(f"label {sent.message_id}: follow it with einf watch")


def _send(session: Session, file: Path, *, as_json: bool) -> None:
    """Uploads a CSV in parts that the pipeline reads, each of which gets a document."""
    rows = list(_rows(file))
    if not rows:
        raise InputError(f"{file} has no labels.")
    client = session.client("label inputs")
    left = iter(rows)
    number = 0
    while part := list(islice(left, ROWS_PER_FILE)):
        number += 1
        name = f"labels/{file.stem}{f'-{number}' if len(rows) > ROWS_PER_FILE else ''}.csv"
        handle = client.submit(_csv(part), name=name, content_type="text/csv", again=True)
        if as_json:
            output.print_json({"name": handle.name, "labels": len(part), "document": handle.document_name})
        else:
            click.echo(f"{handle.name}: {len(part):,} labels sent; einf status {handle.name} says which could be used")


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        columns = set(reader.fieldnames or ())
        if not {"label", "source"} <= columns or not {"name", "job", "document"} & columns:
            raise InputError(f"{file} needs the columns label, source, and one of name, job and document.")
        for row in reader:
            yield {column: row[column] for column in _COLUMNS if row.get(column)}


def _csv(rows: list[dict[str, str]]) -> bytes:
    columns = [column for column in _COLUMNS if any(column in row for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
