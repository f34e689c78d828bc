"""Output: data on stdout as a table, CSV, JSON or Parquet; progress and remarks on stderr."""

import csv
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from event_inference.errors import FAILED, REJECTED, SUCCEEDED, InputError
from event_inference.outcomes.documents import Document, Failed, Rejected, Result
from event_inference.outcomes.records import Record

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Row = Mapping[str, Any]
FORMATS = ("table", "csv", "json", "parquet")
_WIDE = 10_000  # columns where no terminal is: a row stays one line
_FEW = 3  # documents up to which their notes are shown
_COLOURS = {
    "succeeded": "green", "partial": "yellow", "unsuccessful": "red", "rejected": "cyan", "failed": "red",
    "running": "blue",
}  # fmt: skip
# C0 except tab, DEL, C1, and the characters that reorder text: a name must not command the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def console(stream: TextIO) -> "Console":
    """A console that wraps no line where no terminal is; it obeys NO_COLOR."""
    from rich.console import Console

    return Console(file=stream, width=None if stream.isatty() else _WIDE, highlight=False, soft_wrap=False)


def shown(value: object) -> str:
    """A value as text for a terminal, with control characters made visible."""
    text = "" if value is None else str(value)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def table(rows: Iterable[Sequence[object]], *headings: str) -> None:
    """Print rows on stdout; a column `outcome` or `state` is coloured."""
    from rich.table import Table
    from rich.text import Text

    listed = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        cells = [shown(value) for value in row]
        styled = zip(headings, cells, strict=True)
        listed.add_row(
            *(Text(cell, _COLOURS.get(cell, "") if name in ("outcome", "state") else "") for name, cell in styled)
        )
    if not listed.row_count:
        return
    terminal = console(sys.stdout)
    with terminal.capture() as captured:
        terminal.print(listed)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=True)  # the console has decided about colours


def print_json(value: Any) -> None:
    """One JSON document in one line on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def remark(text: str) -> None:
    click.echo(shown(text), err=True)


def notes(documents: Sequence[Document]) -> None:
    """Print on stderr what the pipeline remarks on how it read files, unless there are many."""
    remarked = [document for document in documents if isinstance(document, Result) and document.notes]
    for document in remarked if len(remarked) <= _FEW else []:
        for note in document.notes:
            remark(f"{document.input}: {note}")


@contextmanager
def progress() -> Iterator["Progress"]:
    """Progress bars on stderr, none if that is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    errors = console(sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as bars:
        yield bars


def exit_status(documents: Iterable[Document]) -> int:
    """0 if all succeeded, 4 if one failed, else 3: one was rejected, or some of a batch's records."""
    statuses = {SUCCEEDED}
    for document in documents:
        if isinstance(document, Failed) or (isinstance(document, Result) and (document.data or {}).get("lost")):
            statuses.add(FAILED)
        elif not document.ok:
            statuses.add(REJECTED)
    return max(statuses)


def answer(document: Document) -> tuple[str, str, str, str]:
    """The cells `outcome`, `answer`, `confidence` and `latency` of a table."""
    confidence = (
        f"{document.confidence:.2f}" if isinstance(document, Result) and document.confidence is not None else ""
    )
    return document.status, document.summary, confidence, f"{document.latency:.2f} s"


def row(document: Document) -> dict[str, Any]:
    """A document as a row of CSV and Parquet; times in seconds."""
    content, data = document.content, {}
    cells: dict[str, Any] = dict.fromkeys(COLUMNS)
    if isinstance(document, Result):
        data = document.data or {}
        first: Mapping[str, Any] = next(iter(document.predictions), {})
        model = document.model or {}
        cells |= {
            "label": document.label,
            "score": first.get("score"),
            "confidence": document.confidence,
            "requires_review": document.requires_review,
            "model": model.get("name"),
            "version": model.get("version"),
            "records": data.get("records"),
            "failed_records": data.get("failed"),
            "data": data.get("uri"),
            "cost_usd": document.cost_usd,
            "device_usd": document.device_usd,
        }
    elif isinstance(document, Rejected | Failed):
        cells |= {"code": document.code, "message": document.message, "step": getattr(document, "step", None)}
    return cells | {
        "input": document.input,
        "generation": content["input"].get("generation"),
        "kind": document.kind,
        "status": document.status,
        "latency_s": round(document.latency, 3),
        "finished_at": document.finished_at.isoformat(),
        "job": document.job,
        "document": document.name,
    }


def record_rows(document: Document, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """A row for each record, without what concerns the whole document, such as its cost; one row if there is none."""
    whole = row(document)
    base = {name: None if name in _WHOLE else value for name, value in whole.items()}
    count = 0
    for record in records:
        count += 1
        state = "failed" if record.code else "succeeded"
        yield {**base, **asdict(record), "record": record.index, "status": state, "confidence": record.score}
    if not count:
        yield whole


COLUMNS = {
    "input": str, "generation": str, "kind": str, "status": str, "label": str, "score": float, "confidence": float,
    "requires_review": bool, "code": str, "message": str, "step": str, "model": str, "version": str, "records": int,
    "failed_records": int, "data": str, "latency_s": float, "cost_usd": float, "device_usd": float,
    "finished_at": str, "job": str,
    "document": str,
}  # fmt: skip
_WHOLE = frozenset(("requires_review", "records", "failed_records", "data", "cost_usd", "device_usd"))
RECORD_COLUMNS = {"input": str, "record": int, "id": str} | {
    name: kind for name, kind in COLUMNS.items() if name not in _WHOLE
}


def write_csv(rows: Iterable[Row], columns: Mapping[str, type], file: Path | None) -> None:
    """Write a header and rows as UTF-8; a file begins with a byte order mark, by which Excel recognises that.

    Raises:
        InputError: the file cannot be written.
    """
    with _opened(file, "w", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(values: Iterable[Any], file: Path | None) -> None:
    """Write JSON lines.

    Raises:
        InputError: the file cannot be written.
    """
    with _opened(file, "w") as stream:
        for value in values:
            stream.write(json.dumps(value, ensure_ascii=False) + "\n")


def write_parquet(rows: Iterable[Row], columns: Mapping[str, type], file: Path | None) -> None:
    """Write rows, with memory that does not grow with their number.

    Raises:
        InputError: DuckDB is not installed, stdout is a terminal, or the file cannot be written.
    """
    try:
        import duckdb
    except ImportError as error:
        raise InputError(
            "Parquet needs DuckDB: pip install 'event-inference[parquet]', or pip install duckdb"
        ) from error
    if file is None and sys.stdout.isatty():
        raise InputError("Parquet is not for a terminal; name a file with --output FILE.")
    types = {str: "VARCHAR", float: "DOUBLE", int: "BIGINT", bool: "BOOLEAN"}
    schema = {name: types[kind] for name, kind in columns.items()}
    with tempfile.TemporaryDirectory() as folder, _opened(file, "wb") as stream:
        lines, table = Path(folder) / "rows.jsonl", Path(folder) / "rows.parquet"
        with lines.open("w", encoding="utf-8") as file_of_lines:
            file_of_lines.writelines(json.dumps(row) + "\n" for row in rows)
        with duckdb.connect(config={"autoinstall_known_extensions": False}) as database:
            database.read_json(str(lines), format="newline_delimited", columns=schema).write_parquet(str(table))
        with table.open("rb") as written:
            shutil.copyfileobj(written, stream)


@contextmanager
def _opened(file: Path | None, mode: str, encoding: str = "utf-8") -> Iterator[Any]:
    """The file, complete as soon as it has its name; or stdout."""
    if file is None:
        yield sys.stdout.buffer if "b" in mode else sys.stdout
        return
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    is_binary = "b" in mode
    try:
        with draft.open(mode, encoding=None if is_binary else encoding, newline=None if is_binary else "") as stream:
            yield stream
        draft.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
