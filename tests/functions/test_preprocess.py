"""preprocess, served by functions-framework: each kind's instances, shards, refusals and malformed requests."""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from pipeline.inputs import recognition
from pipeline.jobs.job import Input, Job, of_message, of_object
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, published

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def preprocess(function: Function) -> FlaskClient:
    return function("preprocess")


def argument(cloud: Cloud, name: str, data: bytes | str, kind: str, **parameters: Any) -> dict[str, Any]:
    blob = cloud.upload(name, data)
    source = Input(cloud.input.name, name, blob.generation, blob.size, blob.content_type)
    job = of_object(cloud.input.name, name, blob.generation)
    document = f"{name}/{blob.generation}"
    return Job(job, document, "1", "2026-01-01T00:00:00Z", source, kind, None, parameters).argument()


def noise(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((side, side), 90).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def answered(preprocess: FlaskClient, body: dict[str, Any]) -> dict[str, Any]:
    response = preprocess.post("/", json=body)
    assert response.status_code == 200, response.text
    assert response.json is not None
    answer: dict[str, Any] = response.json
    return answer


def refused(preprocess: FlaskClient, body: dict[str, Any]) -> str:
    response = preprocess.post("/", json=body)
    assert response.status_code == 422, response.text
    assert response.json is not None
    assert response.json["error"]["message"].endswith(".")
    code: str = response.json["error"]["code"]
    return code


def lines(cloud: Cloud, answer: dict[str, Any]) -> list[str]:
    assert answer["shards"] == 1
    name = f"{answer['prefix']}0.jsonl".removeprefix(f"gs://{cloud.work.name}/")
    return cloud.work.blob(name).download_as_bytes().decode().splitlines()


# --- text ------------------------------------------------------------------------------------------


def test_a_text_is_one_instance(cloud: Cloud, preprocess: FlaskClient) -> None:
    body = argument(cloud, "a.txt", "Schöne Grüße".encode("utf-16"), "text")
    assert answered(preprocess, body) == {
        "mode": "single",
        "instances": [{"text": "Schöne Grüße"}],
        "parameters": {},
        "revision": "local",
    }


def test_the_revision_is_cloud_run_s(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_REVISION", "preprocess-00007-abc")
    body = argument(cloud, "a.txt", "Hello", "text")
    assert answered(function("preprocess"), body)["revision"] == "preprocess-00007-abc"


def test_a_long_text_travels_by_reference(cloud: Cloud, preprocess: FlaskClient) -> None:
    text = "äöü word " * 9_000
    (instance,) = answered(preprocess, argument(cloud, "a.txt", text, "text"))["instances"]
    name = instance["uri"].removeprefix(f"gs://{cloud.work.name}/")
    staged = cloud.work.get_blob(name)
    assert staged.download_as_bytes().decode() == text
    assert "pipeline-job" in staged.metadata


def test_undecodable_text_is_refused(cloud: Cloud, preprocess: FlaskClient) -> None:
    assert refused(preprocess, argument(cloud, "a.txt", b"a\x00b\x00\x01", "text")) == "undecodable"
    damaged = b"plain ASCII " * 10_000 + b"\xff\xfe\xfd"
    assert refused(preprocess, argument(cloud, "b.txt", damaged, "text")) == "undecodable"


def test_an_input_that_is_gone_is_refused(cloud: Cloud, preprocess: FlaskClient) -> None:
    body = argument(cloud, "a.txt", "Hello", "text")
    cloud.upload("a.txt", "another generation")
    assert refused(preprocess, body) == "input_gone"


# --- images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", sorted((SAMPLES / "images").iterdir()), ids=lambda path: path.name)
def test_an_image_travels_by_reference(cloud: Cloud, preprocess: FlaskClient, sample: Path) -> None:
    body = argument(cloud, sample.name, sample.read_bytes(), "image")
    assert answered(preprocess, body)["instances"] == [
        {"uri": f"gs://{cloud.input.name}/{sample.name}", "generation": body["input"]["generation"]}
    ]
    assert not list(cloud.work.list_blobs(prefix="staged/"))


def test_an_image_that_is_gone_is_refused(cloud: Cloud, preprocess: FlaskClient) -> None:
    body = argument(cloud, "a.png", noise(40), "image")
    cloud.upload("a.png", noise(30))
    assert refused(preprocess, body) == "input_gone"


def test_a_packed_image_travels_unpacked(cloud: Cloud, preprocess: FlaskClient) -> None:
    small, large = noise(20), noise(400)
    (instance,) = answered(preprocess, argument(cloud, "a.png.gz", gzip.compress(small), "image"))["instances"]
    assert base64.b64decode(instance["image"]["b64"]) == small
    (instance,) = answered(preprocess, argument(cloud, "b.png.gz", gzip.compress(large), "image"))["instances"]
    name = instance["uri"].removeprefix(f"gs://{cloud.work.name}/")
    assert cloud.work.blob(name).download_as_bytes() == large


LONG = {
    "text": ("a.txt", b"word " * 40_000),
    "table": ("a.csv", b"text\n" + b"a good film\n" * 20_000),
    "records": ("a.jsonl", b'{"text": "a good film"}\n' * 10_000),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("kind", LONG)
def test_an_object_longer_than_the_limit_is_refused_whatever_size_is_stated(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, kind: str, packed: bool
) -> None:
    name, data = LONG[kind]
    monkeypatch.setenv(f"MAX_{kind.upper()}_BYTES", "100000")
    stored = gzip.compress(data, compresslevel=0) if packed else data
    body = argument(cloud, f"{name}.gz" if packed else name, stored, kind)
    body["input"]["size"] = 70_000
    assert refused(function("preprocess"), body) == "too_large"


def test_an_image_of_too_many_bytes_is_refused(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_IMAGE_BYTES", "1000")
    preprocess = function("preprocess")
    assert refused(preprocess, argument(cloud, "a.png", noise(400), "image")) == "too_large"
    packed = gzip.compress(bytes(4000))
    assert refused(preprocess, argument(cloud, "a.png.gz", packed, "image")) == "decompression_bomb"


# --- messages --------------------------------------------------------------------------------------


def message(cloud: Cloud, function: Function, instances: list[dict[str, Any]]) -> dict[str, Any]:
    data = json.dumps({"instances": instances}).encode()
    assert function("on_message").post("/", **published(data)).status_code == 200
    (started,) = cloud.executions.arguments
    return started


def test_staged_texts_are_the_instances(cloud: Cloud, function: Function) -> None:
    texts = [{"text": "A delight."}, {"text": "Dull."}]
    assert answered(function("preprocess"), message(cloud, function, texts))["instances"] == texts


def test_pairs_of_texts_are_instances_or_staged_together(cloud: Cloud, function: Function) -> None:
    pairs = [{"text": "joy", "text_pair": "a film"}, {"text": "long \u00fc", "text_pair": "text " * 20_000}]
    first, second = answered(function("preprocess"), message(cloud, function, pairs))["instances"]
    assert first == pairs[0]
    name = second["uri"].removeprefix(f"gs://{cloud.work.name}/")
    assert name == f"staged/{of_message('messages', '1001')}/001.pair.json"
    assert json.loads(cloud.work.blob(name).download_as_bytes()) == pairs[1]


def test_the_images_of_a_message_are_sent_as_they_are(cloud: Cloud, function: Function) -> None:
    contents = [noise(20), noise(400)]
    images = [{"image": {"b64": base64.b64encode(content).decode()}} for content in contents]
    first, second = answered(function("preprocess"), message(cloud, function, images))["instances"]
    assert first == images[0]
    name = second["uri"].removeprefix(f"gs://{cloud.work.name}/")
    assert cloud.work.blob(name).download_as_bytes() == contents[1]


def test_the_instances_stay_within_the_total_budget(cloud: Cloud, function: Function) -> None:
    texts = [{"text": f"{index} " + "x" * 5000} for index in range(40)]
    answer = answered(function("preprocess"), message(cloud, function, texts))
    assert len(json.dumps(answer)) < 80 * 1024
    assert answer["instances"][0] == texts[0]
    name = answer["instances"][39]["uri"].removeprefix(f"gs://{cloud.work.name}/")
    assert name == f"staged/{of_message('messages', '1001')}/039.txt"
    assert cloud.work.blob(name).download_as_bytes().decode() == texts[39]["text"]


# --- records ---------------------------------------------------------------------------------------


def test_a_record_may_have_parameters_of_its_own(cloud: Cloud, preprocess: FlaskClient) -> None:
    own = [{"top_k": 1.0}, {}, None, {"topk": 1}, {"text_column": "a"}, {"max_length": 4}, "top_k"]
    data = "".join(json.dumps({"text": "a", "id": id, "parameters": value}) + "\n" for id, value in enumerate(own))
    data += json.dumps({"image": {"b64": "x"}, "parameters": {"max_length": 16}}) + "\n"
    data += json.dumps({"uri": f"gs://{cloud.input.name}/c", "parameters": {"max_length": 16}})
    records = [
        json.loads(line) for line in lines(cloud, answered(preprocess, argument(cloud, "a.jsonl", data, "records")))
    ]
    assert records[:3] == [
        {"text": "a", "id": 0, "parameters": {"top_k": 1}},
        *({"text": "a", "id": id} for id in (1, 2)),
    ]
    assert [record["error"]["code"] for record in records[3:8]] == ["invalid_parameters"] * 5
    assert [record.get("id") for record in records[3:8]] == [3, 4, 5, 6, None]
    assert records[8]["parameters"] == {"max_length": 16}


def test_a_pair_of_texts_is_passed_on(cloud: Cloud, preprocess: FlaskClient) -> None:
    pairs = [{"text": "a", "text_pair": "b"}, {"text": "a", "text_pair": None}, {"text": "a"}]
    data = "".join(json.dumps(pair) + "\n" for pair in pairs)
    found = lines(cloud, answered(preprocess, argument(cloud, "a.jsonl", data, "records")))
    assert [json.loads(line) for line in found] == [{"text": "a", "text_pair": "b"}, {"text": "a"}, {"text": "a"}]
    chosen = argument(cloud, "b.jsonl", data, "records", text_column="text")
    assert [json.loads(line) for line in lines(cloud, answered(preprocess, chosen))] == [{"text": "a"}] * 3


def test_only_the_gpu_service_s_parameters_are_passed_on(cloud: Cloud, preprocess: FlaskClient) -> None:
    text = argument(cloud, "a.txt", "Hello", "text", top_k=2, high_confidence=0.9)
    assert answered(preprocess, text)["parameters"] == {"top_k": 2, "high_confidence": 0.9}
    table = argument(cloud, "a.csv", "id,review\n1,I liked it a lot\n", "table", text_column="review", top_k=2)
    assert answered(preprocess, table)["parameters"] == {"top_k": 2}


def test_json_lines_become_a_shard(cloud: Cloud, preprocess: FlaskClient) -> None:
    data = (
        '\ufeff{"id": 1, "text": "a", "row": 5}\r\n\r\n{"text": 7}\n{"image": {"b64": "x"}}\nnot json\n'
        f'{{"uri": "gs://{cloud.input.name}/c", "generation": 5}}\n17'
    )
    body = argument(cloud, "a.jsonl", data, "records", top_k=2)
    answer = answered(preprocess, body)
    size = answer.pop("records_per_shard")
    assert size > 6
    assert answer == {
        "mode": "batch",
        "prefix": f"gs://{cloud.work.name}/shards/{body['job']}/",
        "shards": 1,
        "records": 6,
        "format": "jsonl",
        "dialect": {},
        "model": None,
        "parameters": {"top_k": 2},
        "tasks": 1,
        "revision": "local",
    }
    first, second, third, bad, uri, number = map(json.loads, lines(cloud, answer))
    assert first == {"text": "a", "id": 1}
    assert (second, third) == ({"text": 7}, {"image": {"b64": "x"}})
    assert bad["error"]["code"] == "invalid_json"
    assert (uri, number) == ({"uri": f"gs://{cloud.input.name}/c", "generation": 5}, 17)
    index = json.loads(cloud.work.blob(f"shards/{body['job']}/index.json").download_as_bytes())
    assert index == {key: value for key, value in answer.items() if key not in ("mode", "revision")} | {
        "records_per_shard": size
    }


def test_a_single_json_line_is_one_record(cloud: Cloud, preprocess: FlaskClient) -> None:
    answer = answered(preprocess, argument(cloud, "a.jsonl", '{"text": "a single line"}\n', "records"))
    assert answer["records"] == 1


def test_another_field_may_be_requested(cloud: Cloud, preprocess: FlaskClient) -> None:
    body = argument(cloud, "a.jsonl", '{"review": "a", "text": "b"}\n{"text": "b"}\n', "records", text_column="review")
    first, second = map(json.loads, lines(cloud, answered(preprocess, body)))
    assert first == {"text": "a"}
    assert second["error"]["code"] == "no_usable_column"
    assert second["error"]["message"] == "The record has no field 'review'. Its fields are text."


def test_a_json_document_s_instances_become_a_shard(cloud: Cloud, preprocess: FlaskClient) -> None:
    document = json.dumps({"instances": [{"text": "a\nb"}, "c", 5]}, indent=1)
    body = argument(cloud, "a.json", document, "records")
    assert lines(cloud, answered(preprocess, body)) == ['{"text": "a\\nb"}', '{"text": "c"}', "5"]


def test_csv_rows_become_a_shard_in_order(cloud: Cloud, preprocess: FlaskClient) -> None:
    data = 'id;review\n1;"Good, really;\nvery good."\n2;\n\n3;None\n4\n5;# no comment\n'
    body = argument(cloud, "a.csv", data.encode("utf-16"), "table")
    answer = answered(preprocess, body)
    records = [json.loads(line) for line in lines(cloud, answer)]
    assert [record["text"] for record in records] == ["Good, really;\nvery good.", "", "None", "", "# no comment"]
    assert [record["row"][0] for record in records] == ["1", "2", "3", "4", "5"]
    assert (answer["records"], answer["format"]) == (5, "csv")
    header = cloud.work.blob(f"shards/{body['job']}/header.csv").download_as_bytes().decode()
    assert header == "\ufeffid;review;label;score;error;truncated\n"


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("# made\n#,by hand\nid,review\n#1,I liked it\n2,I did not\n", ["#1", "2"]),
        ("id,review\n# note\n1,I liked it\n\n#2,I did not\n", ["# note", "1", "#2"]),
        ('id,review\n"#1",I liked it\n"2",I did not\n', ["#1", "2"]),
        ("#1,I liked it a lot,5\n2,I did not like it,1\n3,I do not know,3\n", ["#1", "2", "3"]),
    ],
    ids=["comments above", "a note among the rows", "quoted", "no header"],
)
def test_rows_that_begin_with_a_number_sign_are_predicted_on(
    cloud: Cloud, preprocess: FlaskClient, data: str, rows: list[str]
) -> None:
    assert recognition.sniff(data.encode(), whole=True, name="a.csv", content_type=None) == "table"
    answer = answered(preprocess, argument(cloud, "a.csv", data, "table"))
    assert [json.loads(line)["row"][0] for line in lines(cloud, answer)] == rows


def test_the_cells_of_a_text_are_taken_literally(cloud: Cloud, preprocess: FlaskClient) -> None:
    body = argument(cloud, "a.csv", 'id,review\n1," I liked it a lot "\n2,I did not like it\n', "table")
    texts = [json.loads(line)["text"] for line in lines(cloud, answered(preprocess, body))]
    assert texts == [" I liked it a lot ", "I did not like it"]


def test_a_column_of_images_becomes_references(cloud: Cloud, preprocess: FlaskClient) -> None:
    uris = [f"gs://{cloud.input.name}/{name}.png" for name in "ab"]
    body = argument(cloud, "a.csv", f"id,file\n1,{uris[0]}\n2,{uris[1]}\n", "table")
    assert [json.loads(line)["uri"] for line in lines(cloud, answered(preprocess, body))] == uris


def uris(cloud: Cloud) -> dict[str, str | None]:
    """Addresses, and the code of those that a record may not have."""
    bucket = cloud.input.name
    own = ("x.txt", "/x", "a//b", "../x", "a/../../b", "%2e%2e/x", "x#123", "x?generation=1", "staged/x")
    foreign = (
        f"gs://{cloud.output.name}/results/x.json",
        f"gs://{cloud.work.name}/shards/j/0.jsonl",
        f"gs://{cloud.work.name}/staged/j/000.txt",
        f"gs://{bucket.upper()}/x",
        f"gs://{bucket}x/y",
        f"gs://{bucket}%2Fx/y",
        f"gs://%{ord(bucket[0]):x}{bucket[1:]}/x",
        f"gs://../{bucket}/x",
        f"gs://./{bucket}/x",
        f"gs://user@{bucket}/x",
        f"gs://{bucket}:443/x",
        f"gs:///{bucket}/x",
    )
    allowed: dict[str, str | None] = {f"gs://{bucket}/{name}": None for name in own}
    return allowed | dict.fromkeys(foreign, "foreign_bucket")


@pytest.mark.parametrize("form", ["lines", "document", "table"])
def test_a_record_refers_to_the_input_bucket_alone(cloud: Cloud, preprocess: FlaskClient, form: str) -> None:
    expected = uris(cloud)
    records = [{"uri": uri, "generation": 7, "id": number} for number, uri in enumerate(expected)]
    if form == "lines":
        body = argument(cloud, "a.jsonl", "".join(json.dumps(record) + "\n" for record in records), "records")
    elif form == "document":
        body = argument(cloud, "a.json", json.dumps({"instances": records}), "records")
    else:
        table = "id,file\n" + "".join(f"{record['id']},{record['uri']}\n" for record in records)
        body = argument(cloud, "a.csv", table, "table")
    found = [json.loads(line) for line in lines(cloud, answered(preprocess, body))]
    codes = [record.get("error", {}).get("code") for record in found]
    assert dict(zip(expected, codes, strict=True)) == expected
    if form == "table":
        assert [record["row"] for record in found] == [[str(n), uri] for n, uri in enumerate(expected)]
    else:
        assert [(record["id"], record["uri"]) for record in found] == list(enumerate(expected))


def test_a_column_may_be_requested(cloud: Cloud, preprocess: FlaskClient) -> None:
    data = "title,review\nOne fine day,I liked it a lot\nTwo fine days,I did not like it\n"
    body = argument(cloud, "a.csv", data, "table", text_column="Title")
    texts = [json.loads(line)["text"] for line in lines(cloud, answered(preprocess, body))]
    assert texts == ["One fine day", "Two fine days"]
    assert refused(preprocess, argument(cloud, "b.csv", data, "table", text_column="body")) == "no_usable_column"


def test_the_answer_names_the_column_and_the_others(cloud: Cloud, preprocess: FlaskClient) -> None:
    data = "id,title,review\n" + "".join(f"{n},Fine day number {n},I liked most of it on day {n}\n" for n in range(9))
    assert answered(preprocess, argument(cloud, "a.csv", data, "table"))["table"] == {
        "text_column": "review",
        "delimiter": ",",
        "considered": ["title"],
        "notes": ["Column 'review' was read. The parameter text_column selects another (title)."],
    }
    data = "image\n" + "".join(f"gs://{cloud.input.name}/{n}.png\n" for n in range(3))
    table = answered(preprocess, argument(cloud, "b.csv", data, "table"))["table"]
    assert table == {"image_column": "image", "delimiter": ",", "considered": [], "notes": []}


def test_a_shard_s_size_follows_the_records_and_the_time_for_it(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size(text: str, seconds: str) -> int:
        monkeypatch.setenv("SHARD_SECONDS", seconds)
        rows = "".join(f"{n},{text}\n" for n in range(2000))
        arg = argument(cloud, f"{len(text)}-{seconds}.csv", f"id,review\n{rows}", "table")
        size: int = answered(function("preprocess"), arg)["records_per_shard"]
        return size

    sentence = "I liked it a lot and more than that. "
    assert size(sentence, "1") > size(sentence * 10, "1") > size(sentence * 10, "0.1") > 1
    assert size(sentence, "1e9") <= 20_000


def test_a_json_document_on_one_line_is_not_one_record(cloud: Cloud, preprocess: FlaskClient) -> None:
    document = json.dumps({"instances": [{"text": "a good film"}] * 5000})
    answer = answered(preprocess, argument(cloud, "a.json", document, "records"))
    assert (answer["shards"], answer["records"]) == (1, 5000)


def test_records_input_without_records_is_refused(cloud: Cloud, preprocess: FlaskClient) -> None:
    assert refused(preprocess, argument(cloud, "a.json", '{"instances": []}', "records")) == "empty"


# --- malformed requests ----------------------------------------------------------------------------


def test_a_series_is_not_prepared_here(cloud: Cloud, preprocess: FlaskClient) -> None:
    response = preprocess.post("/", json=argument(cloud, "a.csv", "date,value\n", "timeseries"))
    assert response.status_code == 400


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_web_page_cannot_call_it_without_a_preflight(
    cloud: Cloud, preprocess: FlaskClient, content_type: str
) -> None:
    body = json.dumps(argument(cloud, "a.txt", "Hello", "text"))
    response = preprocess.post("/", data=body, content_type=content_type)
    assert response.status_code == 415
    assert response.get_json()["error"]["code"] == "unsupported_media_type"
    assert preprocess.post("/", data=body, content_type="application/json; charset=utf-8").status_code == 200


def test_another_bucket_is_not_read(cloud: Cloud, preprocess: FlaskClient) -> None:
    body = argument(cloud, "a.txt", "Hello", "text")
    body["input"]["bucket"] = cloud.output.name
    assert preprocess.post("/", json=body).status_code == 400
    body["input"] |= {"bucket": cloud.work.name, "name": "claims/x.json"}
    assert preprocess.post("/", json=body).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"job": None},
        {"document": 7},
        {"kind": "audio"},
        {"kind": None},
        {"input": None},
        {"input": []},
        {"input": {"bucket": "b"}},
        {"parameters": ["a"]},
        {"model": "sentiment"},
        {"trace": 7},
        {"received_at": ""},
    ],
    ids=str,
)
def test_a_malformed_argument_is_a_bad_request(cloud: Cloud, preprocess: FlaskClient, change: dict[str, Any]) -> None:
    body = argument(cloud, "a.txt", "Hello", "text") | change
    assert preprocess.post("/", json=body).status_code == 400


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"7", b"\xff"])
def test_a_body_other_than_an_object_is_a_bad_request(preprocess: FlaskClient, data: bytes) -> None:
    response = preprocess.post("/", data=data, content_type="application/json")
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"]["code"] == "malformed_request"


def test_only_post_is_answered(preprocess: FlaskClient) -> None:
    response = preprocess.get("/")
    assert response.status_code == 405
    assert response.json is not None


@pytest.mark.parametrize("path", ["/health", "/health/"])
def test_health_answers_get_without_an_input(preprocess: FlaskClient, path: str) -> None:
    response = preprocess.get(path)
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    assert preprocess.head(path).status_code == 200


def test_health_takes_no_input_and_other_paths_no_get(cloud: Cloud, preprocess: FlaskClient) -> None:
    assert preprocess.get("/healthy").status_code == 405
    assert preprocess.put("/health").status_code == 405


def test_storage_failures_get_503(cloud: Cloud, preprocess: FlaskClient) -> None:
    body = argument(cloud, "a.txt", "Hello", "text")
    cloud.fault("GET", "a.txt", status=403)
    assert preprocess.post("/", json=body).status_code == 503
    assert preprocess.post("/", json=body).status_code == 200


def test_an_internal_error_reveals_nothing_to_the_client(cloud: Cloud, preprocess: FlaskClient) -> None:
    staged = cloud.work.blob("messages/" + "0" * 32 + ".json")
    staged.upload_from_string("no JSON at all")
    body = argument(cloud, "a.txt", "Hello", "text") | {"job": "0" * 32}
    body["input"] |= {"bucket": cloud.work.name, "name": staged.name, "generation": str(staged.generation)}
    response = preprocess.post("/", json=body)
    assert response.status_code == 500
    assert response.json == {
        "error": {"code": "internal", "message": "The function failed; see its log for the reason."}
    }


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", '{"id": 1, "review": "It was a film"}\n"Only a string of it"\nbroken\n{"stars": 5}\n'),
        ("a.json", '[{"id": 1, "review": "It was a film"}, "Only a string of it", null, {"stars": 5}]'),
    ],
)
def test_records_without_a_text_are_read_by_another_field(
    cloud: Cloud, preprocess: FlaskClient, name: str, data: str
) -> None:
    answer = answered(preprocess, argument(cloud, name, data, "records"))
    first, second, _, last = (json.loads(line) for line in lines(cloud, answer))
    assert first == {"text": "It was a film", "id": 1}
    assert second == {"text": "Only a string of it"}
    assert last["error"]["message"] == "The record has no field 'review'. Its fields are stars."
    notes = ["The field 'review' was read: the records have no text, image or uri."]
    assert answer["table"] == {"text_column": "review", "considered": [], "notes": notes}


def test_a_requested_field_is_read_also_behind_a_very_long_first_line(cloud: Cloud, preprocess: FlaskClient) -> None:
    data = json.dumps({"photo": "a" * 100_000, "body": "one"}) + '\n{"body": "two"}\n'
    body = argument(cloud, "a.jsonl", data, "records", text_column="body")
    assert [json.loads(line) for line in lines(cloud, answered(preprocess, body))] == [{"text": "one"}, {"text": "two"}]


def test_a_header_of_two_rows_is_one_in_the_result(cloud: Cloud, preprocess: FlaskClient) -> None:
    data = "Reviewer,,Review,\nName,Age,Title,Text\n" + "".join(
        f"Ann {n},{n},Fine {n},I found it rather good\n" for n in range(12)
    )
    answer = answered(preprocess, argument(cloud, "a.csv", data, "table"))
    assert answer["records"] == 12
    assert answer["table"]["notes"][-1] == "The first 2 rows were read as the header."
    header = cloud.work.blob(answer["prefix"].split("/", 3)[3] + "header.csv").download_as_bytes()
    assert header == b"Reviewer Name,Reviewer Age,Review Title,Review Text,label,score,error,truncated\n"
