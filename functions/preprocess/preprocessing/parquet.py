"""Reads the rows of a Parquet file one by one, as a CSV has them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import RejectedError
from preprocessing.cells import cell

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "384MB",  # beside the file, since the disk is memory, too
    "threads": 1,
    "autoinstall_known_extensions": False,
}
ROWS = 1_000  # fetched together
CHUNK_BYTES = 1 << 20
MAX_CELL = 128 * 1024  # characters, as many as a row of a CSV may have

Row = list[str]


@contextmanager
def opened(data: IO[bytes]) -> Iterator[Iterator[Row]]:
    """The rows, the first of them the columns' names.

    Raises:
        RejectedError: `undecodable` for a file that is damaged or encrypted.
    """
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        with path.open("wb") as file:
            while chunk := data.read(CHUNK_BYTES):
                file.write(chunk)
        with duckdb.connect(config=CONFIG) as database:
            yield _rows(database, path)


def _rows(database: Any, path: Path) -> Iterator[Row]:
    import duckdb

    try:
        found = database.execute("SELECT * FROM read_parquet(?)", [str(path)])
        yield [str(column[0]) for column in found.description]
        while rows := found.fetchmany(ROWS):
            for row in rows:
                yield [cell(value)[:MAX_CELL] for value in row]
    except (duckdb.Error, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0].replace(str(path), "the file")
        raise RejectedError("undecodable", f"The Parquet file cannot be read: {reason:.300}") from error
