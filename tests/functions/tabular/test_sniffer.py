"""Recognition of delimited text: delimiter, header, column types, kind; only rejections are ever raised."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RejectedError
from pipeline.tabular import numbers, sniffer
from pipeline.tabular.table import Table
from tests.functions.tabular.test_reader import cells

SERIES = "date,value\n2024-01-01,1\n2024-01-02,2\n2024-01-03,5\n"


def types(text: str, complete: bool = True) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in sniffer.sniff(text, complete).columns]


KINDS = {
    "plain": (SERIES, "timeseries"),
    "no header": ("2024-01-01\t1\n2024-01-02\t2\n", "timeseries"),
    "pipes": ("day|y\n2024-01-01|1\n2024-01-02|2\n", "timeseries"),
    "German": ("Datum;Wert\n01.02.2024;1.234,5\n02.02.2024;2,75\n", "timeseries"),
    "windows line ends": (SERIES.replace("\n", "\r\n"), "timeseries"),
    "old Mac line ends": (SERIES.replace("\n", "\r"), "timeseries"),
    "no line end at the end": (SERIES.rstrip(), "timeseries"),
    "sep line": ("sep=;\n" + SERIES.replace(",", ";"), "timeseries"),
    "sep line against the content": ("sep=|\n" + SERIES.replace(",", "|"), "timeseries"),
    "blank lines": (SERIES.replace("\n", "\n\n"), "timeseries"),
    "comments": ("# made by hand\n" + SERIES.replace("2024-01-02", "# note\n2024-01-02"), "timeseries"),
    "many comments": ("# made by hand; today\n" * 500 + SERIES.replace(",", ";"), "timeseries"),
    "a comment with an open quote": ('#,"made\n' + SERIES, "timeseries"),
    "a comment below a title": ("Report\n# of, today\n" + SERIES, "timeseries"),
    "a comment for a header": ("#date,value\n2024-01-01,1\n2024-01-02,2\n", "timeseries"),
    "row numbers": ("#,review\n1,I like this very much\n2,I hate all of it\n", "table"),
    "order numbers": ("order,review\n#123,I like this very much\n#124,I hate all of it\n", "table"),
    "hashtags": ("text\n#lovely\n#awful\n", "table"),
    "hashtags below a comment": ("# exported\n\ntext\n#lovely\n#awful\n", "table"),
    "texts with commas below a comment": ("# exported\ntext\nI liked it, a lot\nNot good, not bad, dull\n", "table"),
    "images alone": ("gs://b/one.png\ngs://b/two.png\n", "table"),
    "title": ("Report of the year\n\n" + SERIES, "timeseries"),
    "trailing delimiters": ("date,value\n2024-01-01,1,\n2024-01-02,2,\n2024-01-03,2,\n", "timeseries"),
    "ragged rows": (SERIES + "2024-01-04\n2024-01-05,7,late\n" + "2024-01-06,8\n" * 8, "timeseries"),
    "quoted": ('"date","value"\n"2024-01-01","1,5"\n"2024-01-02","2,5"\n', "timeseries"),
    "a category beside": ("date,shop,sales\n2024-01-01,north,1\n2024-01-02,north,2\n", "timeseries"),
    "notes on a few days": (
        "date,sales,note\n" + "2024-01-01,1,\n" * 9 + "2024-01-02,2,a big fair in town today\n",
        "timeseries",
    ),
    "unix seconds": ("timestamp,y\n1700000000,4\n1700003600,5\n", "timeseries"),
    "years": ("year,sales\n2019,1\n2020,2\n", "timeseries"),
    "missing values": ("date,v\n2024-01-01,NA\n2024-01-02,\n2024-01-03,4\n", "timeseries"),
    "ambiguous dates": ("date,v\n01/02/2024,1\n02/02/2024,2\n", "timeseries"),
    "text and label": ("text,label\nI love it,pos\nI hate it,neg\n", "table"),
    "one text column": ("review\nlovely\nawful\n", "table"),
    "review with date and rating": (
        "date,review,rating\n2024-01-01,I like this very much indeed,5\n2024-01-02,I hate all of it really,1\n",
        "table",
    ),
    "quoted text with everything": ('id,text\n1,"Well, ""yes"";\nno"\n2,"a;b;c d e f"\n', "table"),
    "images": ("image,label\ngs://b/one.png,1\ngs://b/two.png,2\n", "table"),
    "numbers alone": ("a,b\n1,2\n3,4\n", None),
    "dates alone": ("date,until\n2024-01-01,2024-01-02\n2024-01-03,2024-01-04\n", None),
    "names": ("name,city,age\nbob,berlin,3\nann,rome,4\n", None),
    "header alone": ("date,value\n", None),
    "prose": ("Hello, world.\nI am fine, thanks, and you?\nBye.\n", None),
    "verse": ("Roses are red, violets are blue\nSugar is sweet, and so are you\n", None),
    "letter": ("Dear John,\nI love you, and\nmore,\n", None),
    "JSON": ('{"a": 1,\n"b": 2}\n', None),
    "empty": ("", None),
    "blank": ("\n \n\t\n", None),
    "only a comment": ("# nothing, here\n", None),
    "quote in prose": ('"Where are you going, and why?\nI asked.\n', None),
}


@pytest.mark.parametrize("name", KINDS)
def test_kind(name):
    text, kind = KINDS[name]
    assert sniffer.sniff(text, complete=True).choice().kind == kind


@pytest.mark.parametrize("name", [name for name, (_, kind) in KINDS.items() if kind])
def test_a_cut_off_last_line_changes_nothing(name):
    text, kind = KINDS[name]
    end = "\r" if name == "old Mac line ends" else "\n"
    assert sniffer.sniff(text.rstrip("\r\n") + end + '"2024-9', complete=False).choice().kind == kind


def test_columns():
    text = "when;Umsatz;Filiale;Bild;leer\n01.02.2024;1.234,50;Nord;gs://b/1.png;\n02.02.2024;7,25;Süd;gs://b/2.png;\n"
    table = sniffer.sniff(text, complete=True)
    assert (table.delimiter, table.header, table.skip, table.rows) == (";", True, 1, 2)
    assert types(text) == [
        ("when", "date"),
        ("Umsatz", "number"),
        ("Filiale", "text"),
        ("Bild", "image"),
        ("leer", "empty"),
    ]
    assert table.columns[1].decimal == ","
    payload = table.choice().payload
    assert payload is not None
    assert payload.name == "Bild"


def test_titles_and_header_are_skipped_by_reading():
    text = "sep=;\nReport\n\n# comment\ndate;value\n2024-01-01;1\n2024-01-02;2\n"
    table = sniffer.sniff(text, complete=True)
    rows = cells(text, table.delimiter)[table.skip :]
    assert rows == [["2024-01-01", "1"], ["2024-01-02", "2"]]


UNNAMED = ["column 1", "column 2", "column 3"]
ABOVE = {
    "a comment": ("# by hand, today\ntext,label\ngood,1\nbad,2\n", ["text", "label"], 2, 2),
    "a comment below the header": ("text,label\n# a note\ngood,1\nbad,2\n", ["text", "label"], 1, 3),
    "a quoted number sign": ('"#",text\n1,good\n2,bad\n', ["#", "text"], 1, 2),
    "a comment for a header": ("# id,text\n1,good\n2,bad\n", ["# id", "text"], 1, 2),
    "a comment and one for a header": ("# by hand\n# id,text\n1,good\n2,bad\n", ["# id", "text"], 2, 2),
    "a marked row and others": ("#1,2024-01-01,7\n2,2024-01-02,8\n3,2024-01-03,9\n", UNNAMED, 0, 3),
    "marked rows": ("#1,2024-01-01,7\n#2,2024-01-02,8\n", UNNAMED, 0, 2),
}


@pytest.mark.parametrize("name", ABOVE)
def test_only_comments_above_the_header_are_skipped(name: str) -> None:
    text, names, skip, rows = ABOVE[name]
    table = sniffer.sniff(text, complete=True)
    assert [column.name for column in table.columns] == names
    assert (table.skip, table.rows) == (skip, rows)


def test_unnamed_columns_get_names():
    assert types("2024-01-01,1\n2024-01-02,2\n") == [("column 1", "date"), ("column 2", "number")]
    assert types(",y\n2024-01-01,1\n2024-01-02,2\n") == [("column 1", "date"), ("y", "number")]


def test_the_payload_column_is_recognised_by_its_name():
    text = "id,notes,review\n1,seen by two of us,good\n2,seen by nobody at all,bad\n"
    table = sniffer.sniff(text, complete=True)
    payload = table.choice().payload
    assert payload is not None
    assert payload.name == "review"


@pytest.mark.parametrize(
    "text",
    [
        'date,value\n2024-01-01,1\n2024-01-02,"2\n2024-01-03,3\n',
        ",".join(f"c{index}" for index in range(10_000)) + "\n" + "1," * 9_999 + "1\n",
    ],
    ids=["unclosed quote", "too many columns"],
)
def test_hostile_tables_are_refused(text):
    with pytest.raises(RejectedError) as raised:
        cells(text)
    assert raised.value.code == "invalid_csv"
    with pytest.raises(RejectedError) as raised:
        sniffer.sniff(text, complete=True)
    assert raised.value.code == "invalid_csv"


def test_a_first_row_longer_than_the_sample_is_refused():
    with pytest.raises(RejectedError) as raised:
        sniffer.sniff("a," * 1_000_000, complete=True)
    assert raised.value.code == "invalid_csv"


NUMBERS = [
    ("1", ".", 1.0),
    ("-1.5", ".", -1.5),
    ("+.5", ".", 0.5),
    ("1,234.56", ".", 1234.56),
    ("1 234.56", ".", 1234.56),
    ("1'234.56", ".", 1234.56),
    ("1.234,56", ",", 1234.56),
    ("1 234,56", ",", 1234.56),
    ("1.234", ",", 1234.0),
    ("1,5", ",", 1.5),
    ("€ 1.234,50", ",", 1234.5),
    ("-$3.20", ".", -3.2),
    ("(3.20)", ".", -3.2),
    ("−3", ".", -3.0),
    ("12 %", ".", 12.0),
    ("1e3", ".", 1000.0),
    ("1,2E-3", ",", 0.0012),
    ("1,5", ".", None),
    ("1.5", ",", None),
    ("0.123", ",", None),
    ("12,34,567", ".", None),
    ("1e999", ".", None),
    ("inf", ".", None),
    ("nan", ".", None),
    ("1_000", ".", None),
    ("0x10", ".", None),
    ("abc", ".", None),
    ("", ".", None),
    ("9" * 100, ".", None),
]


@pytest.mark.parametrize(("cell", "decimal", "value"), NUMBERS)
def test_numbers(cell, decimal, value):
    assert numbers.number(cell, decimal) == value


@pytest.mark.parametrize(
    ("cells", "preferred", "convention"),
    [
        (["1", "2"], ".", (".", True)),
        (["1.5", "2"], ".", (".", True)),
        (["1,5", "2"], ".", (",", True)),
        (["1.234,5", "2"], ".", (",", True)),
        (["1,234.5", "2"], ",", (".", True)),
        (["998", "999", "1.001", "1.002"], ".", (",", True)),
        (["998", "999", "1,001", "1,002"], ",", (".", True)),
        (["1.234", "1.235"], ".", (".", False)),
        (["1,234", "1,235"], ",", (",", False)),
        (["0.123", "1.235"], ",", (".", True)),
        (["a", "1"], ".", None),
        ([], ".", None),
    ],
)
def test_decimal_convention_of_a_column(cells, preferred, convention):
    result = numbers.convention(cells, preferred)
    assert (result and (result.decimal, result.certain)) == convention


def sniff_or_code(text: str, complete: bool = True) -> Table | str:
    try:
        return sniffer.sniff(text, complete)
    except RejectedError as error:
        return error.code


@settings(deadline=None)
@given(st.text(alphabet='ab1,;\t|"\n\r#.-/ =é', max_size=400), st.booleans())
def test_sniffing_raises_nothing_but_rejections(text, complete):
    table = sniff_or_code(text, complete)
    if isinstance(table, str):
        assert table == "invalid_csv"
    elif table.columns and complete:
        rows = cells(text, table.delimiter)
        assert len(rows) - table.skip == table.rows


@settings(deadline=None)
@given(st.text(max_size=200), st.sampled_from([",", ";", "\t", "|"]))
def test_any_text_is_sniffed(text, delimiter):
    for sample in (text, "date,text\n" + text, f"a{delimiter}b\n" * 3 + text):
        table = sniff_or_code(sample)
        assert (
            table == "invalid_csv" if isinstance(table, str) else table.choice().kind in (None, "timeseries", "table")
        )


@settings(deadline=None)
@given(
    st.lists(st.floats(min_value=-1e9, max_value=1e9).map(lambda value: round(value, 2)), min_size=3, max_size=50),
    st.sampled_from([(",", "."), (";", ","), ("\t", ","), ("\t", "."), ("|", ",")]),
)
def test_written_series_are_recognised(values, marks):
    delimiter, decimal = marks
    rows = [f"2024-01-{index % 28 + 1:02}{delimiter}{value:.2f}" for index, value in enumerate(values)]
    text = "\n".join([f"date{delimiter}y", *(row.replace(".", decimal) for row in rows)])
    table = sniffer.sniff(text, complete=True)
    assert (table.choice().kind, table.delimiter, table.columns[1].decimal) == ("timeseries", delimiter, decimal)


def test_a_header_of_fewer_names_than_cells_is_refused_with_both_numbers():
    with pytest.raises(RejectedError, match="The header has 2 columns but the rows have 3 cells"):
        sniffer.sniff("a,b\n1,2,3\n4,5,6\n7,8,9\n", True)


def test_one_column_of_texts_precedes_a_table_without_a_header():
    assert types("text\nGood, 5\nBad, 3\nDull, 4\n") == [("text", "text")]


def test_typed_columns_make_a_table_without_a_header():
    assert types("1,2\n3,4\n5,6\n") == [("column 1", "number"), ("column 2", "number")]
