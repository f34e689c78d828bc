"""`einf results`, `rejected` and `failed`: list documents, or save them with their data."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.cli.values import MOMENT
from event_inference.errors import InputError
from event_inference.outcomes.documents import counted

if TYPE_CHECKING:
    from event_inference.client import Client
    from event_inference.outcomes.documents import Document
    from event_inference.outcomes.reading import Selection
    from event_inference.outcomes.records import Record

KINDS = ("text", "image", "timeseries", "table", "records", "manifest", "workbook")
_TABLE_ROWS = 100

_RESULTS = """
$ einf results texts --below 0.975
input                outcome    answer    confidence  latency
texts/complaint.txt  succeeded  NEGATIVE  0.97        … s
$ einf results texts --since 1h --label POSITIVE --format csv
input,generation,kind,status,label,score,confidence,…
texts/from-notepad.txt,…,text,succeeded,POSITIVE,0.98…
texts/praise.txt,…,text,succeeded,POSITIVE,0.98…
texts/utf-16.txt,…,text,succeeded,POSITIVE,0.98…
$ einf results eight.webp --json
{"schema": "result/v1", "status": "succeeded", …}
"""
_REJECTED = """
$ einf rejected --code truncated_image
input            outcome   answer                                                  confidence  latency
bad/cut-off.jpg  rejected  truncated_image: The image ends before it is complete.              … s
"""
_FAILED = """
$ einf failed --code http_503 --since 1d
$ einf failed --save failures
"""


def _listing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all three commands have."""
    options = (
        click.argument("prefix", default=""),
        click.option("--prefix", "prefix_option", metavar="PREFIX", help="The same as the argument."),
        click.option("--since", type=MOMENT, metavar="TIME", help="Finished since: 1h, 2d, 2026-01-31T12:00:00Z."),
        click.option("--until", type=MOMENT, metavar="TIME", help="Finished until."),
        click.option("--kind", type=click.Choice(KINDS), help="Of the input."),
        click.option("--limit", type=click.IntRange(1), help="How many at most.  [default: 100 in a table]"),
        click.option("--all", "every_generation", is_flag=True, help="Also earlier generations of an object."),
        click.option("-f", "--format", "format", type=click.Choice(output.FORMATS), help="[default: table]"),
        click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="File to write to."),
        click.option("--save", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
                     help="Save the documents and their CSV or JSONL data to a folder."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@command(examples=_RESULTS)
@_listing
@click.option("--below", type=click.FloatRange(0, 1), metavar="SCORE", help="With a lower confidence.")
@click.option("--label", help="With this label among the predictions.")
@click.option(
    "--records",
    "by_record",
    is_flag=True,
    help="A row for each record of batches and each picture of manifests, not for each document.",
)
def results(session: Session, **options: Any) -> None:
    """List the results of inputs whose names begin with PREFIX, the newest of each."""
    _list("results", session, **options)


@command(examples=_REJECTED)
@_listing
@click.option("--code", help="Of the rejection (docs/rejections.md).")
def rejected(session: Session, **options: Any) -> None:
    """List inputs that can never succeed, and why."""
    _list("rejected", session, **options)


@command(examples=_FAILED)
@_listing
@click.option("--code", help="Of the error.")
def failed(session: Session, **options: Any) -> None:
    """List inputs that should have succeeded, why they did not, and in which step. einf replay runs them again."""
    _list("failed", session, **options)


def _list(
    folder: str,
    session: Session,
    *,
    format: str | None,
    as_json: bool,
    file: Path | None,
    save: Path | None,
    limit: int | None,
    prefix: str,
    prefix_option: str | None,
    since: datetime | None,
    until: datetime | None,
    by_record: bool = False,
    **criteria: Any,
) -> None:
    from event_inference.outcomes.reading import Selection

    if as_json and format not in (None, "json"):
        raise InputError("--json and --format contradict each other; give one of them.")
    if prefix and prefix_option is not None:
        raise InputError("PREFIX and --prefix are the same; give one of them.")
    format = "json" if as_json else format or (file and _of_ending(file)) or "table"
    client = session.client()
    selection = Selection(prefix=prefix_option or prefix, since=since, until=until, **criteria)
    documents = islice(getattr(client, folder)(selection), limit)
    if save:
        _save(client, documents, save)
    elif format == "table":
        if file:
            raise InputError("--output needs --format csv, json or parquet, or a file name that ends so.")
        if by_record:
            raise InputError("--records needs --format csv, json or parquet.")
        _print_table(client, folder, selection, limit)
    else:
        _export(client, documents, format, file, by_record=by_record)


def _export(
    client: "Client", documents: "Iterable[Document]", format: str, file: Path | None, *, by_record: bool
) -> None:
    columns = output.RECORD_COLUMNS if by_record else output.COLUMNS
    rows: Iterator[dict[str, Any]] = map(output.row, documents)
    if by_record:
        rows = (row for found in documents for row in output.record_rows(found, _records(client, found)))
    if format == "csv":
        output.write_csv(rows, columns, file)
    elif format == "parquet":
        output.write_parquet(rows, columns, file)
    elif by_record:
        output.write_json(({name: row.get(name) for name in columns} for row in rows), file)
    else:
        output.write_json((document.content for document in documents), file)


def _records(client: "Client", document: "Document") -> "Iterable[Record]":
    from event_inference.outcomes.documents import Result

    return client.records(document) if isinstance(document, Result) else ()


def _of_ending(file: Path) -> str | None:
    endings = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
    return endings.get(file.suffix.lower())


def _print_table(client: "Client", folder: str, selection: "Selection", limit: int | None) -> None:
    documents: Iterator[Document] = getattr(client, folder)(selection)
    shown = list(islice(documents, limit or _TABLE_ROWS))
    rows = [(document.input, *output.answer(document)) for document in shown]
    output.table(rows, "input", "outcome", "answer", "confidence", "latency")
    output.notes(shown)
    if limit is None and next(documents, None) is not None:
        output.remark(f"Only the first {_TABLE_ROWS} are shown. See more with --limit N, or all with --format csv.")


def _save(client: "Client", documents: "Iterable[Document]", folder: Path) -> None:
    count = 0
    for document in documents:
        client.save(document, folder)
        count += 1
    output.remark(f"{counted(count, 'document')} saved to {folder}")
