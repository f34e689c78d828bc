"""forecast with the largest accepted series of every form, in a process with the memory that it is deployed with."""

import gzip
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from forecasting.options import MAX_HORIZON
from forecasting.series import MAX_ROWS
from pipeline.kinds import KINDS
from pipeline.tabular.reader import MAX_COLUMNS
from tests.functions.cloud import Cloud
from tests.functions.hostile.test_hostile import deployed, work
from tests.functions.test_preprocess import argument

LIMIT = KINDS["timeseries"].max_bytes
SPECIAL = "\N{CLAPPER BOARD}"  # after which Python keeps four bytes of every character
START = datetime(1990, 1, 1)


def series(count: int, row: str = "{date},{value}\n", header: str = "date,value\n", first: int = 0) -> str:
    """A row for each minute, with values of a day's pattern."""
    dates = (START + timedelta(minutes=first + number) for number in range(count))
    return header + "".join(row.format(date=date.isoformat(), value=date.hour * 10 + date.minute % 7) for date in dates)


def noted(cell: str, count: int = 240) -> str:
    """A series whose last rows have a long third cell."""
    usual = series(5000, "{date},{value},a\n", "date,value,note\n")
    return usual + series(count, "{date},{value}," + cell + "\n", "", first=5000)


def filled(text: str, unit: str) -> bytes:
    """As much of the unit after the text as fits into the largest file."""
    head, more = text.encode(), unit.encode()
    return head + more * ((LIMIT - len(head)) // len(more))


def wide(text: str) -> bytes:
    return f"# {SPECIAL}\n{text}".encode()


CASES: dict[str, tuple[Callable[[], bytes], int]] = {  # content, status
    "rows": (lambda: wide(series(MAX_ROWS)), 200),
    "rows with offsets": (lambda: wide(series(MAX_ROWS, "{date}+01:00,{value}\n")), 200),
    "packed": (lambda: gzip.compress(wide(series(MAX_ROWS)), 1), 200),
    "UTF-16": (lambda: series(600_000).encode("utf-16"), 200),
    "too many rows": (lambda: filled(f"# {SPECIAL}\ndate,value\n", "2026-01-01,1\n"), 422),
    "columns": (
        lambda: wide(
            series(5000, "{date},{value}" + ",1" * (MAX_COLUMNS - 2) + "\n", "date,value" + ",a" * 1998 + "\n")
        ),
        200,
    ),
    "long cells": (lambda: wide(noted('"' + "a" * 130_000 + '"')), 200),
    "long numbers": (lambda: wide(series(5000) + series(240, "{date},{value}." + "1" * 130_000 + "\n", "", 5000)), 200),
    "quotes": (lambda: filled(f"# {SPECIAL}\n{series(5000)}", 'x"y,"z\n'), 422),
    "one line": (lambda: filled(f"# {SPECIAL}\n{series(5000)}", "1,"), 422),
    "blank lines": (lambda: filled(f"# {SPECIAL}\n{series(5000)}", "\n"), 200),
    "comments": (lambda: filled("", "#\n"), 422),
    "controls": (lambda: f"\ufeff{series(5000)}".encode("utf-16-le") + b"\xfe\xff" * (14 << 20), 422),
    "no dates": (lambda: filled(f"# {SPECIAL}\n{series(5000)}", f"{'x' * 30},1\n"), 422),
}
QUICK = ("controls",)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.release) for name in CASES]
)
def test_forecast_within_its_memory(cloud: Cloud, name: str) -> None:
    memory, concurrency = deployed("forecast")
    content, status = CASES[name]
    parameters: dict[str, Any] = {"horizon": MAX_HORIZON, "date_column": "date", "value_column": "value"}
    data = content()
    assert len(data) <= LIMIT
    worker = work(
        cloud, "forecast", [{"json": argument(cloud, "a.csv", data, "timeseries", **parameters)}], concurrency
    )
    assert [answered for answered, _, _ in worker.answers] == [status], worker.answers
    assert worker.peak < memory, worker.peak
