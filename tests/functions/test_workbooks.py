"""Excel workbooks and Parquet files become tables and series, through on_upload and preprocess."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
REVIEWS = [["id", "review", "stars"], *([n, f"It was film number {n}, and I liked it a lot", n % 5] for n in range(40))]
SALES = [["day", "sales"], *([datetime(2024, 1, 1) + timedelta(days=n), 100.5 + n] for n in range(60))]


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def parquet(folder: Path, query: str) -> bytes:
    path = folder / "made.parquet"
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


Convert = Callable[..., dict[str, Any]]


@pytest.fixture
def convert(cloud: Cloud, function: Function) -> Convert:
    """The answer of preprocess to an upload's argument."""

    def convert(name: str, data: bytes, metadata: dict[str, str] | None = None) -> dict[str, Any]:
        blob = cloud.upload(name, data, None, metadata)
        assert function("on_upload").post("/", **finalized(blob)).status_code == 200
        argument = cloud.executions.arguments[-1]
        assert argument["kind"] == "workbook"
        answer: dict[str, Any] = function("preprocess").post("/", json=argument).get_json()
        return answer

    return convert


def rows(cloud: Cloud, argument: dict[str, Any]) -> list[list[str]]:
    text = cloud.work.blob(argument["table"]["name"]).download_as_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_sheet_of_texts_is_a_table(cloud: Cloud, function: Function, convert: Convert) -> None:
    answer = convert("reviews.xlsx", workbook(("Reviews", REVIEWS)))
    argument = answer["argument"]
    assert (answer["mode"], argument["kind"]) == ("converted", "table")
    assert argument["input"]["name"] == "reviews.xlsx"
    assert argument["parameters"] == {"sheet": "Reviews"}
    assert rows(cloud, argument) == [[str(value) for value in row] for row in REVIEWS]
    batch = function("preprocess").post("/", json=argument).get_json()
    assert (batch["mode"], batch["records"], batch["format"]) == ("batch", 40, "csv")
    first = cloud.work.blob(batch["prefix"].split("/", 3)[3] + "0.jsonl").download_as_bytes().splitlines()[0]
    assert json.loads(first) == {"text": REVIEWS[1][1], "row": ["0", REVIEWS[1][1], "0"]}


def test_a_sheet_of_dates_and_values_is_a_series(function: Function, convert: Convert, cloud: Cloud) -> None:
    argument = convert("sales.xlsx", workbook(("Empty", []), ("Sales", SALES)), {"horizon": "7"})["argument"]
    assert argument["kind"] == "timeseries"
    assert argument["parameters"] == {"horizon": 7, "sheet": "Sales"}
    assert rows(cloud, argument)[1] == ["2024-01-01T00:00:00", "100.5"]
    answer = function("forecast").post("/", json=argument).get_json()
    assert [point["date"] for point in answer["predictions"]][:2] == ["2024-03-01", "2024-03-02"]
    assert answer["series"]["used"] == 60


def test_cells_have_the_types_that_they_show(cloud: Cloud, convert: Convert) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["review", "day", "moment", "whole", "part", "yes", "error", "formula"])
    sheet.append(
        ["I liked the film a lot", datetime(2024, 3, 9), datetime(2024, 3, 9, 8, 30), 5.0, 0.1, True, "#N/A", "=1+1"]
    )
    sheet["B2"].number_format, sheet["C2"].number_format = "dd.mm.yyyy", 'dd.mm.yyyy "um" hh:mm'
    sheet.append(["I did not like it at all"])
    buffer = io.BytesIO()
    book.save(buffer)
    _, first, second = rows(cloud, convert("a.xlsx", buffer.getvalue(), {"text_column": "review"})["argument"])
    assert first == ["I liked the film a lot", "2024-03-09", "2024-03-09T08:30:00", "5", "0.1", "true", "", ""]
    assert second == ["I did not like it at all", *[""] * 7]


def test_another_sheet_is_read_on_request(cloud: Cloud, convert: Convert) -> None:
    data = workbook(("Notes", [["note"], ["Made by hand, and not to be read"]]), ("Reviews", REVIEWS))
    argument = convert("a.xlsx", data, {"sheet": "reviews"})["argument"]
    assert argument["parameters"] == {"sheet": "Reviews"}
    assert len(rows(cloud, argument)) == 41
    assert "Its sheets are Notes, Reviews." in convert("b.xlsx", data, {"sheet": "Sales"})["error"]["message"]


def test_a_title_above_the_table_is_skipped(function: Function, convert: Convert) -> None:
    titled: list[Any] = [["Reviews of March"], [], *REVIEWS]
    argument = convert("a.xlsx", workbook(("S", titled)))["argument"]
    assert function("preprocess").post("/", json=argument).get_json()["records"] == 40


def test_a_note_beside_the_table_hides_no_header(function: Function, cloud: Cloud, convert: Convert) -> None:
    noted: list[Any] = [*REVIEWS[:9], [*REVIEWS[9], None, "checked by hand"], *REVIEWS[10:]]
    argument = convert("a.xlsx", workbook(("S", noted)))["argument"]
    assert rows(cloud, argument)[0] == ["id", "review", "stars", "", ""]
    batch = function("preprocess").post("/", json=argument).get_json()
    assert (batch["records"], batch["table"]["text_column"]) == (40, "review")


def test_merged_cells_above_a_header_are_part_of_it(function: Function, cloud: Cloud, convert: Convert) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Sales of 2024"])
    sheet.append([None, "Shop", None, "Web", None])
    sheet.append(["Day", "Sold", "Returned", "Sold", "Returned"])
    for n in range(60):
        sheet.append([datetime(2024, 1, 1) + timedelta(days=n), 100 + n % 7, n % 3, 50 + n % 5, n % 2])
    for cells in ("A1:E1", "B2:C2", "D2:E2"):
        sheet.merge_cells(cells)
    buffer = io.BytesIO()
    book.save(buffer)
    argument = convert("a.xlsx", buffer.getvalue(), {"value_column": "web sold"})["argument"]
    series = function("forecast").post("/", json=argument).get_json()["series"]
    assert (series["date_column"], series["value_column"], series["used"]) == ("Day", "Web Sold", 60)
    assert "The first 2 rows were read as the header." in series["notes"]


def test_a_parquet_file_is_a_table_or_a_series(cloud: Cloud, convert: Convert, tmp_path: Path) -> None:
    texts = "SELECT n AS id, 'It was film number ' || n || ', and I liked it' AS review FROM range(3000) AS t(n)"
    argument = convert("a.parquet", parquet(tmp_path, texts))["argument"]
    assert argument["kind"] == "table"
    assert [int(row[0]) for row in rows(cloud, argument)[1:]] == list(range(3000)), "in order, each once"
    days = (
        "SELECT DATE '2024-01-01' + CAST(n AS INT) AS day, n * 1.5::DOUBLE AS sales, NULL AS x FROM range(40) AS t(n)"
    )
    argument = convert("b.parquet", parquet(tmp_path, days))["argument"]
    assert argument["kind"] == "timeseries"
    assert rows(cloud, argument)[2] == ["2024-01-02", "1.5", ""]
    assert argument["parameters"] == {}


def test_the_same_file_is_converted_once(cloud: Cloud, function: Function, convert: Convert) -> None:
    first = convert("a.xlsx", workbook(("S", REVIEWS)))
    again = function("preprocess").post("/", json=cloud.executions.arguments[-1]).get_json()
    assert again == first


def bomb() -> bytes:
    data = io.BytesIO(workbook(("S", REVIEWS)))
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/comments1.xml", bytes(17 << 20))
    return data.getvalue()


def claiming(dimension: str) -> bytes:
    """A workbook whose sheet claims to be of a size."""
    source, target = zipfile.ZipFile(io.BytesIO(workbook(("S", REVIEWS)))), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for part in source.namelist():
            content = source.read(part)
            if part.startswith("xl/worksheets/"):
                content = content.replace(b'<dimension ref="A1:C41"', f'<dimension ref="{dimension}"'.encode())
                assert dimension.encode() in content
            archive.writestr(part, content)
    return target.getvalue()


def test_a_claimed_size_is_not_believed(cloud: Cloud, convert: Convert) -> None:
    for dimension in ("A1:XFD1048576", "A1", "A1:B2"):
        argument = convert(f"{dimension}.xlsx", claiming(dimension))["argument"]
        assert [len(row) for row in rows(cloud, argument)] == [3] * 41


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("empty.xlsx", lambda: workbook(("A", []), ("B", [[None, ""]])), "empty"),
        ("numbers.xlsx", lambda: workbook(("A", [["a", "b"], [1, 2], [3, 4]])), "no_usable_column"),
        ("cut.xlsx", lambda: workbook(("S", REVIEWS))[:-900], "undecodable"),
        ("bomb.xlsx", bomb, "decompression_bomb"),
        ("header.xlsx", lambda: workbook(("S", REVIEWS[:1])), "empty"),
        ("cut.parquet", lambda: b"PAR1\x15\x04" + bytes(200), "undecodable"),
        ("encrypted.parquet", lambda: b"PAR1\x15\x04" + bytes(200) + b"PARE", "encrypted"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    convert: Convert, name: str, data: Callable[[], bytes], code: str
) -> None:
    assert convert(name, data())["error"]["code"] == code


def test_a_damaged_parquet_file_is_refused_in_plain_words(convert: Convert, tmp_path: Path) -> None:
    data = parquet(tmp_path, "SELECT n AS id, 'It was film number ' || n AS review FROM range(300) AS t(n)")
    spoilt = data[:40] + bytes(40) + data[80:]
    empty = parquet(tmp_path, "SELECT 1 AS id WHERE false")
    for name, content, code, words in (
        ("a.parquet", data[:-9], "undecodable", "The Parquet file is cut off: its end is missing. Upload it again."),
        ("b.parquet", spoilt, "undecodable", "Write it anew, or as CSV."),
        ("c.parquet", b"PAR1\x15" + bytes(99) + b"PAR1", "undecodable", "Write it anew, or as CSV."),
        ("d.parquet", empty, "empty", "The Parquet file has no rows."),
    ):
        error = convert(name, content)["error"]
        assert error["code"] == code
        assert error["message"].endswith(words)
        assert "Error:" not in error["message"]


def test_nested_values_and_bytes_are_readable(cloud: Cloud, convert: Convert, tmp_path: Path) -> None:
    query = (
        "SELECT 'I liked it a lot' AS review, [1, NULL] AS l, {'x': 1.50, 'é': DATE '2024-01-02'} AS s, "
        "MAP {'k': ['a']} AS m, 'plain'::BLOB AS t, '\\xFF\\x00'::BLOB AS b, "
        "1.50::DECIMAL(9, 2) AS d, NULL::INT[] AS n FROM range(3)"
    )
    argument = convert("a.parquet", parquet(tmp_path, query))["argument"]
    assert rows(cloud, argument)[1] == [
        *("I liked it a lot", "[1, null]", '{"x": 1.5, "é": "2024-01-02"}', '{"k": ["a"]}'),
        *("plain", "/wA=", "1.50", ""),
    ]


def test_parameters_are_checked_once_the_kind_is_known(convert: Convert) -> None:
    error = convert("a.xlsx", workbook(("S", REVIEWS)), {"horizon": "7"})["error"]
    assert error["code"] in ("invalid_parameters", "no_usable_column")
    argument = convert("b.xlsx", workbook(("S", SALES)), {"kind": "timeseries"})["argument"]
    assert argument["kind"] == "timeseries"


def test_a_refusal_names_the_sheet_that_was_read(convert: Convert) -> None:
    data = workbook(("Info", [["Made by hand"]]), ("Data", REVIEWS))
    message = convert("a.xlsx", data)["error"]["message"]
    assert message.endswith("This is the sheet 'Info'; the parameter sheet selects another.")


def test_the_rows_of_a_workbook_have_a_mark_as_excel_needs_it(cloud: Cloud, convert: Convert) -> None:
    table = convert("a.xlsx", workbook(("S", REVIEWS)))["argument"]["table"]
    assert cloud.work.blob(table["name"]).download_as_bytes().startswith(b"\xef\xbb\xbf")


def test_a_workbook_s_failure_is_replayed_as_a_workbook(cloud: Cloud, function: Function, convert: Convert) -> None:
    going_on = convert("sales.xlsx", workbook(("Sales", SALES)), {"horizon": "7"})["argument"]
    error = {"step": "forecast", "status": 500, "code": "internal", "message": "It broke."}
    lineage = {"execution": cloud.executions.created[0].name.rpartition("/")[2], "started_at": "2026-01-01T00:00:01Z"}
    body = {"argument": going_on, "lineage": lineage, "error": error}
    assert function("postprocess").post("/", json=body).get_json()["status"] == "failed"
    cloud.executions.end_all()
    assert function("on_message").post("/", **published(b'{"replay": {}}')).status_code == 200
    assert len(cloud.executions.arguments) == 2
    again = function("preprocess").post("/", json=cloud.executions.arguments[1]).get_json()
    assert again["mode"] == "converted"
    same = ("kind", "model", "parameters", "table")
    assert {name: again["argument"][name] for name in same} == {name: going_on[name] for name in same}
