"""A CSV result has the form of its input, and cells that look like formulas are defused on request."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_service.shards import lines, shard
from gpu_service.tasks.predictions import Classification
from pipeline.errors import MalformedError
from pipeline.tabular import writer
from pipeline.tabular.writer import Dialect

CELLS = st.lists(st.text(max_size=9), min_size=2, max_size=4)
DIALECTS = st.builds(
    Dialect,
    delimiter=st.sampled_from(";,\t|"),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    decimal=st.just("."),
    safe=st.booleans(),
)


@pytest.mark.parametrize(
    ("sample", "codec", "delimiter", "expected"),
    [
        ("a,b\n1,2\n", "utf-8", ",", Dialect()),
        ("a;b\r\n1;2\r\n", "utf-8-sig", ";", Dialect(";", "\r\n", mark=True)),
        ("a;b\r\n1;2\r\n", "cp1252", ";", Dialect(";", "\r\n", mark=True)),
        ("a\tb\r1\t2\r", "utf-16", "\t", Dialect("\t", "\r", mark=True)),
        ("a,b", "utf-8", "", Dialect()),
    ],
)
def test_the_form_of_an_input(sample: str, codec: str, delimiter: str, expected: Dialect) -> None:
    assert Dialect.of(sample, codec, delimiter) == expected
    assert Dialect.parse(expected.json()) == expected


def test_a_decimal_comma_is_no_delimiter() -> None:
    assert Dialect.of("a;b\n", "utf-8", ";", decimal=",").decimal == ","
    assert Dialect.of("a,b\n", "utf-8", ",", decimal=",").decimal == "."
    assert writer.line(["a", 0.75, 3], Dialect(";", "\r\n", decimal=",")) == "a;0,75;3\r\n"


@pytest.mark.parametrize("value", [{"delimiter": 7}, {"newline": "x"}, {"colour": "red"}])
def test_another_form_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        Dialect.parse(value)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "- a list"]
)
def test_formulas_are_defused_on_request(cell: str) -> None:
    assert next(csv.reader(io.StringIO(writer.line([cell, "x"], Dialect(safe=True)), newline=""))) == [f"'{cell}", "x"]
    assert next(csv.reader(io.StringIO(writer.line([cell, "x"]), newline=""))) == [cell, "x"]


@pytest.mark.parametrize("cell", ["-5", "+1,234.56", "-0.5", "-12 %", "+49 170 1234567", "a=b", "", "1-2", "'=1"])
def test_numbers_and_other_cells_stay(cell: str) -> None:
    assert writer.line([cell, "x"], Dialect(safe=True)) == writer.line([cell, "x"])


@given(cells=CELLS, dialect=DIALECTS)
def test_the_service_writes_rows_as_the_functions_do(cells: list[str], dialect: Dialect) -> None:
    answer = Classification(label="=a", score=0.5, scores={})
    own = shard.Dialect(**dialect.json())
    row = lines.as_csv(0, [lines.Line(None, row=cells)], [answer], ["label", "score"], (), own).decode()
    assert row == writer.line([*cells, "=a", 0.5], dialect)


@given(cells=CELLS, dialect=DIALECTS)
def test_a_reader_gets_the_cells_back(cells: list[str], dialect: Dialect) -> None:
    text = writer.header(cells, dialect)
    (row,) = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter)
    assert [cell.removeprefix("'") for cell in row] == [cell.removeprefix("'") for cell in cells]
