"""Rows of delimited text: each is read or refused individually, in linear time."""

import csv
import io
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RejectedError
from pipeline.tabular import reader
from pipeline.tabular.reader import MAX_LINE_CHARS, MAX_ROW_CHARS, Record


def cells(text: str, delimiter: str = ",") -> list[list[str]]:
    """Rows read strictly, with cells stripped as their readers do."""
    records = reader.records(reader.lines(text), delimiter, strict=True)
    return [[cell.strip() for cell in record.cells] for record in records]


def lenient(text: str) -> list[Record]:
    return list(reader.records(reader.lines(text), ",", strict=False))


def test_a_quote_that_never_closes_is_not_read_to_the_end():
    searches = 0

    class Counting(str):
        def find(self, *place: int) -> int:  # type: ignore[override]
            nonlocal searches
            searches += 1
            return str.find(self, *place)

    text = Counting('a,b\n1,"' + "x\n" * 1_000_000)
    with pytest.raises(RejectedError) as raised:
        cells(text)
    assert raised.value.code == "invalid_csv"
    assert searches <= MAX_ROW_CHARS


def test_a_stray_carriage_return_is_a_blank():
    assert cells("a,b\n1,x\ry\n") == [["a", "b"], ["1", "x y"]]


def test_records_equal_the_csv_module_on_ordinary_files():
    rows = [["a", "b"], ["1, one", 'say "hi"'], ["line\nbreak", "x"]]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    assert cells(out.getvalue()) == rows


def test_a_quote_in_a_file_with_tabs_swallows_no_rows() -> None:
    text = 'label\ttext\nham\t"Hi, he said\nspam\tfree\nham\t"all of it"\nham\tlate "\nham\t"the end\n'
    assert cells(text, "\t") == [
        ["label", "text"],
        ["ham", '"Hi, he said'],
        ["spam", "free"],
        ["ham", "all of it"],
        ["ham", 'late "'],
        ["ham", '"the end'],
    ]


def test_a_quoted_text_in_a_file_with_tabs_may_have_lines() -> None:
    rows = [["id", "text", "label"], ["1", "two\nlines", "x"], ["2", "a\ttab\nand\tmore", "y"], ["3", "z", "z"]]
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(rows)
    assert cells(out.getvalue(), "\t") == rows


@given(st.lists(st.text(alphabet='a"\n\t', max_size=9), max_size=9))
def test_quotes_in_a_file_with_tabs_lose_nothing(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in ("id\ttext", *lines))
    found = list(reader.records(reader.lines(text), "\t", strict=False))
    kept = "".join(cell for record in found for cell in record.cells)
    assert kept.count("a") == text.count("a")


@given(st.text(alphabet='a1,"\n\r# ', max_size=60))
def test_strict_and_lenient_reading_agree_up_to_the_first_refusal(text: str) -> None:
    read = list(lenient(text))
    sound = [record for record in read if not record.refusal]
    try:
        strict = list(reader.records(reader.lines(text), ",", strict=True))
    except RejectedError:
        assert len(sound) < len(read)
    else:
        assert strict == read == sound


@given(
    st.lists(st.lists(st.text(alphabet='a,"\n\r# ', min_size=1).filter(str.strip), min_size=1, max_size=3), min_size=1)
)
def test_what_the_csv_module_writes_is_read_exactly(table: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    assert [record.cells for record in lenient(out.getvalue())] == table


UNREADABLE: dict[str, tuple[str, list[str | None]]] = {
    "unclosed": ('1,"a\n2,b\n3,c\n', [None, "2", "3"]),
    "unclosed at the end": ('1,a\n2,b\n3,"c', ["1", "2", None]),
    "quotes within cells": ('1,x"y,"z\n2,x"y,"z\n3,b\n', [None, None, "3"]),
    "carriage return": ('1,a\rb,"c\nd"\n2,b\n', ["1", "2"]),
    "carriage return and unclosed": ('1,a\rb,"c\n2,b\n', [None, "2"]),
    "too many columns": ("1" + ",x" * 2_000 + "\n2,b\n", [None, "2"]),
    "unclosed and long": ('1,"a' + "\nx" * 70_000 + "\n2,b\n", [None, *["x"] * 70_000, "2"]),
    "too long": ("1," + "x" * MAX_LINE_CHARS + "\n2,b\n", [None, "2"]),
    "long, on one line": ("1," + "x" * MAX_ROW_CHARS + "\n2,b\n", ["1", "2"]),
    "long, on several lines": ('1,"' + "x" * MAX_ROW_CHARS + '\ny"\n2,b\n', [None, 'y"', "2"]),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_row_does_not_affect_the_others(name: str) -> None:
    text, read = UNREADABLE[name]
    assert [None if record.refusal else record.cells[0] for record in lenient(text)] == read


@pytest.mark.parametrize("line", ['x"y,"z\n', 'x"y,"z\r\r\n', '"\n', '","\n', 'a"b\r,"c\n', '"a""\n'], ids=repr)
def test_reading_takes_linear_time(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    parsed = 0
    parse = csv.reader

    def counting(lines: Iterable[str], **how: int) -> Iterator[list[str]]:
        def counted() -> Iterator[str]:
            nonlocal parsed
            for line in lines:
                parsed += len(line)
                yield line

        return parse(counted(), **how)

    monkeypatch.setattr(csv, "reader", counting)
    text = "id,review\n" + line * (400_000 // len(line))
    assert lenient(text)
    assert parsed <= 6 * len(text)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("# a\n#b,c\n1,2\n", [["# a"], ["#b", "c"]]),
        ("1,2\n#3,4\n", [["#3", "4"]]),
        ('"#1",2\n', []),
        (' #1,2\n1,"\n#2"\n', []),
        ('#a,"b\n# it\'s 5" wide\n1,2\n', [["#a", "b\n"], ["# it's 5\" wide"]]),
        ("sep=;\n\n#a\n1\n", [["#a"]]),
    ],
)
def test_rows_that_begin_with_a_number_sign_are_marked(text: str, marked: list[list[str]]) -> None:
    records = lenient(text)
    assert [record.cells for record in records if record.marked] == marked
    assert not any(record.refusal for record in records)
