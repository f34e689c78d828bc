"""Batches from preprocess to postprocess: cut, predicted on by a stand-in for the GPU service, merged, replayed."""

import csv
import gzip
import io
import json
import random
import resource
import string
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.times import timestamp
from tests.functions import gpu
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, published
from tests.functions.test_postprocess import LINEAGE, argument

pytestmark = pytest.mark.usefixtures("check_documents")

Run = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def cut(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def cut(arg: dict[str, Any], size: int = 3) -> dict[str, Any]:
        monkeypatch.setenv("RECORDS_PER_SHARD", str(size))
        response = function("preprocess").post("/", json=arg)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.get_json()
        return answer

    return cut


@pytest.fixture
def run(cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]) -> Run:
    """Takes an upload through the pipeline, and returns its document and data."""
    postprocess = function("postprocess")

    def run(data: bytes | str, kind: str, name: str = "in", size: int = 3) -> tuple[dict[str, Any], str]:
        arg = argument(cloud, name, data, kind)
        batch = cut(arg, size)
        gpu.predict(cloud, batch)
        return conclude(cloud, postprocess, arg, batch)

    return run


def conclude(
    cloud: Cloud, postprocess: FlaskClient, arg: dict[str, Any], batch: dict[str, Any], *errors: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    body = {"argument": arg, "batch": batch | {"errors": list(errors)}, "lineage": LINEAGE}
    response = postprocess.post("/", json=body)
    assert response.status_code == 200, response.text
    document = json.loads(_object(cloud, response.get_json()["document"]))
    return document, _object(cloud, document["data"]["uri"]) if "data" in document else ""


def _object(cloud: Cloud, uri: str) -> str:
    data: bytes = cloud.output.blob(uri.removeprefix(f"gs://{cloud.output.name}/")).download_as_bytes()
    return data.decode()


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# --- any mixture, any shard size -------------------------------------------------------------------

CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from('",;\n '), max_size=12)


@pytest.mark.long
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(st.tuples(st.integers(0, 99), CELLS), min_size=1, max_size=12),
    size=st.integers(1, 5),
    end=st.sampled_from(["\n", "\r\n"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_every_row_is_returned_once_and_in_order(
    run: Run, table: list[tuple[int, str]], size: int, end: str, codec: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["number", "review"])
    writer.writerow(["1", "A film that I liked a lot."])
    writer.writerows(table)
    document, data = run(text.getvalue().encode(codec), "table", f"{random.random()}.csv", size)
    header, first, *records = rows(data)
    assert header == ["number", "review", "label", "score", "error", "truncated"]
    assert first[1] == first[2]
    assert records == [
        [str(number), cell, *([cell, "0.75", "", ""] if cell.strip() else ["", "", "empty", ""])]
        for number, cell in table
    ]
    assert document["data"]["records"] == len(table) + 1
    assert document["data"]["failed"] == sum(not cell.strip() for _, cell in table)


def with_model(arg: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return arg | {"model": {"name": "sentiment", "version": None}, "parameters": parameters}


@pytest.mark.parametrize("lost", [None, 0, 1])
def test_score_columns_follow_the_others_in_the_order_of_the_labels(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]], lost: int | None
) -> None:
    """Also where the input has columns of the same names."""
    table = 'id,review,Label,score_negative\n1,"I liked it, all",x,y\n2,,x,y\n3,I did not like it,x,y\n'
    arg = with_model(argument(cloud, "a.csv", table, "table"), score_columns=True, text_column="review")
    batch = cut(arg, 2)
    assert batch["parameters"] == {"score_columns": True}
    gpu.predict(cloud, batch)
    if lost is not None:
        cloud.work.blob(f"shards/{arg['job']}/{lost}.out.csv").delete()
    document, data = conclude(cloud, function("postprocess"), arg, batch)
    header, *records = rows(data)
    assert header == [
        *("id", "review", "Label", "score_negative", "label_2", "score", "error", "truncated"),
        *("score_NEGATIVE_2", 'score_so, "so"', "score_label"),
    ]
    assert [len(record) for record in records] == [11] * 3
    assert [record[0] for record in records] == ["1", "2", "3"]
    scored = {0: [False, False, True], 1: [True, False, False], None: [True, False, True]}[lost]
    assert [record[8:] == ["0", "1", "2"] for record in records] == scored
    assert all(record[8:] == ["", "", ""] for record, has in zip(records, scored, strict=True) if not has)
    assert document["parameters"] == {
        "text_column": "review",
        "score_columns": True,
        "top_k": 5,
        "high_confidence": 0.7,
    }
    counts = {name: document["data"][name] for name in ("truncated", "high_confidence", "requires_review")}
    shards = 2 if lost is None else 1
    assert counts == {"truncated": shards, "high_confidence": 2 * shards, "requires_review": 0}


def test_score_columns_require_a_model(cloud: Cloud, function: Function) -> None:
    arg = argument(cloud, "a.csv", "id,review\n1,I liked it a lot\n", "table")
    response = function("preprocess").post("/", json=arg | {"parameters": {"score_columns": True}})
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "invalid_parameters")


LINES = st.one_of(
    st.text(string.printable, max_size=20).map(lambda text: json.dumps({"text": text})),
    st.text(max_size=20).map(lambda text: json.dumps({"id": 7, "text": text})),
    st.sampled_from(['{"text": ', "no JSON", "17", '{"row": [1], "text": "a"}', '{"text": NaN}', '{"image": 5}', "[]"]),
)


def not_json(constant: str) -> None:
    raise ValueError(constant)  # Python's parser takes NaN and Infinity, which JSON does not have


@pytest.mark.release
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, min_size=1, max_size=12), size=st.integers(1, 5))
def test_every_json_line_is_returned_once_and_in_order(run: Run, lines: list[str], size: int) -> None:
    document, data = run('{"text": "first"}\n' + "\n".join(lines), "records", f"{random.random()}.jsonl", size)
    records = objects(data)
    assert [record["index"] for record in records] == list(range(len(lines) + 1))
    for line, record in zip(lines, records[1:], strict=True):
        try:
            sent = json.loads(line, parse_constant=not_json)
        except ValueError:
            assert record["error"]["code"] == "invalid_json"
            continue
        if isinstance(sent, dict) and isinstance(sent.get("text"), str) and sent["text"].strip():
            assert record["label"] == sent["text"]
            assert record.get("id") == sent.get("id")
        else:
            assert record["error"]["code"] in ("empty", "invalid_instance")
    assert document["data"]["records"] == len(records)
    assert document["data"]["succeeded"] + document["data"]["failed"] == len(records)


# --- what users send -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        '{"instances": [' + ", ".join(['"Fine."'] * 40_000) + "]}",
        "[" + ",".join(['"Fine."'] * 40_000) + "]",
        '{"parameters": {"top_k": 1}, "instances": [' + ",".join(['"Fine."'] * 40_000) + "]}",
        '{"instances": [' + ",".join(['{"text": "Fine."}'] * 40_000) + "]}",
        "[" + ",\n".join(['{"text": "Fine.",\n "id": "a",\n "tags": ["b", "c"]}'] * 40_000) + "]",
        '{"text": "Fine."}\n' * 40_000,
        '"Fine."\n' * 40_000,
    ],
    ids=["texts", "list of texts", "texts after parameters", "objects", "fields", "lines", "lines of texts"],
)
def test_records_are_counted_in_every_form(cloud: Cloud, function: Function, content: str) -> None:
    answer = function("preprocess").post("/", json=argument(cloud, "a.json", content, "records"))
    assert answer.status_code == 200, answer.text
    assert 1 <= answer.get_json()["shards"] <= 8


def test_quoted_newlines_are_read_within_shards(run: Run) -> None:
    table = [[str(n), f'said "well"\r\nand left,\nline {n}'] for n in range(10)]
    text = io.StringIO()
    csv.writer(text).writerows([["id", "review"], *table])
    _, data = run(text.getvalue(), "table", "a.csv", 1)
    assert [row[:2] for row in rows(data)[1:]] == table


def test_ragged_rows_keep_their_columns(run: Run) -> None:
    sample = "id,review\n1,A film that I liked a lot\n2\n3,Good, but long, they say\n4,Fine,,\n"
    _, data = run(sample + "5,A film that I liked\n" * 20, "table", "a.csv")
    assert rows(data)[1:5] == [
        ["1", "A film that I liked a lot", "A film that I liked a lot", "0.75", "", ""],
        ["2", "", "", "", "empty", ""],
        ["3", "Good, but long, they say", "Good, but long, they say", "0.75", "", ""],
        ["4", "Fine", "Fine", "0.75", "", ""],
    ]


def test_the_document_of_a_table_names_the_column_and_the_others(run: Run) -> None:
    text = "title,review\n" + "".join(f"One fine day {n},I liked most of it on day {n}\n" for n in range(9))
    document, _ = run(text, "table", "a.csv")
    assert document["table"]["text_column"] == "review"
    assert document["table"]["considered"] == ["title"]


def test_an_unreadable_row_does_not_affect_the_others(run: Run) -> None:
    good = "1,A film that I liked a lot\n" * 4000  # longer than what kinds are judged by
    broken = ['2,"never closed\n', "3," + ",".join("x" * 1_000_000) + "\n", "4," + "y" * 1_200_000 + "\n"]
    after = ["5,A film that I did not like\n"] * 5000
    document, data = run("id,review\n" + good + "".join(broken) + "".join(after), "table", "a.csv", 2500)
    records = rows(data)[1:]
    assert len(records) == 4000 + 3 + 5000
    assert [row[0] for row in records[4000:4004]] == ["2", "3", "4", "5"]
    assert [row[4] for row in records[4000:4003]] == ["invalid_csv", "too_large", "too_large"]
    assert all(row[2] for row in records[:4000] + records[4003:])
    assert document["data"]["errors"] == {"invalid_csv": 1, "too_large": 2}


def test_an_overlong_line_does_not_affect_the_others(run: Run) -> None:
    long = json.dumps({"text": "x" * (9 << 20)})
    _, data = run('{"text": "a"}\n' + long + '\n{"text": "b"}\n', "records", "a.jsonl")
    assert [record.get("label") or record["error"]["code"] for record in objects(data)] == ["a", "too_large", "b"]


def test_an_encoding_that_changes_within_the_file(run: Run) -> None:
    utf8 = "1,Ein schöner Film über Köln und mich\n".encode() * 2000
    latin = "2,Ein schöner Film über Köln und dich\n".encode("cp1252")
    _, data = run(b"id,review\n" + utf8 + latin + utf8, "table", "a.csv", 4000)
    assert rows(data)[2001][2] == "Ein schöner Film über Köln und dich"
    assert rows(data)[2002][2] == "Ein schöner Film über Köln und mich"


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv"])
def test_gzip_is_unpacked(run: Run, name: str) -> None:
    text = "id,review\n" + "".join(f"{n},A film that I liked for reason {n}\n" for n in range(9000))
    packed = gzip.compress(text[:1000].encode()) + gzip.compress(text[1000:].encode())  # of two members
    document, data = run(packed, "table", name, 5000)
    assert document["data"]["records"] == 9000
    assert rows(data)[9000][2] == "A film that I liked for reason 8999"


def test_damaged_gzip_is_refused(cloud: Cloud, function: Function) -> None:
    chance = random.Random(1)
    text = "id,review\n" + "".join(f"{n},A film that I liked {chance.random()} times\n" for n in range(9000))
    packed = gzip.compress(text.encode())
    arg = argument(cloud, "a.csv.gz", packed[:-2000], "table")
    response = function("preprocess").post("/", json=arg)
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "undecodable")


def test_gzip_that_unpacks_beyond_the_limit_is_refused(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_TABLE_BYTES", "1000000")
    text = b"id,review\n" + b"1,A film that I liked a lot\n" * 100_000
    response = function("preprocess").post("/", json=argument(cloud, "a.csv.gz", gzip.compress(text), "table"))
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "decompression_bomb")


@pytest.mark.release
def test_a_large_table_is_cut_in_constant_memory(cloud: Cloud, function: Function) -> None:
    row = "1,A film that I liked a lot and would see again at any time of the day\n"
    arg = argument(cloud, "a.csv", "id,review\n" + row * 250_000, "table")  # 18 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    batch = function("preprocess").post("/", json=arg).get_json()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert batch["records"] == 250_000
    assert batch["shards"] > 5
    assert grown < 60_000, f"{grown} KB more"  # the emulated store is in this process, and keeps the shards on disk


# --- attempts --------------------------------------------------------------------------------------


def test_a_batch_is_cut_once(cloud: Cloud, cut: Callable[..., dict[str, Any]]) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 7, "records")
    first = cut(arg, 3)
    cloud.faulty.requests.clear()
    assert cut(arg, 2) == first
    assert not [target for method, target in cloud.faulty.requests if method in ("POST", "PUT")]


def test_an_interrupted_attempt_is_continued(cloud: Cloud, cut: Callable[..., dict[str, Any]]) -> None:
    arg = argument(cloud, "a.jsonl", "".join(json.dumps({"text": str(n)}) + "\n" for n in range(7)), "records")
    folder = f"shards/{arg['job']}"
    written = cloud.work.blob(f"{folder}/0.jsonl")
    written.upload_from_string("".join(json.dumps({"text": str(n)}) + "\n" for n in range(3)))
    batch = cut(arg, 3)
    assert (batch["shards"], batch["records"]) == (3, 7)
    assert cloud.work.get_blob(written.name).generation == written.generation
    gpu.predict(cloud, batch)
    last = cloud.work.blob(f"{folder}/2.out.jsonl").download_as_bytes()
    assert json.loads(last) == {"index": 6, "label": "6", "score": 0.75}


@pytest.mark.parametrize("change", ["RECORDS_PER_SHARD", "SHARD_SECONDS", "parameters"])
def test_an_interrupted_cut_is_resumed_by_its_own_plan(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setenv("SHARD_SECONDS", "0.0002")
    if change == "RECORDS_PER_SHARD":
        monkeypatch.setenv(change, "3")
    lines = [json.dumps({"text": f"{n}" * 20, "other": f"{n}"}) + "\n" for n in range(10)]
    arg = argument(cloud, "a.jsonl", "".join(lines), "records")
    interrupted = cloud.fault("POST", "shards", f"{arg['job']}/2.jsonl", status=403)
    assert function("preprocess").post("/", json=arg).status_code == 503
    assert not interrupted.times
    folder = f"shards/{arg['job']}"
    size = len(cloud.work.blob(f"{folder}/0.jsonl").download_as_bytes().splitlines())
    if change == "parameters":
        arg = arg | {"parameters": {"text_column": "other"}}
    else:
        monkeypatch.setenv(change, "2")
    batch = function("preprocess").post("/", json=arg).get_json()
    assert (batch["records"], batch["records_per_shard"], batch["parameters"]) == (10, size, {})
    shards = [cloud.work.blob(f"{folder}/{n}.jsonl").download_as_bytes() for n in range(batch["shards"])]
    assert [len(shard.splitlines()) for shard in shards[:-1]] == [size] * (batch["shards"] - 1)
    assert objects(b"".join(shards).decode()) == [{"text": f"{n}" * 20} for n in range(10)]


def test_a_large_shard_is_uploaded_in_chunks(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preprocessing.uploading.CHUNK_BYTES", 256 << 10)
    records = [{"text": f"{n:05} " + "I liked it " * 9} for n in range(12_000)]
    given = argument(cloud, "a.jsonl", "".join(json.dumps(record) + "\n" for record in records), "records")
    monkeypatch.setenv("RECORDS_PER_SHARD", "5000")
    client = function("preprocess")
    cloud.faulty.requests.clear()
    batch = client.post("/", json=given).get_json()
    folder = f"shards/{given['job']}"
    chunks = [target for method, target in cloud.faulty.requests if method == "PUT" and "upload_id" in target]
    assert len(chunks) > 4
    written = [cloud.work.blob(f"{folder}/{n}.jsonl").download_as_bytes().decode() for n in range(3)]
    assert [objects(shard) for shard in written] == [records[:5000], records[5000:10_000], records[10_000:]]

    cloud.work.blob(f"{folder}/index.json").delete()
    assert client.post("/", json=given).get_json() == batch, "what an interrupted attempt wrote is counted"


def test_attempts_that_cut_concurrently_cut_the_same_shards(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 7, "records")
    clients = []
    for size in ("2", "3", "4"):
        monkeypatch.setenv("RECORDS_PER_SHARD", size)
        clients.append(function("preprocess"))
    batches = concurrently(*(lambda client=client: client.post("/", json=arg).get_json() for client in clients))
    assert batches[1:] == batches[:-1]
    shards = [cloud.work.blob(f"shards/{arg['job']}/{n}.jsonl") for n in range(batches[0]["shards"])]
    assert sum(len(shard.download_as_bytes().splitlines()) for shard in shards) == 7


def concurrently(*calls: Callable[[], Any]) -> list[Any]:
    gate = threading.Barrier(len(calls))

    def released(call: Callable[[], Any]) -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(released, calls))


def test_a_german_table_comes_back_as_one(cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]) -> None:
    text = "Nr;Preis;review\r\n1;1,50;Sehr schön\r\n2;2,25;=1+1\r\n3;3,75;\r\n4;0,50;Gut\r\n"
    arg = argument(cloud, "a.csv", text.encode("cp1252"), "table") | {"parameters": {"csv_safe": True}}
    batch = cut(arg, 2)
    gpu.predict(cloud, batch, 0)
    document, data = conclude(cloud, function("postprocess"), arg, batch, FAILED)
    assert data == (
        "\ufeffNr;Preis;review;label;score;error;truncated\r\n"
        "1;1,50;Sehr schön;Sehr schön;0,75;;\r\n"
        "2;2,25;'=1+1;'=1+1;0,75;;\r\n"
        "3;3,75;;;;storage_failed;\r\n"
        "4;0,50;Gut;;;storage_failed;\r\n"
    )
    assert document["parameters"]["csv_safe"] is True


@pytest.mark.parametrize(
    ("texts", "status", "reasons"),
    [
        (["good", "dull"], "succeeded", None),
        (["good", "", "dull", ""], "partial", [1, 3]),
        ([""] * 5, "unsuccessful", [0, 1, 2]),
    ],
)
@pytest.mark.parametrize("size", [2, 9])
def test_the_status_tells_whether_all_some_or_no_records_succeeded(
    run: Run, texts: list[str], status: str, reasons: list[int] | None, size: int
) -> None:
    document, data = run("".join(json.dumps({"text": text}) + "\n" for text in texts), "records", "a.jsonl", size)
    assert document["status"] == status
    assert len(objects(data)) == document["data"]["records"] == len(texts)
    expected = [{"index": index, **gpu.EMPTY} for index in reasons] if reasons else None
    assert document["data"].get("reasons") == expected


def test_records_that_no_shard_finished_are_among_the_reasons(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": ""}\n' * 4, "records")
    batch = cut(arg, 2)
    gpu.predict(cloud, batch, 1)
    document, _ = conclude(cloud, function("postprocess"), arg, batch, FAILED)
    assert document["status"] == "unsuccessful"
    assert [reason["index"] for reason in document["data"]["reasons"]] == [0, 2, 3]
    assert document["data"]["reasons"][0]["code"] == "storage_failed"
    assert "replay" in document


FAILED = {"step": "predict_shards", "status": 500, "code": "storage_failed", "message": "Cloud Storage failed."}


@pytest.mark.parametrize(("kind", "name"), [("records", "a.jsonl"), ("table", "a.csv")])
def test_a_lost_shard_is_reported_and_replayed_alone(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]], kind: str, name: str
) -> None:
    texts = [f"I liked it for reason {n}" for n in range(8)]
    lines = ["id,review", *(f"{n},{text}" for n, text in enumerate(texts))]
    data = "\n".join(lines) if kind == "table" else "\n".join(json.dumps({"text": text}) for text in texts)
    arg = argument(cloud, name, data, kind)
    batch = cut(arg, 3)
    gpu.predict(cloud, batch, 0, 2)
    document, data = conclude(cloud, function("postprocess"), arg, batch, FAILED)
    reason = {"code": "storage_failed", "message": "Cloud Storage failed."}
    assert document["status"] == "partial"
    assert document["data"]["lost"] == [{"first": 3, "last": 5} | reason]
    assert document["data"]["errors"] == {"storage_failed": 3}
    assert (document["data"]["succeeded"], document["data"]["failed"]) == (5, 3)
    records = rows(data)[1:] if kind == "table" else objects(data)
    assert len(records) == 8
    lost = [index for index, one in enumerate(records) if "storage_failed" in str(one)]
    assert lost == [3, 4, 5]

    assert '"partial": true' in document["replay"]
    order = json.dumps({"replay": {"partial": True, "prefix": f"{arg['document']}.json"}}).encode()
    assert function("on_message").post("/", **published(order, "2")).status_code == 200
    (again,) = cloud.executions.arguments
    assert again["job"] == arg["job"]
    assert list(cloud.documents()) == [f"results/{arg['document']}.json"], "it stands until there is another"
    kept = {shard: cloud.work.get_blob(f"shards/{arg['job']}/{shard}.jsonl").generation for shard in range(3)}
    assert cut(again, 3) == batch
    assert kept == {shard: cloud.work.get_blob(f"shards/{arg['job']}/{shard}.jsonl").generation for shard in range(3)}
    gpu.predict(cloud, batch, 1)
    second = {**LINEAGE, "execution": cloud.executions.created[-1].name}
    body = {"argument": again, "batch": batch | {"errors": []}, "lineage": second}
    assert function("postprocess").post("/", json=body).get_json()["status"] == "succeeded"
    assert list(cloud.documents()) == [f"results/{arg['document']}.json"]
    document = cloud.only_document()
    assert document["data"]["failed"] == 0
    assert [attempt["error"]["code"] for attempt in document["attempts"]] == ["storage_failed"]
    assert "storage_failed" not in _object(cloud, document["data"]["uri"])
    copy = f"latest/{name}.predictions.{'csv' if kind == 'table' else 'jsonl'}"
    assert cloud.output.blob(copy).download_as_bytes().decode() == _object(cloud, document["data"]["uri"])


def test_a_table_has_the_columns_that_its_shards_have(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]
) -> None:
    arg = argument(cloud, "a.csv", 'id,"a ""review""\n"\n1,good\n2,bad\n', "table")
    batch = cut(arg, 1)
    gpu.predict(cloud, batch, 0)
    output = cloud.work.get_blob(f"shards/{arg['job']}/0.out.csv")
    summary = json.loads(output.metadata["shard-summary"]) | {"columns": ["embedding", "error", "truncated"]}
    output.metadata = {"shard-summary": json.dumps(summary)}
    output.upload_from_string('1,good,"[0.5,1.0]",,\n')
    _, data = conclude(cloud, function("postprocess"), arg, batch, FAILED)
    assert rows(data) == [
        ["id", 'a "review"\n', "embedding", "error", "truncated"],
        ["1", "good", "[0.5,1.0]", "", ""],
        ["2", "bad", "", "storage_failed", ""],
    ]


def test_a_failed_replay_keeps_the_previous_result(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    batch = cut(arg, 3)
    gpu.predict(cloud, batch, 0)
    before, _ = conclude(cloud, function("postprocess"), arg, batch, FAILED)
    order = json.dumps({"replay": {"partial": True, "prefix": ""}}).encode()
    assert function("on_message").post("/", **published(order, "2")).status_code == 200
    body = {
        "argument": cloud.executions.arguments[0],
        "error": {"step": "preprocess", "status": 500, "code": "internal", "message": "m"},
        "lineage": {**LINEAGE, "execution": cloud.executions.created[-1].name},
    }
    assert function("postprocess").post("/", json=body).get_json()["status"] == "partial"
    assert cloud.only_document() == before


def test_whole_results_are_not_replayed(cloud: Cloud, function: Function, run: Run) -> None:
    run('{"text": "a"}\n{"text": ""}', "records", "a.jsonl")
    order = json.dumps({"replay": {"partial": True}}).encode()
    assert function("on_message").post("/", **published(order, "2")).status_code == 200
    assert not cloud.executions.created


@pytest.mark.parametrize(("status", "folder"), [(500, "failed"), (404, "rejected")])
def test_a_batch_without_any_output_fails(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]], status: int, folder: str
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    error = {"step": "predict_shards", "status": status, "code": "model_not_found", "message": "No such model."}
    document, _ = conclude(cloud, function("postprocess"), arg, cut(arg), error)
    assert document["status"] == folder
    assert list(cloud.documents()) == [f"{folder}/{arg['document']}.json"]
    assert progress(cloud, arg) == ("done", folder)


def test_many_shards_are_joined_in_order(cloud: Cloud, run: Run) -> None:
    document, data = run("".join(json.dumps({"text": f"t{n}"}) + "\n" for n in range(70)), "records", "a.jsonl", 1)
    assert document["data"]["shards"] == 70
    assert [record["label"] for record in objects(data)] == [f"t{n}" for n in range(70)]


@pytest.mark.parametrize(
    ("data", "kind", "name"),
    [("id,review\n", "table", "a.csv"), ('{"instances": []}', "records", "a.json"), ("\n \n", "records", "a.jsonl")],
)
def test_an_input_without_records_is_refused(cloud: Cloud, function: Function, data: str, kind: str, name: str) -> None:
    response = function("preprocess").post("/", json=argument(cloud, name, data, kind))
    assert response.status_code == 422


# --- progress --------------------------------------------------------------------------------------


def test_the_status_reports_the_progress_of_a_batch(
    cloud: Cloud,
    function: Function,
    cut: Callable[..., dict[str, Any]],
    validate: Callable[[dict[str, Any]], None],
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n{"text": ""}\n' * 4, "records")
    batch = cut(arg, 3)
    gpu.predict(cloud, batch, 0)
    body = {"argument": arg, "progress": batch, "lineage": LINEAGE | {"started_at": timestamp()}}
    assert function("postprocess").post("/", json=body).status_code == 200
    status = cloud.documents("status")[f"status/{arg['job']}.json"]
    validate(status)
    assert (status["state"], status["status"]) == ("running", None)
    assert status["records"] == {"total": 8, "done": 3, "failed": 1}
    assert status["shards"] == {"total": 3, "done": 1}
    assert status["records_per_second"] > 0
    assert status["remaining_seconds"] is not None
    gpu.predict(cloud, batch, 1, 2)
    conclude(cloud, function("postprocess"), arg, batch)
    status = cloud.documents("status")[f"status/{arg['job']}.json"]
    validate(status)
    assert (status["state"], status["status"]) == ("done", "partial")
    assert status["records"] == {"total": 8, "done": 8, "failed": 4}
    assert status["remaining_seconds"] is None


def progress(cloud: Cloud, arg: dict[str, Any]) -> tuple[str, str | None]:
    status = cloud.documents("status")[f"status/{arg['job']}.json"]
    return status["state"], status["status"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"step": "predict_shards", "status": 500, "code": "internal", "message": "m"}, "failed"),
        ({"step": "predict_shards", "status": 404, "code": "model_not_found", "message": "m"}, "rejected"),
    ],
    ids=["failed", "rejected"],
)
def test_the_status_of_an_execution_that_fails_is_its_outcome(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]], error: dict[str, Any], status: str
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    cut(arg)
    body = {"argument": arg, "error": error, "lineage": LINEAGE}
    assert function("postprocess").post("/", json=body).get_json()["status"] == status
    assert progress(cloud, arg) == ("done", status)


def test_the_status_is_written_only_after_the_outcome_is_settled(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    batch = cut(arg)
    gpu.predict(cloud, batch)
    cloud.fault("POST", "outcomes", status=403)
    body = {"argument": arg, "batch": batch | {"errors": []}, "lineage": LINEAGE}
    assert function("postprocess").post("/", json=body).status_code == 503
    assert not cloud.documents("status")


def test_the_status_reports_the_settled_outcome(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    batch = cut(arg)
    gpu.predict(cloud, batch)
    postprocess = function("postprocess")
    cloud.fault("POST", "status", status=403)
    body = {"argument": arg, "batch": batch | {"errors": []}, "lineage": LINEAGE}
    assert postprocess.post("/", json=body).status_code == 503
    error = {"step": "postprocess", "status": 503, "code": None, "message": "m"}
    body = {"argument": arg, "error": error, "lineage": LINEAGE}
    assert postprocess.post("/", json=body).get_json()["status"] == "succeeded"
    assert progress(cloud, arg) == ("done", "succeeded")


def test_a_late_report_leaves_a_batch_done(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    batch = cut(arg)
    gpu.predict(cloud, batch)
    report = {"argument": arg, "progress": batch, "lineage": LINEAGE}
    end = {"argument": arg, "batch": batch | {"errors": []}, "lineage": LINEAGE}
    calls = []
    for body in (report, report, end, report):
        client = function("postprocess")
        calls.append(lambda body=body, client=client: client.post("/", json=body))
    assert {response.status_code for response in concurrently(*calls)} == {200}
    assert progress(cloud, arg) == ("done", "succeeded")
    assert function("postprocess").post("/", json=report).get_json()["state"] == "done"
    assert progress(cloud, arg) == ("done", "succeeded")


def test_a_failed_execution_does_not_end_a_batch_that_is_being_replayed(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]]
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    batch = cut(arg)
    postprocess = function("postprocess")
    error = {"step": "predict_shards", "status": 500, "code": "internal", "message": "m"}
    body = {"argument": arg, "error": error, "lineage": LINEAGE}
    assert postprocess.post("/", json=body).get_json()["status"] == "failed"
    function("on_message").post("/", **published(json.dumps({"replay": {}}).encode(), "2"))
    second = {**LINEAGE, "execution": cloud.executions.created[-1].name}
    report = {"argument": arg, "progress": batch, "lineage": second}
    assert postprocess.post("/", json=report).get_json()["state"] == "running"
    postprocess.post("/", json=body)
    assert progress(cloud, arg) == ("running", None)


@pytest.mark.parametrize(
    "change", [{"prefix": "gs://other/shards/"}, {"shards": "x"}, {"format": "xml"}, {"records": None}], ids=str
)
def test_a_batch_that_is_not_the_job_s_is_malformed(
    cloud: Cloud, function: Function, cut: Callable[..., dict[str, Any]], change: dict[str, Any]
) -> None:
    arg = argument(cloud, "a.jsonl", '{"text": "a"}\n' * 6, "records")
    batch = cut(arg) | change
    for key in ("progress", "batch"):
        body = {"argument": arg, key: batch, "lineage": LINEAGE}
        assert function("postprocess").post("/", json=body).status_code == 400
    assert not cloud.documents()
