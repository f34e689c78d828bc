"""Whole columns of dates: formats, day against month, time zones."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RejectedError
from pipeline.tabular import dates
from pipeline.tabular.vocabulary import calendar_names

READ = [
    # cells, header, format, first stamp, last stamp
    (["2024-01-30", "2024-01-31"], "", "%Y-%m-%d", datetime(2024, 1, 30), datetime(2024, 1, 31)),
    (["2024-1-5", "2024-1-6"], "", "%Y-%m-%d", datetime(2024, 1, 5), datetime(2024, 1, 6)),
    (["2024/01/30", "2024/01/31"], "", "%Y/%m/%d", datetime(2024, 1, 30), datetime(2024, 1, 31)),
    (["2024-01-30T08:15", "2024-01-30T08:30"], "", "%Y-%m-%d", datetime(2024, 1, 30, 8, 15), None),
    (["2024-01-30 08:15:30", "2024-01-30 08:16:30"], "", "%Y-%m-%d", datetime(2024, 1, 30, 8, 15, 30), None),
    (["2024-01-30T08:15:30.250", "2024-01-31"], "", "%Y-%m-%d", datetime(2024, 1, 30, 8, 15, 30, 250_000), None),
    (["2024-01-30T08:15:30.123456789", "2024-01-31"], "", "%Y-%m-%d", datetime(2024, 1, 30, 8, 15, 30, 123456), None),
    (["2024-01-30 24:00", "2024-01-31 01:00"], "", "%Y-%m-%d", datetime(2024, 1, 31), datetime(2024, 1, 31, 1)),
    (["20240130", "20240131", "20240201"], "", "%Y%m%d", datetime(2024, 1, 30), datetime(2024, 2, 1)),
    (["20240130T0815", "20240130T0830"], "date", "%Y%m%d", datetime(2024, 1, 30, 8, 15), None),
    (["31.01.2024", "01.02.2024"], "", "%d.%m.%Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["01.02.2024", "02.02.2024"], "", "%d.%m.%Y", datetime(2024, 2, 1), datetime(2024, 2, 2)),
    (["1.2.24 06:00", "1.2.24 07:00"], "", "%d.%m.%y", datetime(2024, 2, 1, 6), datetime(2024, 2, 1, 7)),
    (["31/01/2024", "01/02/2024"], "", "%d/%m/%Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["01/31/2024", "02/01/2024"], "", "%m/%d/%Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["01/31/24", "02/01/24"], "", "%m/%d/%y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["1/31/2024 5:30 PM", "2/1/2024 12:00 am"], "", "%m/%d/%Y", datetime(2024, 1, 31, 17, 30), datetime(2024, 2, 1)),
    (["31-12-1999", "01-01-2000"], "", "%d-%m-%Y", datetime(1999, 12, 31), datetime(2000, 1, 1)),
    (["2024-01", "2024-02"], "", "%Y-%m", datetime(2024, 1, 1), datetime(2024, 2, 1)),
    (["01/2024", "02/2024"], "", "%m/%Y", datetime(2024, 1, 1), datetime(2024, 2, 1)),
    (["Jan 2024", "Feb 2024"], "", "%b %Y", datetime(2024, 1, 1), datetime(2024, 2, 1)),
    (["January 2024", "February 2024"], "", "%b %Y", datetime(2024, 1, 1), datetime(2024, 2, 1)),
    (["Jan-24", "Feb-24"], "", "%b-%y", datetime(2024, 1, 1), datetime(2024, 2, 1)),
    (["31 Jan 2024", "1 Feb 2024"], "", "%d %b %Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["31-JAN-2024", "01-FEB-2024"], "", "%d-%b-%Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["Jan 31, 2024", "February 1, 2024"], "", "%b %d, %Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["Wed, 31 Jan 2024", "Thu, 1 Feb 2024"], "", "%d %b %Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["1. März 2024", "2. März 2024"], "", "%d. %b %Y", datetime(2024, 3, 1), datetime(2024, 3, 2)),
    (["31. 1. 2024", "1. 2. 2024"], "", "%d.%m.%Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["1. 1. 2024 10:00", "1. 1. 2024 11:00"], "", "%d.%m.%Y", datetime(2024, 1, 1, 10), datetime(2024, 1, 1, 11)),
    (["31 / 01 / 2024", "01 / 02 / 2024"], "", "%d/%m/%Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["2024 - 01 - 31", "2024 - 02 - 01"], "", "%Y-%m-%d", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["31.1.2024.", "1.2.2024."], "", "%d.%m.%Y", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["2024.01.31.", "2024.02.01."], "", "%Y. %m. %d.", datetime(2024, 1, 31), datetime(2024, 2, 1)),
    (["1 января 2024 г.", "2 января 2024 г."], "", "%d %b %Y", datetime(2024, 1, 1), datetime(2024, 1, 2)),
    (["1.Januar 2024", "2.Januar 2024"], "", "%d. %b %Y", datetime(2024, 1, 1), datetime(2024, 1, 2)),
    (["2024M01", "2024M02"], "", "%YM%m", datetime(2024, 1, 1), datetime(2024, 2, 1)),
    (["2024K1", "2024K2"], "", "%YQ%q", datetime(2024, 1, 1), datetime(2024, 4, 1)),
    (["T3 2024", "T4 2024"], "", "Q%q %Y", datetime(2024, 7, 1), datetime(2024, 10, 1)),
    (["3Q24", "4Q24"], "", "%qQ%y", datetime(2024, 7, 1), datetime(2024, 10, 1)),
    (["3. Quartal 2024", "4. Quartal 2024"], "", "%q. Quartal %Y", datetime(2024, 7, 1), datetime(2024, 10, 1)),
    (["KW 5/2024", "KW 6/2024"], "", "W%V/%Y", datetime(2024, 1, 29), datetime(2024, 2, 5)),
    (["2024-Q1", "2024-Q2"], "", "%Y-Q%q", datetime(2024, 1, 1), datetime(2024, 4, 1)),
    (["Q3 2024", "Q4 2024"], "", "Q%q %Y", datetime(2024, 7, 1), datetime(2024, 10, 1)),
    (["2024-W05", "2024-W06"], "", "%Y-W%V", datetime(2024, 1, 29), datetime(2024, 2, 5)),
    (["2020-W53", "2021-W01"], "", "%Y-W%V", datetime(2020, 12, 28), datetime(2021, 1, 4)),
    (["2018", "2020"], "Year", "%Y", datetime(2018, 1, 1), datetime(2020, 1, 1)),
    (["2018", "2019", "2020"], "x", "%Y", datetime(2018, 1, 1), datetime(2020, 1, 1)),
    (
        ["1949", "1949.08333333333", "1949.91666666667"],
        "time",
        "decimal years",
        datetime(1949, 1, 1),
        datetime(1949, 12, 1),
    ),
    (["202311", "202312", "202401"], "month", "%Y%m", datetime(2023, 11, 1), datetime(2024, 1, 1)),
    (["202311", "202312", "202401"], "x", "%Y%m", datetime(2023, 11, 1), datetime(2024, 1, 1)),
    (["1990, July", "1990, August"], "", "%Y, %b", datetime(1990, 7, 1), datetime(1990, 8, 1)),
    (["1960", "1960.25", "1960.5", "1960.75"], "x", "decimal years", datetime(1960, 1, 1), datetime(1960, 10, 1)),
    (["1700000000.25", "1700003600.0"], "ts", "unix seconds", datetime(2023, 11, 14, 22, 13, 20, 250_000), None),
    (["1700000000", "1700003600"], "timestamp", "unix seconds", datetime(2023, 11, 14, 22, 13, 20), None),
    (["1700000000000", "1700003600000"], "ts", "unix milliseconds", datetime(2023, 11, 14, 22, 13, 20), None),
]


@pytest.mark.parametrize(("cells", "header", "name", "first", "last"), READ, ids=lambda value: str(value)[:40])
def test_reads_a_column(cells, header, name, first, last):
    column = dates.read(cells, header)
    assert column.format == name
    assert column.stamps[0] == first
    assert last is None or column.stamps[-1] == last


@pytest.mark.parametrize(
    ("cells", "header"),
    [
        (["1", "2", "3"], "date"),
        (["9.1834", "9.1835", "9.1901"], "rate"),
        (["2019", "2019", "2023"], "count"),
        (["1700000000", "1700003600"], "id"),
        (["2024-02-30", "2024-02-31"], ""),
        (["hello", "world"], ""),
        (["12:30", "12:45"], ""),
        (["0001-01-01", "0001-01-02"], ""),
        (["2024-01-01", "01.02.2024", "Jan 2024", "2024"], ""),
        ([], ""),
    ],
)
def test_refuses_a_column_without_dates(cells, header):
    assert dates.formats(cells, header) == []
    with pytest.raises(RejectedError) as raised:
        dates.read(cells, header)
    assert raised.value.code == "unreadable_dates"


def days(first: date, count: int, pattern: str, step: int = 1) -> list[str]:
    return [(first + timedelta(days=step * index)).strftime(pattern) for index in range(count)]


def test_a_day_above_twelve_anywhere_settles_day_against_month():
    assert dates.read(["03/04/2024", "11/04/2024", "13/04/2024"]).stamps[0] == datetime(2024, 4, 3)
    assert dates.read(["03/04/2024", "03/11/2024", "03/13/2024"]).stamps[0] == datetime(2024, 3, 4)


def test_order_under_one_reading_only_settles_it():
    # As month/day these jump back and forth.
    column = dates.read(["10/01/2024", "12/01/2024", "01/02/2024", "03/02/2024"])
    assert column.stamps[0] == datetime(2024, 1, 10)


def test_even_spacing_under_one_reading_only_settles_it():
    months = [f"01/{month:02}/{year}" for year in (2022, 2023) for month in range(1, 13)]
    column = dates.read(months)  # as month/day: twelve days each January
    assert column.stamps[-1] == datetime(2023, 12, 1)
    assert column.format == "%d/%m/%Y"


def test_business_days_count_as_even():
    cells = [text for text in days(date(2024, 2, 1), 12, "%d/%m/%Y") if date(2024, 2, int(text[:2])).weekday() < 5]
    assert dates.read(cells).stamps[0] == datetime(2024, 2, 1)


@pytest.mark.parametrize(
    "cells",
    [
        days(date(2024, 2, 1), 12, "%d/%m/%Y"),
        ["01/01/2024", "01/02/2024", "01/03/2024"],
        ["03/04/2024", "05/06/2024"],
        ["03-04-24", "05-06-24", "09-08-24"],
    ],
)
def test_two_possible_readings_are_ambiguous(cells):
    with pytest.raises(RejectedError) as raised:
        dates.read(cells, "when")
    assert raised.value.code == "ambiguous_dates"
    assert "date_format" in raised.value.message
    assert "'when'" in raised.value.message
    assert "%d" in raised.value.message.split(" or ")[0]


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("%d/%m/%Y", datetime(2024, 4, 3)),
        ("%m/%d/%Y", datetime(2024, 3, 4)),
        ("DD/MM/YYYY", datetime(2024, 4, 3)),
        ("mm/dd/yyyy", datetime(2024, 3, 4)),
    ],
)
def test_date_format_settles_it(asked, first):
    assert dates.read(["03/04/2024", "05/06/2024"], date_format=asked).stamps[0] == first


JANUARY = {
    # two days or months, both in January and February 2024
    "French": ["1 janvier 2024", "2 février 2024"],
    "French, as it is spoken": ["lundi 1er janvier 2024", "vendredi 2 févr. 2024"],
    "French, without accents": ["1 janvier 2024", "2 fevrier 2024"],
    "Spanish": ["1 de enero de 2024", "2 de febrero de 2024"],
    "Spanish, short": ["01-ene-2024", "02-feb-2024"],
    "Italian": ["1 gennaio 2024", "2 febbraio 2024"],
    "Portuguese": ["segunda-feira, 1 de janeiro de 2024", "sexta-feira, 2 de fevereiro de 2024"],
    "Dutch": ["1 jan. 2024", "2 februari 2024"],
    "Polish": ["1 stycznia 2024", "2 lutego 2024"],
    "German": ["Montag, 1. Januar 2024", "Freitag, 2. Februar 2024"],
    "Austrian": ["1. Jänner 2024", "2. Februar 2024"],
    "Catalan": ["1 de gener de 2024", "2 de febrer de 2024"],
    "Russian": ["1 января 2024", "2 февраля 2024"],
    "Turkish": ["1 Ocak 2024", "2 Şubat 2024"],
    "Hungarian": ["2024. január 1.", "2024. február 2."],
    "Chinese": ["2024年1月1日", "2024年2月2日"],
    "Korean": ["2024년 1월 1일", "2024년 2월 2일"],
    "a web server": ["01/Jan/2024:00:00:00 +0000", "02/Feb/2024:00:00:00 +0000"],
}
EVENING = {
    # 20:05:30 on 1 and 2 January 2024, in UTC
    "Twitter": ["Mon Jan 01 20:05:30 +0000 2024", "Tue Jan 02 20:05:30 +0000 2024"],
    "Unix' date": ["Mon Jan  1 20:05:30 UTC 2024", "Tue Jan  2 20:05:30 UTC 2024"],
    "C's ctime": ["Mon Jan  1 20:05:30 2024", "Tue Jan  2 20:05:30 2024"],
    "JavaScript's Date": [
        "Mon Jan 01 2024 21:05:30 GMT+0100 (Central European Standard Time)",
        "Tue Jan 02 2024 20:05:30 GMT+0000 (Coordinated Universal Time)",
    ],
    "JavaScript's UTC string": ["Mon, 01 Jan 2024 20:05:30 GMT", "Tue, 02 Jan 2024 20:05:30 GMT"],
    "Java's zone": ["2024-01-01T21:05:30+01:00[Europe/Paris]", "2024-01-02T21:05:30+01:00[Europe/Paris]"],
    "an American zone": ["2024-01-01 3:05:30 PM EST", "2024-01-02 12:05:30 PM PST"],
    "a European zone": ["01.01.2024 21:05:30 CET", "02.01.2024 21:05:30 MEZ"],
    "an Australian zone": ["2024-01-02 05:35:30 ACST", "2024-01-03 06:05:30 AEST"],
    "hours from UTC": ["2024-01-01 22:05:30 UTC+2", "2024-01-02 15:05:30 GMT-5"],
}


@pytest.mark.parametrize("name", JANUARY)
def test_dates_of_other_languages_are_read(name: str) -> None:
    assert dates.read(JANUARY[name], "when").stamps == [datetime(2024, 1, 1), datetime(2024, 2, 2)]


@pytest.mark.parametrize("name", EVENING)
def test_times_of_programs_and_zones_are_read(name: str) -> None:
    evening = datetime(2024, 1, 1, 20, 5, 30)
    assert dates.read(EVENING[name], "when").stamps == [evening, evening + timedelta(days=1)]


@pytest.mark.parametrize(
    "cells",
    [
        ["1 januember 2024", "2 januember 2024"],
        ["2024-01-01 20:05 IST", "2024-01-02 20:05 IST"],  # in India, Ireland or Israel
        ["Moontag, 1 January 2024", "Moontag, 2 January 2024"],
        ["first of the month", "second of the month"],
        ["1974.3836", "1974.4027"],
    ],
    ids=["month", "zone", "weekday", "words", "weeks as fractions"],
)
def test_what_is_not_known_is_not_guessed(cells: list[str]) -> None:
    assert read_or_code(cells, "date") == "unreadable_dates"


def test_no_name_of_a_month_has_two_meanings() -> None:
    names = [name for names in calendar_names._MONTHS for name in names.split()]
    assert len(names) == len(set(names)) == len(calendar_names.MONTHS)
    assert [calendar_names.MONTHS[name] for name in ("styczeń", "févr", "mrt", "mai", "czerwca", "octubre")] == [
        *(1, 2, 3, 5, 6, 10)
    ]


@pytest.mark.parametrize("asked", ["%d %B %Y", "%d %b %Y", "%A %d %B %Y", "DD MMMM YYYY"])
def test_a_requested_name_of_a_month_may_be_of_any_language(asked: str) -> None:
    assert dates.read(["3 mars 2024", "4 avril 2024"], date_format=asked).stamps == [
        datetime(2024, 3, 3),
        datetime(2024, 4, 4),
    ]


def test_date_format_may_be_any_strptime_pattern():
    assert dates.read(["2024 day 033"], date_format="%Y day %j").stamps == [datetime(2024, 2, 2)]
    assert dates.read(["2024-02-03 04:05"], date_format="YYYY-MM-DD HH:MM").stamps == [datetime(2024, 2, 3, 4, 5)]


@pytest.mark.parametrize("asked", ["day first", "%", "%Q", "(", "%d" * 40 + "%"])
def test_an_invalid_date_format(asked):
    with pytest.raises(RejectedError) as raised:
        dates.read(["03/04/2024"], date_format=asked)
    assert raised.value.code == "invalid_date_format"


def test_a_date_format_that_does_not_fit():
    with pytest.raises(RejectedError) as raised:
        dates.read(["2024-01-01"], date_format="%d/%m/%Y")
    assert raised.value.code == "unreadable_dates"


def test_a_few_values_without_a_date_become_none():
    column = dates.read([*days(date(2024, 1, 1), 20, "%Y-%m-%d"), "Total", ""])
    assert column.stamps[-2:] == [None, None]
    assert column.stamps[19] == datetime(2024, 1, 20)


def test_offsets_are_converted_to_utc():
    column = dates.read(["2024-03-31T01:30:00+01:00", "2024-03-31T03:30:00+02:00", "2024-03-31T02:30:00Z"])
    assert column.zone == "UTC"
    assert column.stamps == [datetime(2024, 3, 31, 0, 30), datetime(2024, 3, 31, 1, 30), datetime(2024, 3, 31, 2, 30)]


def test_local_midnights_stay_days():
    column = dates.read(["2024-03-30T00:00:00+01:00", "2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"])
    assert column.zone == "local"
    assert column.stamps == [datetime(2024, 3, 30), datetime(2024, 3, 31), datetime(2024, 4, 1)]


@settings(deadline=None)
@given(
    st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 1, 1)),
    st.integers(2, 60),
    st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d %b %Y", "%b %d, %Y", "%Y/%m/%d", "%Y-%m-%dT%H:%M:%S"]),
)
def test_unambiguous_formats_are_read_back(first, count, pattern):
    stamps = dates.read(days(first, count, pattern)).stamps
    assert [stamp.date() for stamp in stamps] == [first + timedelta(days=index) for index in range(count)]


def read_or_code(*args) -> dates.DateColumn | str:
    try:
        return dates.read(*args)
    except RejectedError as error:
        return error.code


@settings(deadline=None)
@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2050, 1, 1)), st.integers(2, 400), st.booleans())
def test_day_and_month_are_never_swapped_silently(first, count, day_first):
    column = read_or_code(days(first, count, "%d/%m/%Y" if day_first else "%m/%d/%Y"))
    if column != "ambiguous_dates":
        assert [stamp.date() for stamp in column.stamps] == [first + timedelta(days=index) for index in range(count)]


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=10), st.text(max_size=10), st.one_of(st.none(), st.text(max_size=12)))
def test_garbage_is_only_ever_rejected(cells, header, asked):
    column = read_or_code(cells, header, asked)
    if isinstance(column, str):
        assert column in {"ambiguous_dates", "unreadable_dates", "invalid_date_format"}
    else:
        assert len(column.stamps) == len(cells)
