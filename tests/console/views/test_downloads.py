"""Downloads: the list as one table, and a batch's table with its answers, which harm no spreadsheet."""

import csv
import io
from typing import Any

import pytest

from console.views.downloads import defused
from tests.console.conftest import Opened

TABLE = """text,price,label,score,error,truncated\r
"=cmd|' /C calc'!A0",-5.30,POSITIVE,0.9,,false\r
ä,+1e3,NEGATIVE,0.8,,false\r
"""


def batch(console: Opened, content: str, **fields: Any) -> None:
    console.laptop.write("results/reviews.csv/1.csv", content)
    uri = f"gs://{console.laptop.client.target.output_bucket}/results/reviews.csv/1.csv"
    data = {"uri": uri, "records": 2, "failed": 0}
    console.laptop.document("results", "my/reviews.csv", 1, kind="table", data=data, predictions=None, **fields)
    console.refresher.refresh()


def test_the_list_has_no_formulas_and_follows_the_filters(console: Opened) -> None:
    console.laptop.document("results", "=cmd|' /C calc'!A0")
    console.laptop.document("results", "plain.txt", predictions=[{"label": "-1+1", "score": 1}])
    console.laptop.document("rejected", "other.txt")
    console.refresher.refresh()
    answer = console.get("/inputs.csv?state=done")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.content.startswith(b"\xef\xbb\xbf")  # so that a spreadsheet reads UTF-8
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {(row["name"], row["label"]) for row in rows} == {
        ("'=cmd|' /C calc'!A0", "POSITIVE"), ("plain.txt", "'-1+1"),
    }  # fmt: skip
    assert rows[0]["cost_usd"] == "0.0003"


def test_a_folder_is_one_table_with_the_newest_of_each_name(console: Opened) -> None:
    for generation in (1, 2):
        console.laptop.document("results", "pictures/a.png", generation)
    console.laptop.document("rejected", "pictures/b.png")
    console.laptop.document("results", "other/c.png")
    console.refresher.refresh()
    page = console.get("/?prefix=pictures/").text
    address = page.partition('class="download" href="')[2].partition('"')[0].replace("&amp;", "&")
    answer = console.get(address)
    assert answer.headers["content-disposition"].endswith("pictures.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row["name"], row["document"]) for row in rows] == [
        ("pictures/a.png", "pictures/a.png/2"), ("pictures/b.png", "pictures/b.png/1"),
    ]  # fmt: skip


def test_a_table_comes_back_as_it_came_in_with_its_answers(console: Opened) -> None:
    batch(console, TABLE)
    page = console.get("/input?document=my/reviews.csv/1").text
    assert "Download the table with its answers" in page
    answer = console.get("/input/data?document=my/reviews.csv/1")
    assert "reviews-answers.csv" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows == [
        ["text", "price", "label", "score", "error", "truncated"],
        ["'=cmd|' /C calc'!A0", "-5.30", "POSITIVE", "0.9", "", "false"],
        ["ä", "+1e3", "NEGATIVE", "0.8", "", "false"],
    ]
    assert console.get("/input/data?document=my/reviews.csv/1&raw=1").content == TABLE.encode()


def test_a_table_keeps_its_delimiter(console: Opened) -> None:
    batch(console, "a;b\r\n1,5;@x\r\n", table={"delimiter": ";"})
    answer = console.get("/input/data?document=my/reviews.csv/1")
    assert answer.content.decode("utf-8-sig") == "a;b\r\n1,5;'@x\r\n"


def test_data_that_are_gone_are_said_to_be(console: Opened) -> None:
    console.laptop.document("results", "a.txt", 1)
    answer = console.get("/input/data?document=a.txt/1")
    assert answer.status_code == 404
    assert "There are no such data" in answer.text
    assert console.get("/input/data").status_code == 404


@pytest.mark.parametrize(
    ("cell", "safe"),
    [("-1", "-1"), ("-1.5e-3", "-1.5e-3"), ("+12,5%", "+12,5%"), ("-", "'-"), ("-1+1", "'-1+1"), ("\t=1", "'\t=1"),
     ("a-b", "a-b"), ("", ""), (0.5, 0.5), (None, None)],
)  # fmt: skip
def test_cells_are_defused(cell: object, safe: object) -> None:
    assert defused(cell) == safe
