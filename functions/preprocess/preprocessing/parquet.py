"""Reads the rows of a Parquet file one by one, as a CSV has them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import RejectedError
from pipeline.formats import signatures
from preprocessing.cells import cell

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "384MB",  # beside the file, since the disk is memory, too
    "threads": 1,
    "autoinstall_known_extensions": False,
}
ROWS = 1_000  # fetched together
CHUNK_BYTES = 1 << 20
ENCRYPTED = b"PARE"
MAX_CELL = 128 * 1024  # characters, as many as a row of a CSV may have

Row = list[str]


@contextmanager
def opened(data: IO[bytes]) -> Iterator[Iterator[Row]]:
    """The rows, the first of them the columns' names.

    Raises:
        RejectedError: `undecodable` for a file that is damaged or cut off, `encrypted`, `empty` without a row.
    """
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        with path.open("wb") as file:
            while chunk := data.read(CHUNK_BYTES):
                file.write(chunk)
        _check_end(path)
        with duckdb.connect(config=CONFIG) as database:
            yield _rows(database, path)


def _check_end(path: Path) -> None:
    """A Parquet file ends as it begins."""
    with path.open("rb") as file:
        file.seek(-min(len(signatures.PARQUET), path.stat().st_size), os.SEEK_END)
        end = file.read()
    if end == ENCRYPTED:
        raise RejectedError("encrypted", "The Parquet file is encrypted; upload it decrypted.")
    if end != signatures.PARQUET:
        raise RejectedError("undecodable", "The Parquet file is cut off: its end is missing. Upload it again.")


def _rows(database: Any, path: Path) -> Iterator[Row]:
    import duckdb

    try:
        found = database.execute("SELECT * FROM read_parquet(?)", [str(path)])
        rows = found.fetchmany(ROWS)
        if not rows:
            raise RejectedError("empty", "The Parquet file has no rows.")
        yield [str(column[0]) for column in found.description]
        while rows:
            for row in rows:
                yield [cell(value)[:MAX_CELL] for value in row]
            rows = found.fetchmany(ROWS)
    except (duckdb.Error, UnicodeDecodeError) as error:
        problem = "The Parquet file is damaged, or has a compression or types that are not read."
        raise RejectedError("undecodable", f"{problem} Write it anew, or as CSV.") from error
