"""Which column of a table is meant, and what the sender's parameters change about it."""

from collections.abc import Callable

import pytest

from pipeline.errors import RejectedError
from pipeline.tabular import columns, selection, sniffer
from pipeline.tabular.request import Request
from pipeline.tabular.selection import Choice

LONG = (
    "The parcel came a week late and the box was open on one side.",
    "Works as described and the battery lasts for two days at least.",
    "I sent it back because the colour is nothing like the picture.",
    "My daughter uses it every day and has not complained so far.",
)
CHINESE = ("物流很快，包装也不错。", "质量太差，用了一天就坏了。", "客服态度很好，会再来。", "颜色和图片完全不一样。")
JAPANESE = (
    "とても使いやすいです。",
    "すぐに壊れてしまいました。",
    "配送が早くて助かりました。",
    "色が写真と違います。",
)
THAI = ("สินค้าดีมากส่งไวมาก", "คุณภาพแย่มากไม่แนะนำ", "พนักงานบริการดีมากครับ", "สีไม่ตรงกับรูปเลย")


def table(header: str, row: Callable[[int], str], rows: int = 24) -> str:
    return "\n".join([header, *map(row, range(rows))]) + "\n"


def day(index: int) -> str:
    return f"2024-{1 + index // 28:02}-{1 + index % 28:02}"


def temperature(index: int) -> str:
    return str(50 + (index * 37) % 23 / 10)


def chosen(text: str, request: Request | None = None) -> Choice:
    request = request or Request()
    return sniffer.sniff(text, True, request, declared=True).choice(request)


BESIDE: dict[str, tuple[str, Callable[[int], object]]] = {
    # the name and the cells of a column beside "date" and "temperature"
    "pandas' index": ("", lambda i: i),
    "R's row names": ('""', lambda i: f'"{i + 1}"'),
    "row names": ("rownames", lambda i: i + 1),
    "an id that does not count": ("id", lambda i: (i * 7919) % 997),
    "a store": ("store_id", lambda i: 3 + i % 2),
    "a glued id": ("productid", lambda i: (i * 31) % 17),
    "a postcode": ("zip_code", lambda i: 10115 + i % 3),
    "a counter": ("Obs", lambda i: i + 1),
    "a counter of an unknown name": ("t", lambda i: 10 * i),
    "counting down": ("left", lambda i: 99 - i),
    "a constant": ("sensors", lambda i: 4),
    "a flag": ("holiday", lambda i: int(i % 7 == 0)),
    "a coordinate": ("lat", lambda i: 52 + i % 5 / 10),
    "a weekday": ("day_of_week", lambda i: 1 + i % 7),
    "a number of a category": ("country", lambda i: 1 + i % 3),
    "a day of birth": ("born", lambda i: "1990-01-02"),
    "a value in few rows": ("sales", lambda i: "" if i % 5 else i * 7 % 11),
}


@pytest.mark.parametrize("name", BESIDE)
def test_counters_identifiers_and_constants_are_forecast_last(name: str) -> None:
    column, cell = BESIDE[name]
    choice = chosen(table(f"{column},date,temperature", lambda i: f"{cell(i)},{day(i)},{temperature(i)}"))
    assert (choice.kind, choice.date_name) == ("timeseries", "date")
    assert choice.value is not None
    assert choice.value.name == "temperature"


def test_a_column_that_dates_few_rows_is_not_the_date() -> None:
    choice = chosen(table("date,day,sold", lambda i: f"{'' if i % 5 else day(i + 9)},{day(i)},{temperature(i)}"))
    assert (choice.kind, choice.date_name) == ("timeseries", "day")


@pytest.mark.parametrize("header", ["id,date", "rownames,date", ",date"])
def test_a_counter_is_forecast_if_there_is_nothing_else(header: str) -> None:
    choice = chosen(table(header, lambda i: f"{i},{day(i)}"))
    assert choice.kind == "timeseries"


def test_an_explicit_name_makes_a_counter_the_value() -> None:
    choice = chosen(table("id,date,value,other", lambda i: f"{i},{day(i)},{i},{temperature(i)}"))
    assert choice.value is not None
    assert choice.value.name == "value"
    assert choice.considered == ("other", "id")


@pytest.mark.parametrize(
    "header",
    [
        "Rok;Měsíc;Tržby", "rok;mesic;trzby", "Rok;Mesiac;Predaj", "Yıl;Ay;Satış", "År;Måned;Salg",
        "Vuosi;Kuukausi;Myynti", "Év;Hónap;Eladás", "Год;Месяц;Продажи", "Рік;Місяць;Продажі",
        "Έτος;Μήνας;Πωλήσεις", "年;月;销量", "년;월;매출",
    ],
)  # fmt: skip
def test_years_and_months_are_known_in_many_languages(header: str) -> None:
    rows = table(f"{header};x", lambda i: f"{2020 + i // 12};{1 + i % 12};{temperature(i)};{temperature(i + 1)}")
    choice = chosen(rows)
    assert [column.name for column in choice.dates] == header.split(";")[:2]
    assert choice.value is not None
    assert choice.value.name == header.split(";")[2]


def test_a_price_is_rather_meant_than_a_volume() -> None:
    prices = table(
        "Date,Open,Volume,Close", lambda i: f"{day(i)},{temperature(i)},{(i * 91) % 83}00,{temperature(i + 1)}"
    )
    choice = chosen(prices)
    assert choice.value is not None
    assert choice.value.name == "Close"


TEXTS: dict[str, tuple[str, Callable[[int], str], str]] = {
    # header, row, the column that is meant
    "title before text": ("title,text", lambda i: f"Parcel number {i} came,{LONG[i % 4]} {i}", "text"),
    "a name before notes": ("actor,notes", lambda i: f"Maria de la Cruz {i},{LONG[i % 4]} {i}", "notes"),
    "an address before a complaint": (
        "address,what happened",
        lambda i: f"{i} Long Street in the Old Town,{LONG[i % 4]} {i}",
        "what happened",
    ),
    "camel case": ("reviewerID,reviewText,summary", lambda i: f"A{i},Fine {i},A short summary of it {i}", "reviewText"),
    "snake case": ("review_id,review_date,review_body", lambda i: f"R{i},{day(i)},{LONG[i % 4]} {i}", "review_body"),
    "an id of a review": ("review_id,headline", lambda i: f"one of many {i},Not what I had ordered {i}", "headline"),
    "a gap in most rows": (
        "comment,description",
        lambda i: f"{'' if i % 12 else 'a word or two of praise'},{LONG[i % 4]} {i}",
        "description",
    ),
    "categories in words": (
        "status,opinion in full",
        lambda i: f"{('still on its way', 'came in one piece')[i % 2]},{LONG[i % 4]} {i}",
        "opinion in full",
    ),
    "a review with a rating": ("id,date,rating,review", lambda i: f"{i},{day(i)},{i % 5},{LONG[i % 4]} {i}", "review"),
    "short comments": ("id,date,likes,comment", lambda i: f"{i},{day(i)},{i * 7 % 50},quite good {i}", "comment"),
    "a row number": ("id,date,title", lambda i: f"{i},{day(i)},Three words {i}", "title"),
    "Chinese beside numbers": ("date,text,likes", lambda i: f"{day(i)},{CHINESE[i % 4]}{i},{i * 7 % 50}", "text"),
    "Japanese beside numbers": ("日付,本文,点", lambda i: f"{day(i)},{JAPANESE[i % 4]}{i},{i * 7 % 50}", "本文"),
    "Thai beside numbers": ("date,note,n", lambda i: f"{day(i)},{THAI[i % 4]}{i},{i * 7 % 50}", "note"),
    "German": ("Nr;Produkt;Kommentar", lambda i: f"{i};Tisch aus Holz {i};Gut {i}", "Kommentar"),
    "an unreadable date": ("date,remark", lambda i: f"day {i} of the voyage,{LONG[i % 4]} {i}", "remark"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_column_of_texts_is_meant(name: str) -> None:
    header, row, column = TEXTS[name]
    choice = chosen(table(header, row))
    assert choice.kind == "table"
    assert choice.payload is not None
    assert choice.payload.name == column


@pytest.mark.parametrize(
    "text",
    [
        table("income,city", lambda i: f"{('less than ten thousand', 'ten thousand or more')[i % 2]},Bonn"),
        table("date,label", lambda i: f"the {i}th evening of it,{i % 2}"),
        table("subject,group", lambda i: f"{'ABC'[i % 3]},{'xy'[i % 2]}"),
    ],
    ids=["categories", "unreadable dates", "short names"],
)
def test_neither_categories_nor_dates_are_texts(text: str) -> None:
    assert chosen(text).payload is None


HEADERS: dict[str, tuple[str, Callable[[int], str]]] = {
    "pandas' index": (",text", lambda i: f"{i},{LONG[i % 4]}"),
    "a number sign": ("#,text", lambda i: f"{i},{LONG[i % 4]}"),
    "two words": ("Review Text", lambda i: LONG[i % 4].replace(",", "")),
    "snake case": ("review_body", lambda i: LONG[i % 4]),
    "only a column": ("tweet_text", lambda i: f"{LONG[i % 4]} {i}"),
    "only a column, with commas": ("tweet_text", lambda i: ",".join(LONG[: 1 + i % 4])),
    "only a column of an unknown name": ("zkommentar", lambda i: LONG[i % 4].replace(",", "")),
    "unknown names and empty cells": ("v1,v2,,,", lambda i: f"{('ham', 'spam')[i % 2]},Call me at {i} or so,,,"),
    "unknown names": ("c1,c2", lambda i: f"{('ham', 'spam')[i % 2]},Call me at {i} or so"),
    "only categories": ("colour,shape", lambda i: f"{('red', 'blue')[i % 2]},{('round', 'square', 'flat')[i % 3]}"),
    "a question": (
        "How do you like it?,What should we do better next time?",
        lambda i: f"{('very much', 'so so', 'not at all')[i % 3]},{LONG[i % 4]}",
    ),
    "questions": (
        "Is our rating of you fair?,Why?,What would you change about it?",
        lambda i: f"It is {i},{LONG[i % 4]},Hardly anything about number {i}",
    ),
    "names as in programs": ("actor_name|hero_movie", lambda i: f"Downey {i}, Robert|The {i}th of them"),
    "numbers for names": ("0,1", lambda i: f"{i},{LONG[i % 4]}"),
    "only a column as in programs": ("q7_open", lambda i: LONG[i % 4].replace(",", "")),
    "years above numbers": ("region,2019,2020,2021", lambda i: f"R{i},{i * 3},{i * 5},{i * 7}"),
    "two years above numbers": ("Produkt;2023;2024", lambda i: f"P{i};{i * 3},5;{i * 5},1"),
    "years alone": ("2019,2020,2021", lambda i: f"{i * 3},{i * 5},{i * 7}"),
    "names in Chinese": ("编号,评论内容", lambda i: f"{i},{CHINESE[i % 4]}"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_never_a_record(name: str) -> None:
    header, row = HEADERS[name]
    found = sniffer.sniff(table(header, row), complete=True, declared=True)
    assert (found.header, found.rows) == (True, 24)


BARE: dict[str, Callable[[int], str]] = {
    "texts and labels": lambda i: f"{LONG[i % 4].replace(',', '')},{('pos', 'neg')[i % 2]}",
    "labels and texts": lambda i: f'{("pos", "neg")[i % 2]},"{LONG[i % 4]}"',
    "labels and short texts": lambda i: f"{('pos', 'neg')[i % 2]},{('fine', 'dull', 'great')[i % 3]}",
    "quoted texts": lambda i: f'"{LONG[i % 4]}"',
    "numbers and texts": lambda i: f"{i},{LONG[i % 4].replace(',', '')}",
    "one column, the first of a word": lambda i: f"{i}: {LONG[i % 4]}" if i else "Wonderful",
    "one column, the first with a known word": lambda i: f"{i}: {LONG[i % 4]}" if i else "Great review",
    "one column with commas": lambda i: f"{i}: {LONG[i % 4]}{', or not' if i % 5 == 1 else ''}",
    "a word beside a number": lambda i: f"{f'{i}: {LONG[i % 4]}' if i else 'Wonderful'},{i % 5}",
    "a known word beside a label": lambda i: f"{LONG[i % 4] if i else 'Nice story'},{('pos', 'neg')[i % 2]}",
    "codes": lambda i: f"ab_{i},cd_{i * 7}",
    "a question beside an answer": lambda i: f"Where is parcel {i}?,On its way to {i} or so",
    "years that are values": lambda i: f"{1990 + i},{1991 + i},{1992 + i}",
}


@pytest.mark.parametrize("name", BARE)
def test_a_record_is_never_a_header(name: str) -> None:
    text = table(BARE[name](0), lambda i: BARE[name](i + 1), rows=23)
    found = sniffer.sniff(text, complete=True, declared=True)
    assert (found.header, found.rows) == (False, 24)


STACKED: dict[str, tuple[str, Callable[[int], str], int, list[str]]] = {
    # the header, a row, how many rows the header has, the names
    "merged cells": (
        ",Sales,,Returns,\nDate,Units,Revenue,Units,Revenue",
        lambda i: f"{day(i)},{i},{temperature(i)},{i % 3},{temperature(i)}",
        2,
        ["Date", "Sales Units", "Sales Revenue", "Returns Units", "Returns Revenue"],
    ),
    "merged cells above texts": (
        "Reviewer,,Review,\nName,City,Title,Text",
        lambda i: f"Ann {i},Bonn,Fine {i},{LONG[i % 4]}",
        2,
        ["Reviewer Name", "Reviewer City", "Review Title", "Review Text"],
    ),
    "units": ("time,temp,rain\n,°C,mm", lambda i: f"{day(i)},{i},{temperature(i)}", 2, ["time", "temp", "rain"]),
    "tickers": (
        "Price,Close,High\nTicker,AAPL,AAPL\nDate,,",
        lambda i: f"{day(i)},{i},{temperature(i)}",
        3,
        ["Price", "Close", "High"],
    ),
    "pandas' levels": (
        ",a,a\n,x,y\ndate,,",
        lambda i: f"{day(i)},{i},{temperature(i)}",
        3,
        ["date", "a x", "a y"],
    ),
    "questions below their numbers": (
        'StartDate,Progress,Q1\nStart Date,Progress,"What do you think?"\n"{""id"": 1}","{""id"": 2}","{""id"": 3}"',
        lambda i: f"{day(i)},{i},{LONG[i % 4]}",
        3,
        ["StartDate", "Progress", "Q1"],
    ),
    "a title filled up with commas": (
        "Report,,\nof March,,\n,,\nDate,Sales,Note",
        lambda i: f"{day(i)},{i},",
        1,
        ["Date", "Sales", "Note"],
    ),
    "a date that cannot be read": (
        "date,text",
        lambda i: f"{'n.d.' if i == 0 else day(i)},{LONG[i % 4]}",
        1,
        ["date", "text"],
    ),
}


def test_names_as_in_programs_are_a_header_above_one_record() -> None:
    found = sniffer.sniff("actor_name|hero_movie\nDowney, Robert|The first of them\n", True, declared=True)
    assert (found.header, found.rows) == (True, 1)


@pytest.mark.parametrize("rows", [4, 24])
@pytest.mark.parametrize("name", STACKED)
def test_a_header_may_have_several_rows(name: str, rows: int) -> None:
    header, row, count, expected = STACKED[name]
    found = sniffer.sniff(table(header, row, rows), complete=True, declared=True)
    assert (found.header_rows, found.rows) == (count, rows)
    assert [column.name for column in found.columns] == expected
    assert bool(found.notes) == (count > 1)


BOTH = table("id,date,sales,returns,notes", lambda i: f"{i},{day(i)},{temperature(i)},{i % 3},{LONG[i % 4]} {i}")


@pytest.mark.parametrize(
    ("parameters", "kind", "column"),
    [
        ({}, "table", "notes"),
        ({"value_column": "returns"}, "timeseries", "returns"),
        ({"date_column": "date"}, "timeseries", "sales"),
        ({"horizon": 7}, "timeseries", "sales"),
        ({"kind": "timeseries"}, "timeseries", "sales"),
        ({"kind": "table"}, "table", "notes"),
        ({"text_column": "Notes "}, "table", "notes"),
        ({"text_column": "date"}, "table", "date"),
        ({"value_column": "id"}, "timeseries", "id"),
    ],
)
def test_parameters_decide_before_anything_is_guessed(
    parameters: dict[str, str], kind: selection.Kind, column: str
) -> None:
    from pipeline.inputs.parameters import kinds

    choice = chosen(BOTH, Request.of(parameters, kinds(None, parameters)))
    read = choice.payload if kind == "table" else choice.value
    assert read is not None
    assert (choice.kind, read.name) == (kind, column)


@pytest.mark.parametrize("name", ["text_column", "image_column", "date_column", "value_column"])
def test_a_named_column_that_is_not_there_is_an_error_with_the_columns(name: str) -> None:
    with pytest.raises(RejectedError) as raised:
        chosen(BOTH, Request.of({name: "missing"}))
    assert raised.value.code == "no_usable_column"
    assert raised.value.message.endswith("'missing'. Its columns are id, date, sales, returns, notes.")


def test_the_requested_name_makes_the_first_row_a_header() -> None:
    text = "gut,schlecht\nja,nein\nnein,ja\n"
    request = Request.of({"text_column": "schlecht"})
    found = sniffer.sniff(text, True, request, declared=True)
    assert (found.header, found.choice(request).payload) == (True, found.columns[1])


def test_a_date_format_makes_a_column_one_of_dates() -> None:
    text = table("when,level", lambda i: f"24d{i + 1:03},{temperature(i)}")
    assert chosen(text).kind is None
    request = Request.of({"date_format": "%yd%j"}, frozenset(("timeseries",)))
    assert chosen(text, request).kind == "timeseries"


def test_columns_of_any_reader_are_described_by_names_and_rows() -> None:
    rows = [[str(i), LONG[i % 4], day(i)] for i in range(9)]
    described = columns.describe(["", "text", "seen"], rows)
    assert [(column.name, column.type) for column in described] == [
        ("column 1", "number"),
        ("text", "text"),
        ("seen", "date"),
    ]
    choice = selection.choose(described, len(rows))
    assert (choice.kind, choice.payload) == ("table", described[1])
