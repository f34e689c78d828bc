"""Filters as they stand in a URL."""

from datetime import timedelta

import pytest

from console.index import selection
from console.index.selection import FilterError, Filters
from tests.console.conftest import Opened


@pytest.fixture
def filled(console: Opened) -> Opened:
    console.laptop.document("results", "images/7.png", 1, kind="image", predictions=[{"label": "7", "score": 0.4}],
                            quality={"confidence": 0.4, "requires_review": True})  # fmt: skip
    console.laptop.document("results", "texts/good_day.txt", 1)
    console.laptop.document("rejected", "texts/empty.txt", 1)
    console.laptop.document("failed", "texts/late.txt", 1)
    console.refresher.refresh()
    return console


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, {"images/7.png", "texts/good_day.txt", "texts/empty.txt", "texts/late.txt"}),
        ({"q": "_day"}, {"texts/good_day.txt"}),
        ({"q": "%"}, set()),
        ({"q": "POSITIVE"}, {"texts/good_day.txt"}),
        ({"prefix": "images/"}, {"images/7.png"}),
        ({"state": "problem"}, {"texts/empty.txt", "texts/late.txt"}),
        ({"state": "failed", "code": "http_503"}, {"texts/late.txt"}),
        ({"kind": "image", "below": "0.5"}, {"images/7.png"}),
        ({"since": "2999-01-01"}, set()),
        ({"until": "2999-01-01", "label": "7"}, {"images/7.png"}),
        ({"model": "sentiment", "unknown": "parameter"}, {"images/7.png", "texts/good_day.txt"}),
    ],
)
def test_filters_select(filled: Opened, query: dict[str, str], names: set[str]) -> None:
    found = selection.page(filled.index, Filters.of(query))
    assert {row["name"] for row in found.rows} == names
    assert found.total == len(names)


@pytest.mark.parametrize(
    "query",
    [
        {"page": "0"},
        {"page": "x"},
        {"sort": "x"},
        {"state": "x"},
        {"below": "2"},
        {"below": "x"},
        {"since": "yesterday"},
    ],
)
def test_impossible_filters_are_refused_with_a_sentence(query: dict[str, str]) -> None:
    with pytest.raises(FilterError, match=r".+\.$"):
        Filters.of(query)


def test_a_url_contains_only_what_is_filtered() -> None:
    filters = Filters.of({"q": "a b&c", "page": "3"})
    assert filters.url() == "/?q=a+b%26c"
    assert filters.url(page=4) == "/?q=a+b%26c&page=4"
    assert Filters.of({}).url() == "/"


def test_the_least_sure_come_first(filled: Opened) -> None:
    found = selection.page(filled.index, Filters.of({"sort": "unsure"}))
    assert [row["confidence"] for row in found.rows] == [0.4, 0.99, None, None]


def test_the_newest_of_each_name_leaves_earlier_uploads_out(console: Opened) -> None:
    for generation in (1, 2, 10):
        console.laptop.document("results", "a.txt", generation)
    console.laptop.document("failed", "b/7", 3)
    console.refresher.refresh()
    found = selection.page(console.index, Filters.of({"latest": "1"}))
    assert {row["document"] for row in found.rows} == {"a.txt/10", "b/7/3"}


def test_the_oldest_are_those_that_came_in_first(console: Opened) -> None:
    for name, age in (("late.txt", 1), ("early.txt", 3), ("middle.txt", 2)):
        console.laptop.document("results", name, age=timedelta(minutes=age))
    console.refresher.refresh()
    found = selection.page(console.index, Filters.of({"sort": "oldest"}))
    assert [row["name"] for row in found.rows] == ["early.txt", "middle.txt", "late.txt"]
