"""Shards and instances in Cloud Storage: the official client against the emulated store, over HTTP."""

import base64
import csv
import gzip
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gpu_service.settings import Settings
from gpu_service.shards import lines, prediction, shard, windows
from tests.gpu_service.conftest import Client
from tests.gpu_service.tasks.checkpoints import entailer

PNG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PNG, "PNG")
IMAGE = {"image": {"b64": base64.b64encode(PNG.getvalue()).decode()}}


@pytest.fixture
def put(gcs: storage.Client) -> Callable[..., str]:
    def put(name: str, data: bytes | str, bucket: str = "work") -> str:
        name = f"shards/{name}" if bucket == "work" else name
        gcs.bucket(bucket).blob(name).upload_from_string(data)
        return f"gs://{bucket}/{name}"

    return put


def read(gcs: storage.Client, uri: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content(gcs, uri).split(b"\n")[:-1]]


def content(gcs: storage.Client, uri: str) -> bytes:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    found: bytes = gcs.bucket(bucket).blob(name).download_as_bytes()
    return found


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_a_shard_has_one_line_out_for_each_line_in(client, gcs: storage.Client, put: Callable[..., str]):
    image = {"image": {"b64": base64.b64encode(PNG.getvalue()).decode()}}
    uri = put("picture.png", PNG.getvalue(), "input")
    lines = [
        '{"text": "a good film"}', "not json", '{"text": ""}', '{"text": 7}', "5", json.dumps(image),
        json.dumps({"uri": uri}), '{"uri": "gs://other/x"}', '{"uri": "gs://input/missing"}', '"dull"', "", "[" * 3000,
    ]  # fmt: skip
    source, target = put("mixed.jsonl", "\n".join(lines)), "gs://work/shards/mixed.out.jsonl"
    answer = client.post(
        "/predict-shard", {"input": source, "output": target, "offset": 100, "parameters": {"top_k": 2}}
    )
    assert answer.status_code == 200
    written = read(gcs, target)
    assert [line["index"] for line in written] == list(range(100, 112))
    assert [line.get("error", {}).get("code") for line in written] == [
        None, "invalid_json", "empty", "invalid_text", "invalid_instance", None, None, "bucket_not_allowed",
        "object_not_found", None, "invalid_json", "invalid_json",
    ]  # fmt: skip
    assert all(
        len(line["scores"]) == 2 and line["score"] == max(line["scores"].values())
        for line in written
        if "label" in line
    )
    body = answer.json()
    assert (body["output"], body["records"], body["succeeded"]) == (target, 12, 4)
    assert body["failed"]["invalid_json"] == 3
    assert sum(body["failed"].values()) == 8
    assert (body["device"], body["revision"]) == ("cpu", "local")
    assert body["timing"]["gpu_seconds"] > 0
    alone = client.post("/predict", {"text": "a good film"}).json()["predictions"][0]
    assert written[0]["score"] == pytest.approx(alone["score"], abs=1e-5)


def test_many_records_keep_their_order_across_chunks_and_uploads(
    client, gcs: storage.Client, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(windows, "MAX_LINES", 50)
    monkeypatch.setattr(prediction, "SPOOL_BYTES", 64 * 1024)
    monkeypatch.setattr("gpu_service.storage.CHUNK_BYTES", 256 * 1024)
    words = ["good", "bad film", "dull and long " * 5]
    source = put("many.jsonl", "".join(json.dumps({"text": words[n % 3]}) + "\n" for n in range(3_001)))
    answer = client.post(
        "/predict-shard", {"input": source, "output": "gs://work/shards/many.out", "model": "moods"}
    ).json()
    written = read(gcs, "gs://work/shards/many.out")
    assert answer["records"] == answer["succeeded"] == len(written) == 3_001
    assert [line["index"] for line in written] == list(range(3_001))
    plain = client.post("/predict", {"instances": words}).json()["predictions"]
    for n, line in enumerate(written):
        assert line["scores"] == pytest.approx(plain[n % 3]["scores"], abs=1e-5)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "malformed"),
        (b'{"text": "a', "truncated"),
        (b'{"text": "\xff"}', "byte 0xff"),
        (b"[" * 3000, "levels"),
    ],
)
def test_a_line_that_cannot_be_decoded_says_why(line: bytes, reason: str):
    refusal = lines.parse(line).instance
    assert refusal.code == "invalid_json"
    assert reason in refusal.message.lower()


def test_a_finished_output_is_kept_and_answered_from_its_metadata_alone(
    client, gcs: storage.Client, put: Callable[..., str]
):
    body = {"input": put("twice.jsonl", '{"text": "good"}\n{"text": ""}\n'), "output": "gs://work/shards/twice.out"}
    first = client.post("/predict-shard", body).json()
    written = gcs.bucket("work").get_blob("shards/twice.out")
    assert written.metadata["shard-format"] == "jsonl"
    summary = json.loads(written.metadata["shard-summary"])
    assert summary.keys() == {
        *("records", "failed", "truncated", "high_confidence", "requires_review", "parameters"),
        *("model", "device", "gpu_seconds", "inference_ms", "revision", "columns", "reasons"),
    }
    assert (summary["records"], summary["failed"]) == (2, {"empty": 1})
    assert summary["reasons"] == [{"index": 1, "code": "empty", "message": "The text is empty."}]
    unread = gcs.bucket("work").blob("shards/twice.out")
    unread.metadata = written.metadata
    unread.upload_from_string(b"not what was written")
    second = client.post("/predict-shard", body).json()
    assert content(gcs, "gs://work/shards/twice.out") == b"not what was written"
    first["timing"]["queue_ms"] = 0
    assert second == first


@pytest.mark.parametrize(
    "change",
    [{"model": "moods", "version": 1}, {"format": "csv"}, {"offset": 7}, {"parameters": {"top_k": 1}}],
    ids=lambda change: next(iter(change)),
)
def test_an_output_of_another_request_is_replaced(
    client, gcs: storage.Client, put: Callable[..., str], change: dict[str, Any]
):
    body = {"input": put("asked.jsonl", '"good"\n'), "output": "gs://work/shards/asked.out", "parameters": {"top_k": 2}}
    client.post("/predict-shard", body)
    before = gcs.bucket("work").get_blob("shards/asked.out")
    assert client.post("/predict-shard", {**body, **change}).status_code == 200
    after = gcs.bucket("work").get_blob("shards/asked.out")
    assert after.generation > before.generation


@pytest.mark.parametrize("named", [True, False])
def test_an_output_of_other_weights_is_replaced(
    gcs: storage.Client,
    put: Callable[..., str],
    folder: Callable[[str], Path],
    start_client: Callable[[Settings], Client],
    tmp_path: Path,
    named: bool,
):
    body = {"input": put("pinned.jsonl", '"good"\n'), "output": f"gs://work/shards/pinned-{named}.out"}
    body |= {"model": "moods"} if named else {}
    own = tmp_path / "own"
    for path in (tmp_path / "snapshots" / "1a", tmp_path / "snapshots" / "2b", own):
        shutil.copytree(folder("distilbert"), path)
    settings = Settings(profile=None, models=tmp_path / "models.json", device="cpu", work_bucket="work")

    def generation(source: str) -> int:
        entry = {"name": "moods", "task": "text-classification", "source": str(tmp_path / source)}
        (tmp_path / "models.json").write_text(json.dumps({"p": [entry]}))
        client = start_client(settings)
        assert client.post("/predict-shard", body).status_code == 200
        client.close()
        return int(gcs.bucket("work").get_blob(f"shards/pinned-{named}.out").generation)

    first = generation("snapshots/1a")
    assert generation("snapshots/1a") == first
    second = generation("snapshots/2b")
    third = generation("own")
    assert first < second < third
    assert generation("own") == third
    os.utime(own / "model.safetensors", ns=(1, 1))  # another file of the same size
    assert generation("own") > third


def test_an_output_of_another_input_is_replaced(client, gcs: storage.Client, put: Callable[..., str]):
    body = {"input": put("changed.jsonl", '"good"\n'), "output": "gs://work/shards/changed.out"}
    assert client.post("/predict-shard", body).json()["records"] == 1
    put("changed.jsonl", '"good"\n"bad"\n')
    assert client.post("/predict-shard", body).json()["records"] == 2
    assert len(read(gcs, "gs://work/shards/changed.out")) == 2


def test_an_output_without_valid_metadata_is_replaced(client, gcs: storage.Client, put: Callable[..., str]):
    put("unknown.out", "of someone else")
    body = {"input": put("unknown.jsonl", '"good"\n'), "output": "gs://work/shards/unknown.out"}
    assert client.post("/predict-shard", body).json()["records"] == 1
    found = gcs.bucket("work").get_blob("shards/unknown.out")
    found.metadata = {**found.metadata, "shard-summary": "damaged"}
    found.patch()
    assert client.post("/predict-shard", body).json()["records"] == 1
    assert gcs.bucket("work").get_blob("shards/unknown.out").generation > found.generation


@pytest.mark.parametrize(("offset", "status"), [("0", 200), ("9", 502)], ids=["same", "other"])
def test_the_second_writer_keeps_the_output_of_the_first(
    client, gcs: storage.Client, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch, offset: str, status: int
):
    """Both writers begin before there is an output; the other's appears just before this one is complete."""
    body = {"input": put("race.jsonl", '"good"\n'), "output": f"gs://work/shards/race-{offset}.out"}
    objects = client.app.service.storage
    write = objects.write

    def write_late(uri: str, ours: Any, generation: int, metadata: dict[str, str], content_type: str) -> None:
        blob = gcs.bucket("work").blob(f"shards/race-{offset}.out")
        blob.metadata = {**metadata, "shard-offset": offset}
        blob.upload_from_string(b"theirs")
        write(uri, ours, generation, metadata, content_type)

    monkeypatch.setattr(objects, "write", write_late)
    answer = client.post("/predict-shard", body)
    assert answer.status_code == status
    assert content(gcs, body["output"]) == b"theirs"
    assert answer.json()["records"] == 1 if status == 200 else answer.json()["error"]["code"] == "storage_failed"


def test_records_known_to_be_bad_are_passed_on(client, gcs: storage.Client, put: Callable[..., str]):
    lines = [
        {"error": {"code": "too_large", "message": "The cell is too long."}, "id": "a"},
        {"error": {"code": "too_large", "message": "The cell is too long."}, "row": ["x"], "text": "good"},
        {"error": "too_large"},
        {"error": {"code": "no code\n", "message": ""}},
        {"error": {"code": "x" * 65, "message": ""}},
        {"error": {"code": "x"}},
        {"text": "good", "row": [1]},
        {"text": "good", "row": "cells"},
    ]
    source = put("known.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    answer = client.post("/predict-shard", {"input": source, "output": "gs://work/shards/known.out"}).json()
    assert answer["failed"] == {"too_large": 2, "invalid_instance": 6}
    assert (answer["records"], answer["succeeded"], answer["timing"]["gpu_seconds"]) == (8, 0, 0)
    written = read(gcs, "gs://work/shards/known.out")
    assert written[0] == {"index": 0, "id": "a", "error": lines[0]["error"]}
    assert written[1] == {"index": 1, "error": lines[1]["error"]}


def test_the_senders_fields_are_carried_past_the_model(client, gcs: storage.Client, put: Callable[..., str]):
    uri, missing = put("own.txt", "a good film", "input"), "gs://input/own-missing"
    ids = ["seven", 7, -1.5, 0, "", 2**53 + 1]
    lines = [{"text": "a good film", "id": value, "row": ["dull", "bad"]} for value in ids]
    lines += [{"text": "a good film", "id": True}, {"text": "a good film", "id": ["a"]}]
    lines += [{"uri": uri, "id": "n"}, {"uri": missing, "id": "m"}, {"id": "only"}, {"row": ["only"]}]
    source = put("own.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    client.post("/predict-shard", {"input": source, "output": "gs://work/shards/own.out", "parameters": {"top_k": 1}})
    written = read(gcs, "gs://work/shards/own.out")
    plain = client.post("/predict", {"text": "a good film"}).json()["predictions"][0]
    assert [line.get("id") for line in written] == [*ids, None, None, "n", "m", "only", None]
    assert [type(line["id"]) for line in written[: len(ids)]] == list(map(type, ids))
    assert [line.get("uri") for line in written[8:]] == [uri, missing, None, None]
    assert [line.get("error", {}).get("code") for line in written[9:]] == [
        "object_not_found",
        *["invalid_instance"] * 2,
    ]
    for line in written[:9]:
        assert line["score"] == pytest.approx(plain["score"], abs=1e-5)
        assert line.keys() - {"id", "uri"} == {"index", "label", "score", "scores"}


def test_an_object_is_read_at_its_generation(client, gcs: storage.Client, put: Callable[..., str]):
    uri = put("page.txt", "dull", "input")
    old = gcs.bucket("input").get_blob("page.txt").generation
    put("page.txt", "a good film", "input")
    new = gcs.bucket("input").get_blob("page.txt").generation
    generations = [old, new, str(new), None, "newest", True, -1, 1.5]
    lines = [json.dumps({"uri": uri, "generation": generation}) for generation in generations]
    body = {"input": put("pages.jsonl", "\n".join(lines)), "output": "gs://work/shards/pages.out"}
    client.post("/predict-shard", body)
    written = read(gcs, "gs://work/shards/pages.out")
    codes = [line.get("error", {}).get("code") for line in written]
    assert codes == ["object_not_found", None, None, None, *["invalid_instance"] * 4]
    assert str(old) in written[0]["error"]["message"]
    alone = client.post("/predict", {"instances": [{"uri": uri, "generation": old}, {"uri": uri}]}).json()
    assert [prediction.get("error", {}).get("code") for prediction in alone["predictions"]] == [
        "object_not_found",
        None,
    ]


def test_packed_objects_are_read_as_their_content(client, gcs: storage.Client, put: Callable[..., str]):
    content = b"a good film"
    encoded = gcs.bucket("input").blob("encoded.txt")
    encoded.content_encoding = "gzip"
    encoded.upload_from_string(gzip.compress(content), "text/plain")
    uris = [put("film.txt.gz", gzip.compress(content), "input"), "gs://input/encoded.txt"]
    uris += [
        put("cut.gz", gzip.compress(content)[:-4], "input"),
        put("bomb.gz", gzip.compress(bytes(33 << 20), 1), "input"),
    ]
    instances = [{"text": content.decode()}, *({"uri": uri} for uri in uris)]
    plain, *packed, cut, bomb = client.post("/predict", {"instances": instances}).json()["predictions"]
    assert packed == [plain, plain]
    assert [failed["error"]["code"] for failed in (cut, bomb)] == ["undecodable", "decompression_bomb"]


def test_a_staged_text_is_taken_as_it_was_decoded(client, gcs: storage.Client):
    for index, text in enumerate(("\ufeffa good film", "\x01\x02 a good \x00 film", "\u00ff\u00fe dull")):
        name = f"staged/job/{index:03}.txt"
        gcs.bucket("work").blob(name).upload_from_string(text.encode())
        instances = [{"text": text}, {"uri": f"gs://work/{name}"}]
        inline, staged = client.post("/predict", {"instances": instances}).json()["predictions"]
        assert staged == inline


def test_a_staged_pair_is_taken_for_the_two_texts_and_an_upload_of_its_name_is_not(client, gcs: storage.Client):
    pair = {"text": "a good film \u00fc", "text_pair": "dull"}
    for bucket, name in (("work", "staged/job/000.pair.json"), ("input", "000.pair.json")):
        gcs.bucket(bucket).blob(name).upload_from_string(json.dumps(pair, ensure_ascii=False).encode())
    uris = ("gs://work/staged/job/000.pair.json", "gs://input/000.pair.json")
    instances = [pair, {"text": json.dumps(pair, ensure_ascii=False)}, *({"uri": uri} for uri in uris)]
    inline, text, staged, uploaded = client.post("/predict", {"instances": instances}).json()["predictions"]
    assert (staged, uploaded) == (inline, text)
    assert inline["scores"] != text["scores"]


def test_an_object_s_content_says_what_it_is(client, put: Callable[..., str]):
    """Also where the request names a model of another kind, whose answer is that to the content itself."""
    png = PNG.getvalue()
    contents = [(IMAGE, put("kind.png", png, "input")), ({"text": "dull"}, put("kind.txt", b"dull", "input"))]
    for model, codes in (("moods", ["wrong_kind", None]), ("shapes", [None, "wrong_kind"])):
        for (inline, uri), code in zip(contents, codes, strict=True):
            body = {"model": model, "instances": [inline, {"uri": uri}]}
            plain, read = client.post("/predict", body).json()["predictions"]
            assert plain == read
            assert read.get("error", {}).get("code") == code


def test_csv_output_has_the_rows_cells_and_outcomes(client, gcs: storage.Client, put: Callable[..., str]):
    cells = [
        ["a", "1"],
        ['say "hi", she said', "two\nlines"],
        ["one\rold\r\nmac", ""],
        ["naïve 日本 🎬", " x "],
        ["", ""],
    ]
    lines = [{"text": "a good film", "row": row} for row in cells]
    lines += [
        {"text": "", "row": ["b", "2"]},
        {"error": {"code": "odd_row", "message": "…"}, "row": ["c", "3"]},
        {"uri": 7},
    ]
    source = put("table.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    answer = client.post(
        "/predict-shard", {"input": source, "output": "gs://work/shards/table.out.csv", "format": "csv"}
    ).json()
    assert answer["failed"] == {"empty": 1, "odd_row": 1, "invalid_instance": 1}
    written = content(gcs, "gs://work/shards/table.out.csv")
    plain = client.post("/predict", {"text": "a good film"}).json()["predictions"][0]
    found = rows(written)
    assert [row[:2] for row in found[:5]] == cells
    assert {row[2] for row in found[:5]} == {plain["label"]}
    assert [float(row[3]) for row in found[:5]] == pytest.approx([plain["score"]] * 5, abs=1e-5)
    assert [row[4:] for row in found[:5]] == [["", ""]] * 5
    assert found[5:] == [
        ["b", "2", "", "", "empty", ""],
        ["c", "3", "", "", "odd_row", ""],
        ["", "", "invalid_instance", ""],
    ]
    assert b"\r\n" not in written.replace(b"one\rold\r\nmac", b"")
    assert gcs.bucket("work").get_blob("shards/table.out.csv").content_type.startswith("text/csv")


def test_score_columns_hold_the_score_of_every_label(client, gcs: storage.Client, put: Callable[..., str]):
    texts = ["a good film", "", "bad " * 100, "a film"]
    lines = [json.dumps({"text": text, "row": [text], "parameters": {"top_k": 1, "threshold": 0.9}}) for text in texts]
    lines[0] = json.dumps({"text": texts[0], "row": [texts[0]]})
    body = {"output": "gs://work/shards/scores/0.out.csv", "labels": "gs://work/shards/scores/labels.json"}
    body |= {"input": put("scores/0.jsonl", "\n".join(lines)), "format": "csv", "model": "moods"}
    answer = client.post("/predict-shard", {**body, "parameters": {"score_columns": True, "top_k": 1}})
    assert answer.json()["failed"] == {"empty": 1}
    assert json.loads(content(gcs, body["labels"])) == ["LABEL_0", "LABEL_1", "LABEL_2"]
    found = rows(content(gcs, body["output"]))
    assert [len(row) for row in found] == [8] * 4
    assert found[1] == ["", "", "", "empty", "", "", "", ""]
    for row in (found[0], found[2], found[3]):
        scores = dict(zip(["LABEL_0", "LABEL_1", "LABEL_2"], map(float, row[5:]), strict=True))
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
        assert max(scores, key=scores.__getitem__) == row[1]
        assert scores[row[1]] == float(row[2])


def test_labels_of_one_name_share_a_score_column(
    client, gcs: storage.Client, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    text, names = "a good film", ["crane", "heron", "crane"]
    body = {"input": put("cranes/0.jsonl", json.dumps({"text": text, "row": []})), "format": "csv", "model": "moods"}
    body |= {"output": "gs://work/shards/cranes/0.out.csv", "labels": "gs://work/shards/cranes/labels.json"}
    scores = client.post("/predict", {"text": text, "model": "moods"}).json()["predictions"][0]["scores"]
    monkeypatch.setattr(client.app.service.catalog.models["moods@2"].task, "labels", names)
    monkeypatch.setattr(client.app.service.catalog.models["moods@2"], "labels", names)
    assert client.post("/predict-shard", {**body, "parameters": {"score_columns": True}}).status_code == 200
    assert json.loads(content(gcs, body["labels"])) == ["crane", "heron"]
    ((_, _, _, _, crane, heron),) = rows(content(gcs, body["output"]))
    assert float(crane) == pytest.approx(max(scores["LABEL_0"], scores["LABEL_2"]), abs=1e-5)
    assert float(heron) == pytest.approx(scores["LABEL_1"], abs=1e-5)


def test_shards_of_a_batch_have_the_same_score_columns(client, gcs: storage.Client, put: Callable[..., str]):
    labels = put("changed/labels.json", '["LABEL_1","LABEL_0"]')
    body = {"input": put("changed/1.jsonl", '{"text": "a film", "row": []}'), "labels": labels, "model": "moods"}
    body |= {"output": "gs://work/shards/changed/1.out.csv", "format": "csv", "parameters": {"score_columns": True}}
    answer = client.post("/predict-shard", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "storage_failed")
    assert gcs.bucket("work").get_blob("shards/changed/1.out.csv") is None


@pytest.mark.parametrize("change", [{"model": None}, {"format": "jsonl"}], ids=str)
def test_score_columns_require_a_model_and_csv(client, put: Callable[..., str], change: dict[str, Any]):
    body = {
        "input": put("none.jsonl", ""),
        "output": "gs://work/shards/none.out.csv",
        "format": "csv",
        "model": "moods",
    }
    answer = client.post("/predict-shard", body | {"parameters": {"score_columns": True}} | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_parameters")


def test_truncated_confident_and_doubtful_records_are_counted(client, gcs: storage.Client, put: Callable[..., str]):
    score = client.post("/predict", {"text": "a good film"}).json()["predictions"][0]["score"]
    lines = [json.dumps({"text": text}) for text in ("a good film", "film " * 100, "")]
    lines.append(json.dumps({"text": "a good film", "parameters": {"high_confidence": 0, "requires_review": 1}}))
    body = {"input": put("count.jsonl", "\n".join(lines)), "output": "gs://work/shards/count.out.jsonl"}
    limits = {"high_confidence": 1, "requires_review": 0}
    answer = client.post("/predict-shard", body | {"parameters": limits}).json()
    assert 0 < score < 1
    assert (answer["truncated"], answer["high_confidence"], answer["requires_review"]) == (1, 1, 1)
    assert answer["parameters"].items() >= limits.items()
    again = client.post("/predict-shard", body | {"parameters": limits}).json()
    assert again == answer | {"timing": again["timing"]}


def test_the_metadata_stays_within_the_limit_of_an_object(client, gcs: storage.Client, put: Callable[..., str]):
    lines = [json.dumps({"error": {"code": f"{n:03}".rjust(64, "x"), "message": ""}}) for n in range(500)]
    source, target = put("codes/" + "n" * 900, "\n".join(lines)), "gs://work/shards/codes.out"
    failed = client.post("/predict-shard", {"input": source, "output": target}).json()["failed"]
    assert sum(failed.values()) == 500
    assert failed["other"] == 500 - (len(failed) - 1)
    metadata = gcs.bucket("work").get_blob("shards/codes.out").metadata
    assert sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) < 8 * 1024


TEXTS = st.lists(st.sampled_from(["good", "bad", "dull", "joy", "not"]), min_size=1, max_size=9).map(" ".join)
CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
RECORDS = st.lists(
    st.one_of(
        st.tuples(TEXTS.map(lambda text: {"text": text}), st.none()),
        st.tuples(st.sampled_from([{"text": ""}, {"text": " "}]), st.just("empty")),
        st.tuples(st.sampled_from([{"text": 7}, {"text": None}]), st.just("invalid_text")),
        st.tuples(st.sampled_from([{}, {"other": "good"}, {"uri": 1}]), st.just("invalid_instance")),
        st.tuples(st.just({"uri": "gs://other/x"}), st.just("bucket_not_allowed")),
        st.tuples(st.just({"error": {"code": "known", "message": "m"}}), st.just("known")),
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    records=RECORDS,
    row=st.lists(CELLS, min_size=1, max_size=3),
    window=st.integers(1, 9),
    form=st.sampled_from(["jsonl", "csv"]),
)
def test_any_lines_give_one_line_out_each(
    client, gcs: storage.Client, put: Callable[..., str], records: Any, row: list[str], window: int, form: str
):
    lines = [json.dumps({**line, "id": n, "row": [str(n), *row]}) for n, (line, _) in enumerate(records)]
    body = {"input": put("any.jsonl", "".join(line + "\n" for line in lines)), "output": "gs://work/shards/any.out"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "MAX_LINES", window)
        answer = client.post("/predict-shard", {**body, "offset": 10, "format": form}).json()
    codes = [code for _, code in records]
    assert (answer["records"], answer["succeeded"]) == (len(records), codes.count(None))
    assert answer["failed"] == {code: codes.count(code) for code in codes if code}
    instances = [line for line, code in records if code is None]
    alone = iter(client.post("/predict", {"instances": instances}).json()["predictions"] if instances else [])
    expected = [next(alone) if code is None else None for code in codes]
    scores = [each["score"] for each in expected if each]
    labels = [each["label"] if each else "" for each in expected]
    if form == "csv":
        found = rows(content(gcs, "gs://work/shards/any.out"))
        assert [cells[:-4] for cells in found] == [[str(n), *row] for n in range(len(records))]
        assert [(cells[-4], cells[-2]) for cells in found] == [(a, b or "") for a, b in zip(labels, codes, strict=True)]
        assert [float(cells[-3]) for cells in found if cells[-3]] == pytest.approx(scores, abs=1e-5)
        assert {cells[-1] for cells in found} <= {""}
    else:
        written = read(gcs, "gs://work/shards/any.out")
        assert [(line["index"], line["id"]) for line in written] == [(10 + n, n) for n in range(len(records))]
        assert [line.get("label", "") for line in written] == labels
        assert [line.get("error", {}).get("code") for line in written] == codes
        assert [line["score"] for line in written if "score" in line] == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"input": "gs://work/shards/nothing-here"}, 404, "object_not_found"),
        ({"input": "gs://other/x"}, 400, "bucket_not_allowed"),
        ({"output": "gs://other/x"}, 400, "bucket_not_allowed"),
        ({"input": "gs://input/x"}, 400, "bucket_not_allowed"),
        ({"input": "gs://work/staged/x"}, 400, "bucket_not_allowed"),
        ({"output": "gs://work/outcomes/x"}, 400, "bucket_not_allowed"),
        ({"output": "gs://work/shardsx/y"}, 400, "bucket_not_allowed"),
        ({"output": "gs://input/x"}, 400, "bucket_not_allowed"),
        ({"output": "gs://output/x"}, 400, "bucket_not_allowed"),
        ({"output": "work/x"}, 400, "invalid_uri"),
        ({"offset": -1}, 400, "malformed_request"),
        ({"offset": "0"}, 400, "malformed_request"),
        ({"format": "parquet"}, 400, "malformed_request"),
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"parameters": {"top_k": "5"}}, 400, "invalid_parameters"),
    ],
)
def test_a_shard_that_cannot_be_predicted_on(
    client, put: Callable[..., str], change: dict[str, Any], status: int, code: str
):
    body = {"input": put("fine.jsonl", '"good"\n'), "output": "gs://work/shards/fine.out", **change}
    answer = client.post("/predict-shard", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_an_empty_shard_has_an_empty_output(client, gcs: storage.Client, put: Callable[..., str]):
    answer = client.post(
        "/predict-shard", {"input": put("empty.jsonl", ""), "output": "gs://work/shards/empty.out"}
    ).json()
    assert (answer["records"], answer["failed"]) == (0, {})
    assert read(gcs, "gs://work/shards/empty.out") == []


def test_instances_may_be_objects_in_storage(client, put: Callable[..., str]):
    text, picture = put("note.txt", "a good film", "input"), put("dot.png", PNG.getvalue(), "input")
    instances = [{"uri": text}, {"uri": picture}, {"uri": "gs://other/x"}, {"uri": "gs://input/missing"}, {"uri": "x"}]
    predictions = client.post("/predict", {"instances": instances}).json()["predictions"]
    codes = [prediction.get("error", {}).get("code") for prediction in predictions]
    assert codes == [None, None, "bucket_not_allowed", "object_not_found", "invalid_uri"]
    inline = client.post("/predict", {"text": "a good film"}).json()["predictions"][0]
    assert predictions[0]["score"] == pytest.approx(inline["score"], abs=1e-5)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp1252"]
)
def test_texts_in_storage_are_read_in_the_encodings_of_single_uploads(client, put: Callable[..., str], encoding: str):
    text = "a good film, très long – not dull"
    uri = put(f"{encoding}.txt", text.encode(encoding), "input")
    found = client.post("/predict", {"instances": [{"uri": uri}, text]}).json()["predictions"]
    assert found[0]["score"] == pytest.approx(found[1]["score"], abs=1e-6)


@pytest.mark.parametrize(
    ("model", "code"), [("moods", "undecodable"), ("shapes", "corrupt_image"), (None, "corrupt_image")]
)
@pytest.mark.parametrize("data", [b"\x00\x01\x02binary", b"\x01\x02\x03\x04\x05", bytes(range(256))])
def test_an_object_other_than_text_is_refused_by_a_text_model(
    client, put: Callable[..., str], data: bytes, model: str | None, code: str
):
    body = {"instances": [{"uri": put("noise", data, "input")}], "model": model}
    assert client.post("/predict", body).json()["predictions"][0]["error"]["code"] == code


@pytest.mark.parametrize("data", [b"", b" \n\t", b"\xef\xbb\xbf", " \n".encode("utf-16"), "  ".encode("utf-16-be")])
def test_an_object_without_words_is_an_empty_text(client, put: Callable[..., str], data: bytes):
    uri = put("nothing", data, "input")
    assert client.post("/predict", {"instances": [{"uri": uri}]}).json()["predictions"][0]["error"]["code"] == "empty"


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "JPEG", "WEBP"])
def test_without_a_model_an_image_in_storage_is_an_image(client, put: Callable[..., str], kind: str):
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(encoded, kind)
    uri = put(f"dot.{kind}", encoded.getvalue(), "input")
    assert client.post("/predict", {"instances": [{"uri": uri}]}).json()["model"]["name"] == "shapes"


def test_an_image_whose_bytes_would_decode_as_utf_16_is_an_image(client, put: Callable[..., str]):
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(encoded, "BMP")
    bitmap = encoded.getvalue()
    decodable = bitmap[:54] + "a good film, and not dull ".encode("utf-16-le") * 50
    body = {"instances": [{"uri": put("wide.bmp", decodable, "input")}]}
    assert client.post("/predict", body).json()["model"]["name"] == "shapes"


@pytest.mark.parametrize("name", ["BM, a film.txt", "GIF.txt", "MM.txt"])
def test_a_text_that_begins_like_an_image_is_a_text(client, put: Callable[..., str], name: str):
    uri = put(name, f"{name}: a good film", "input")
    assert client.post("/predict", {"instances": [{"uri": uri}]}).json()["model"]["name"] == "moods"


@pytest.mark.parametrize(
    "name", ["notes/a#1?x=ü%20 +.txt", "/a.txt", "a//b.txt", "a/../b.txt", "../work/a.txt", "a.txt#1", "%2e%2e/a.txt"]
)
def test_any_object_name_can_be_an_instance(client, put: Callable[..., str], name: str):
    uri = put(name, "a good film", "input")
    assert "label" in client.post("/predict", {"instances": [{"uri": uri}]}).json()["predictions"][0]


FOREIGN = {
    "gs://output/x": "bucket_not_allowed",
    "gs://work/x": "bucket_not_allowed",
    "gs://work/shards/own.jsonl": "bucket_not_allowed",
    "gs://work/staged": "bucket_not_allowed",
    "gs://work/stagedx/y": "bucket_not_allowed",
    "gs://work//staged/x": "bucket_not_allowed",
    "gs://INPUT/x": "bucket_not_allowed",
    "gs://%69nput/x": "bucket_not_allowed",
    "gs://input%2Fx/y": "bucket_not_allowed",
    "gs://input:80/x": "bucket_not_allowed",
    "gs://user@input/x": "bucket_not_allowed",
    "gs://../input/x": "bucket_not_allowed",
    "GS://input/x": "invalid_uri",
    " gs://input/x": "invalid_uri",
    "gs:///input/x": "invalid_uri",
    "gs://input": "invalid_uri",
    "gs://input/": "invalid_uri",
    "gs://input/.": "invalid_uri",
    "gs://input/..": "invalid_uri",
    "gs://input/" + "x" * 1025: "invalid_uri",
}


def test_instances_lie_in_the_input_bucket_or_are_staged_by_the_pipeline(
    client, gcs: storage.Client, put: Callable[..., str]
):
    put("own.jsonl", '"good"\n')
    gcs.bucket("work").blob("staged/job/000.txt").upload_from_string("a good film")
    instances = [{"uri": uri} for uri in ("gs://work/staged/job/000.txt", *FOREIGN)]
    staged, *refused = client.post("/predict", {"instances": instances}).json()["predictions"]
    assert "label" in staged
    assert dict(zip(FOREIGN, (prediction["error"]["code"] for prediction in refused), strict=True)) == FOREIGN


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; a=application/json"]
)
def test_a_web_page_cannot_post_a_shard_without_a_preflight(
    client, gcs: storage.Client, put: Callable[..., str], content_type: str | None
):
    name = f"page-{content_type!r:.12}"
    body = json.dumps({"input": put(f"{name}.jsonl", '"good"\n'), "output": f"gs://work/shards/{name}.out"})
    headers = {} if content_type is None else {"content-type": content_type}
    answer = client.post("/predict-shard", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert gcs.bucket("work").get_blob(f"shards/{name}.out") is None
    accepted = client.post("/predict-shard", content=body, headers={"content-type": "Application/JSON; charset=utf-8"})
    assert accepted.status_code == 200


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_truncated_texts_are_marked(client, gcs: storage.Client, put: Callable[..., str], form: str):
    texts = ["film " * 100, "a good film", "film " * 20_000, ""]
    lines = [json.dumps({"text": text, "row": ["x"]}) for text in texts]
    body = {"input": put("long.jsonl", "\n".join(lines)), "output": f"gs://work/shards/long.out.{form}", "format": form}
    client.post("/predict-shard", body)
    if form == "csv":
        assert [row[-1] for row in rows(content(gcs, body["output"]))] == ["true", "", "true", ""]
    else:
        assert [line.get("truncated") for line in read(gcs, body["output"])] == [True, None, True, None]


def test_a_device_that_fails_on_most_records_writes_no_shard(client, gcs: storage.Client, put: Callable[..., str]):
    source = put("sick.jsonl", '{"text": "a good film"}\n' * 20 + '{"text": ""}\n' * 5)
    request = {"input": source, "output": "gs://work/shards/sick.out.jsonl", "offset": 0}
    network = client.app.service.catalog.models["moods@2"].network
    words = network.words.clone()
    network.words.fill_(float("nan"))  # as memory that went bad would
    try:
        answer = client.post("/predict-shard", request)
    finally:
        network.words.copy_(words)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert gcs.bucket("work").get_blob("shards/sick.out.jsonl") is None
    assert client.post("/predict-shard", request).json()["succeeded"] == 20


@pytest.mark.parametrize("named", [{"model": "moods"}, {}])
def test_a_parameter_that_applies_to_none_of_the_models_is_refused(
    client, gcs: storage.Client, put: Callable[..., str], named: dict[str, str]
):
    body = {"input": put("labels.jsonl", '"good"\n'), "output": "gs://work/shards/labels.out", **named}
    refused = client.post("/predict-shard", {**body, "parameters": {"labels": ["a"]}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_parameters")
    assert gcs.bucket("work").get_blob("shards/labels.out") is None


def test_it_is_known_whether_an_earlier_attempt_had_written_the_output(
    client, gcs: storage.Client, put: Callable[..., str]
):
    wanted = shard.Shard(put("again.jsonl", '"good"\n'), "gs://work/shards/again.out")
    service = client.app.service
    entry = service.catalog.find("moods")
    attempts = [client.runner.run(prediction.predict(service, wanted, entry, {})) for _ in range(2)]
    assert [was_finished for _, was_finished in attempts] == [False, True]
    metadata = gcs.bucket("work").get_blob("shards/again.out").metadata
    names = ("input", "offset", "model", "parameters", "format", "dialect", "summary")
    assert metadata.keys() == {f"shard-{name}" for name in names}
    assert metadata["shard-offset"] == "0"


def test_lines_may_have_pairs_of_texts(client, gcs: storage.Client, put: Callable[..., str]):
    lines = [{"text": "good", "text_pair": "dull film"}, {"text": "good"}, {"text_pair": "dull film"}]
    target = "gs://work/shards/pairs.out"
    client.post("/predict-shard", {"input": put("pairs.jsonl", "\n".join(map(json.dumps, lines))), "output": target})
    pair, text, wrong = map(json.loads, gcs.bucket("work").blob("shards/pairs.out").download_as_bytes().splitlines())
    expected, _ = client.post("/predict", {"instances": lines[:2]}).json()["predictions"]
    assert pair["scores"] == pytest.approx(expected["scores"], abs=1e-5)
    assert pair["scores"] != text["scores"]
    assert wrong["error"]["code"] == "invalid_instance"


def test_a_summary_that_is_too_long_leaves_out_the_labels_alone(
    gcs: storage.Client, put: Callable[..., str], start_client: Callable[[Settings], Client], tmp_path: Path
):
    entry = {"name": "topics", "task": "zero-shot-classification", "source": str(entailer(tmp_path / "model", "bert"))}
    (tmp_path / "models.json").write_text(json.dumps({"p": [entry]}))
    client = start_client(Settings(profile=None, models=tmp_path / "models.json", device="cpu", work_bucket="work"))
    body = {"input": put("topics.jsonl", '"good"\n'), "output": "gs://work/shards/topics.out", "model": "topics"}
    labels = [f"{number} " * 40 for number in range(100)]
    answer = client.post("/predict-shard", {**body, "parameters": {"labels": labels, "requires_review": 0.25}})
    again = client.post("/predict-shard", {**body, "parameters": {"labels": labels, "requires_review": 0.25}})
    client.close()
    assert answer.json()["parameters"]["labels"] == labels
    kept = json.loads(gcs.bucket("work").get_blob("shards/topics.out").metadata["shard-summary"])["parameters"]
    assert kept == again.json()["parameters"] == {"high_confidence": 0.8, "requires_review": 0.25}
