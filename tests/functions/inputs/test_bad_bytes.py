"""A bad byte or line costs its own record at most; the records around it are taken in, in order."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized

ROWS = [f"{n},Ein schöner Film von der Größe {n}" for n in range(3000)]
LINES = [json.dumps({"id": n, "text": f"Größe {n}"}, ensure_ascii=False) for n in range(300)]
PHOTO = base64.b64encode(random.Random(5).randbytes(90_000)).decode()


@pytest.fixture
def records(cloud: Cloud, function: Function) -> Callable[[str, bytes], list[dict[str, Any]]]:
    """The records that an upload is cut into."""

    def cut(name: str, data: bytes) -> list[dict[str, Any]]:
        blob = cloud.upload(name, data)
        assert function("on_upload").post("/", **finalized(blob)).status_code == 200
        (argument,) = cloud.executions.arguments
        answer = function("preprocess").post("/", json=argument)
        assert answer.status_code == 200, answer.text
        batch = answer.get_json()
        folder = batch["prefix"].removeprefix(f"gs://{cloud.work.name}/")
        shards = [cloud.work.blob(f"{folder}{n}.jsonl").download_as_bytes() for n in range(batch["shards"])]
        found = [json.loads(line) for shard in shards for line in shard.split(b"\n") if line]
        assert len(found) == batch["records"]
        return found

    return cut


@pytest.mark.parametrize("place", [0, 7, 2999])
@pytest.mark.parametrize(
    ("stray", "read"), [(b"caf\xe9", "café"), (b"\xa350", "£50"), (b"a\0b", "a\0b"), (b"\xc3", "Ã")], ids=repr
)
def test_a_stray_byte_leaves_the_other_rows_as_they_are(
    records: Callable[[str, bytes], list[dict[str, Any]]], place: int, stray: bytes, read: str
) -> None:
    rows: list[bytes] = [row.encode() for row in ROWS]
    rows[place] += b" " + stray
    found = records("a.csv", b"id,review\n" + b"\n".join(rows) + b"\n")
    expected = [row.split(",", 1)[1] for row in ROWS]
    expected[place] += f" {read}"
    assert [record["text"] for record in found] == expected


BAD = {
    "NaN": '{"id": 0, "score": NaN, "text": "a"}',
    "cut off": '{"id": 0, "text": "a',
    "the end of a line": 'is great"}',
    "another value": "17",
    "a list": '["a", "b"]',
    "a comment": "# made by hand",
    "an open bracket": "{",
}


@pytest.mark.parametrize("place", [0, 150])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_costs_one_record(
    records: Callable[[str, bytes], list[dict[str, Any]]], name: str, place: int
) -> None:
    lines = [*LINES]
    lines[place] = BAD[name]
    found = records("a.jsonl", "\n".join(lines).encode())
    assert len(found) == len(LINES)
    good = [index for index in range(len(LINES)) if index != place]
    assert [found[index]["text"] for index in good] == [f"Größe {index}" for index in good]
    assert found[place] in (17, ["a", "b"]) or found[place]["error"]["code"] == "invalid_json"


def test_one_good_line_makes_a_file_of_json_lines(records: Callable[[str, bytes], list[dict[str, Any]]]) -> None:
    found = records("a.jsonl", b'{"text": NaN}\nnull and void\n{"text": "good"}\n')
    assert [record.get("text") for record in found] == [None, None, "good"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"], ids=ascii)
@pytest.mark.parametrize("name", ["a.jsonl", "a"])
def test_only_line_ends_end_a_line(
    records: Callable[[str, bytes], list[dict[str, Any]]], separator: str, name: str
) -> None:
    text = f"one{separator}two"
    escape = separator.isascii()  # controls must be escaped within JSON
    lines = [json.dumps({"text": text}, ensure_ascii=escape)] * 4
    assert [record["text"] for record in records(name, "\n".join(lines).encode())] == [text] * 4


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a"])
def test_a_first_line_with_a_photo_is_recognised(
    records: Callable[[str, bytes], list[dict[str, Any]]], name: str
) -> None:
    lines = [json.dumps({"id": n, "photo": PHOTO, "text": f"Fine {n}"}) for n in range(3)]
    lines = [lines[0].replace('"id": 0', '"text": "Fine 0", "id": 0'), *lines[1:]]
    found = records(name, "\n".join(lines).encode())
    assert [(record["id"], record["text"]) for record in found] == [(n, f"Fine {n}") for n in range(3)]


@pytest.mark.parametrize("header", ["id,photo,text", "# exported\nphoto,review text", "photo;Titel;Kommentar"])
def test_a_first_row_with_a_photo_is_recognised(
    records: Callable[[str, bytes], list[dict[str, Any]]], header: str
) -> None:
    mark = ";" if ";" in header else ","
    width = header.count(mark) + 1
    cells = ["7", PHOTO, "Good"] if width == 3 and mark == "," else [PHOTO, *["short"] * (width - 2), "Good"]
    found = records("a.csv", "\n".join([header, *[mark.join(cells)] * 3]).encode())
    assert [record["text"] for record in found] == ["Good"] * 3
    assert all(record["row"] == cells for record in found)
