"""Turns an Excel sheet or a Parquet file into a CSV in the work bucket, which then stands for the input."""

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.formats import signatures
from pipeline.inputs import objects, parameters, recognition
from pipeline.jobs.job import Input, Job, is_requested
from pipeline.storage import stamp
from pipeline.tabular import writer
from pipeline.tabular.request import Request
from preprocessing import parquet, sheets, uploading
from preprocessing.sheets import Row

if TYPE_CHECKING:
    from google.cloud.storage import Blob

HEAD_ROWS = 100  # that tell the width of a table
MARK = "\ufeff"
SHEET = "sheet"  # the parameter, and the key in the CSV's metadata


def converted(deployment: Deployment, job: Job) -> dict[str, Any]:
    """The job's argument as that of a table or a series whose rows are in the work bucket.

    Raises:
        RejectedError: the file cannot be read, or is neither a table nor a series.
    """
    sheet = None
    own = job.model if is_requested(job.model) else None
    try:
        table, sheet = _table(deployment, job)
        requested = {**job.parameters, SHEET: sheet} if sheet else job.parameters
        request = Request.of(requested, parameters.kinds(own, requested))
        kind = _kind(table, request)
        objects.check_size(table, deployment.settings.max_bytes[kind], kind)
        parameters.check_kind(kind, own, requested, of_workbook=True)
    except RejectedError as refusal:
        refusal.kind = refusal.kind or job.kind
        if sheet:
            refusal.message += f" This is the sheet {sheet!r}; the parameter sheet selects another."
        raise
    model = own if kind == "timeseries" else job.model
    going_on = replace(job, kind=kind, model=model, parameters=requested, table=table)
    return {"mode": "converted", "argument": going_on.argument()}


def _kind(table: Input, request: Request) -> str:
    try:
        return recognition.kind(table, objects.head(table), request)
    except RejectedError as refusal:
        if refusal.code != "content_mismatch" or request.kind:
            raise
        needed = "a column of texts, of gs:// images, or of dates beside one of numbers"
        raise RejectedError("no_usable_column", f"The rows are not a table of these: {needed}.") from refusal


def _table(deployment: Deployment, job: Job) -> tuple[Input, str | None]:
    """The CSV, of an earlier attempt if there is one, and the name of the sheet that it was made of."""
    blob: Blob = deployment.work.blob(f"converted/{job.id}.csv")
    if not blob.exists():
        source = job.object_input()
        limit = deployment.settings.max_bytes["workbook"]
        with _rows(io.BytesIO(objects.read(source, limit)), job.parameters.get(SHEET)) as (sheet, rows):
            lines = (writer.line(row).removesuffix("\n") for row in _filled(rows))
            if sheet:  # the results of a workbook are opened in the same program, which needs the mark
                lines = (f"{MARK}{line}" if number == 0 else line for number, line in enumerate(lines))
            uploading.write(blob, stamp(job.id) | ({SHEET: sheet} if sheet else {}), lines)
    blob.reload()
    table = Input(blob.bucket.name, blob.name, blob.generation, blob.size, blob.content_type)
    return table, (blob.metadata or {}).get(SHEET)


@contextmanager
def _rows(data: IO[bytes], sheet: str | None) -> Iterator[tuple[str | None, Iterator[Row]]]:
    if data.read(4) == signatures.PARQUET:
        data.seek(0)
        if sheet is not None:
            raise RejectedError("invalid_parameters", "A Parquet file has no sheets; leave out the parameter sheet.")
        with parquet.opened(data) as rows:
            yield None, rows
    else:
        data.seek(0)
        with sheets.opened(data, sheet) as opened:
            yield opened


def _filled(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows with all cells of the table from its header on, which may lack the last ones; titles stay short."""
    head = list(itertools.islice(rows, HEAD_ROWS))
    width = max(map(len, head), default=0)
    is_table = False
    for row in itertools.chain(head, rows):
        is_table = is_table or 2 * len(row) > width
        yield row + [""] * (width - len(row)) if is_table and row else row
