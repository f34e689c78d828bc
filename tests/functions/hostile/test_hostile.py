"""Hostile inputs, all through one worker with little memory: each ends with a stable code, in bounded time."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from deploy import inventory
from pipeline.errors import REASONS
from pipeline.settings import MAX_BYTES
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized

ROOT = Path(__file__).parents[3]
PEAK_MIB = {"on_upload": 250, "preprocess": 700}
SECONDS = 10
GOOD = b"What a wonderful film, I loved it."


def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((400, 400), 90).save(buffer, "JPEG")
    return buffer.getvalue()


def with_chunk(image: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return image[:33] + chunk + image[33:]


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("a.txt", "hello")
    return buffer.getvalue()


ROW = b"id,text\n" + b"".join(b"%d,It was a good film and I liked it\n" % number for number in range(3000))
LINES = b'{"text": "It was a good film"}\n' * 4000
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "' + b"b" * 9999 + b'">]><a>' + b"&b;" * 9999 + b"</a>"

CASES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    # what                          name, content, the code or the kind
    "as many pixels as allowed": ("a.png", lambda: png((7000, 7000)), "image"),
    "a gzip bomb": ("a.gz", lambda: gzip.compress(bytes(100 << 20), 1), "unknown_kind"),
    "a gzip bomb as text": ("a.txt", lambda: gzip.compress(bytes(100 << 20), 1), "undecodable"),
    "a JPEG cut off": ("a.jpg", lambda: jpeg()[:9000], "image"),
    "a JPEG's first bytes": ("a.jpg", lambda: jpeg()[:60], "image"),
    "image and archive": ("a.png", lambda: png((64, 64)) + archive(), "image"),
    "archive and image": ("a.png", lambda: archive() + png((64, 64)), "content_mismatch"),
    "GIF and script": ("a.gif", lambda: b"GIF89a/*" + b"\0" * 60 + b"*/=1;alert(1)" * 99, "image"),
    "PDF and image": ("a.png", lambda: b"%PDF-1.7\n" + png((8, 8)), "content_mismatch"),
    "a million columns": ("a.csv", lambda: b"a," * 1_000_000 + b"\n" + b"1," * 1_000_000, "invalid_csv"),
    "a million columns further on": ("a.csv", lambda: ROW + b"1," * 1_000_000 + b"\n", "table"),
    "a million quotes": ("a.csv", lambda: b'id,text\n1,"' + b'""' * 1_000_000, "table"),
    "a quote that never closes": (
        "a.csv",
        lambda: b'id,text\n1,"It was good\n' + b"2,so it was\n" * 300_000,
        "table",
    ),
    "a quote further on": ("a.csv", lambda: ROW + b'1,"' + b"so it was\n" * 300_000, "table"),
    "one endless line": ("a.csv", lambda: ROW + b"1," + b"a" * (20 << 20), "table"),
    "one endless JSON line": ("a.jsonl", lambda: LINES + b'{"text": "' + b"a" * (20 << 20), "records"),
    "NUL bytes": ("a.txt", lambda: b"hello\0world" * 1000, "undecodable"),
    "NUL bytes further on": ("a.txt", lambda: b"hello world " * 10_000 + bytes(50_000), "undecodable"),
    "a table of NUL bytes": ("a.csv", lambda: bytes(5 << 20), "undecodable"),
    "nested JSON": ("a.json", lambda: b"[" * 500_000, "invalid_json"),
    "nested instances": ("a.json", lambda: b'{"instances": ' + b"[" * 500_000 + b"]" * 500_000 + b"}", "invalid_json"),
    "nested further on": ("a.jsonl", lambda: LINES + b'{"text": ' * 100_000 + b"\n", "records"),
    "quotes within quotes": ("a.json", lambda: b'{"' + b'\\"' * 500_000, "invalid_json"),
    "quotes that never close": ("a.json", lambda: b'{"a": ' + b'"\\' * 500_000, "unknown_kind"),
    "endless digits": ("a.json", lambda: b'{"instances": [' + b"9" * 1_000_000 + b"]}", "invalid_json"),
    "a byte order mark alone": ("a.txt", lambda: b"\xff\xfe", "empty"),
    "half surrogates": ("a.txt", lambda: b"\xff\xfe" + b"\x00\xd8" * 100, "undecodable"),
    "entities": ("a.xml", lambda: ENTITIES, "unknown_kind"),
    "white space without end": ("a.txt", lambda: b" " * (1 << 20), "empty"),
    "a text too long": ("a.txt", lambda: b"a " * (1 << 19) + b"a", "too_large"),
    "a neighbour": ("good.txt", lambda: GOOD, "text"),
}
TRUNCATED = {"truncated_image", "corrupt_image"}


@dataclass
class Worker:
    """The response of a limited process, and the memory that it took."""

    answers: list[tuple[int, Any, float]]
    peak: int


def deployed(name: str) -> tuple[int, int]:
    """The memory of a function in MiB, and how many requests it handles at a time."""
    function = inventory.load({"project_id": "my-project"})["functions"][name.replace("_", "-")]
    number, unit = int(function["memory"][:-2]), function["memory"][-2:]
    return number * {"Mi": 1, "Gi": 1024}[unit], int(function["concurrency"])


def work(cloud: Cloud, name: str, requests: list[dict[str, Any]], concurrency: int = 1) -> Worker:
    env = os.environ | cloud.env | {"PYTHONPATH": "functions", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "tests/functions/hostile/worker.py", name, str(deployed(name)[0]), str(concurrency)],
        input="".join(json.dumps(request) + "\n" for request in requests),
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    lines = run.stdout.splitlines()
    answers = [json.loads(line.removeprefix("ANSWER ")) for line in lines if line.startswith("ANSWER ")]
    return Worker(answers, int(next(line for line in lines if line.startswith("PEAK ")).split()[1]))


@pytest.mark.release
def test_each_ends_with_its_code_within_the_worker_s_memory_and_time(cloud: Cloud) -> None:
    names = list(CASES)
    blobs = [cloud.upload(f"{index:02}/{CASES[name][0]}", CASES[name][1]()) for index, name in enumerate(names)]
    intake = work(cloud, "on_upload", [finalized(blob) for blob in blobs])
    assert [status for status, _, _ in intake.answers] == [200] * len(names), "every one is acknowledged"
    rejected = {document["input"]["name"]: document["reason"]["code"] for document in cloud.documents().values()}

    arguments = cloud.executions.arguments
    prepared = work(cloud, "preprocess", [{"json": argument} for argument in arguments])
    for argument, (status, body, _) in zip(arguments, prepared.answers, strict=True):
        rejected[argument["input"]["name"]] = argument["kind"] if status == 200 else body["error"]["code"]
        assert status in (200, 422), (argument["input"]["name"], status, body)

    ends = {name: rejected.get(blob.name, "nothing") for name, blob in zip(names, blobs, strict=True)}
    ends = {
        name: "truncated" if CASES[name][2] == "truncated" and end in TRUNCATED else end for name, end in ends.items()
    }
    assert ends == {name: case[2] for name, case in CASES.items()}
    slow = {name: seconds for name, (_, _, seconds) in zip(names, intake.answers, strict=True) if seconds > SECONDS}
    assert not slow
    assert max(seconds for _, _, seconds in prepared.answers) < SECONDS
    assert intake.peak < PEAK_MIB["on_upload"]
    assert prepared.peak < PEAK_MIB["preprocess"]


def test_a_gzip_encoded_object_is_unpacked_only_as_far_as_needed(cloud: Cloud, function: Function) -> None:
    blob = cloud.input.blob("a.txt")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(bytes(50 << 20), 1), "text/plain")
    cloud.faulty.requests.clear()
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "undecodable"


def test_what_is_too_large_is_refused_by_its_metadata(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in MAX_BYTES:
        monkeypatch.setenv(f"MAX_{kind.upper()}_BYTES", "7")
    blob = cloud.upload("a.csv", b"a,b\n1,2\n")
    cloud.faulty.requests.clear()
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "too_large"
    downloads = [target for method, target in cloud.faulty.requests if method == "GET" and "alt=media" in target]
    assert not [target for target in downloads if cloud.input.name in target]


NAMES = [
    "../../etc/passwd",
    "a/../b/./c",
    "//a//b",
    "a#b.txt",
    "a?b=c&d.txt",
    "a%2Fb%00.txt",
    "a b\tc.txt",
    "quote\"and'back\\slash`$(reboot).txt",
    "{braces} [brackets] *?.txt",
    "results/x.txt",
    unicodedata.normalize("NFC", "é.txt"),
    unicodedata.normalize("NFD", "é.txt"),
    "\u202egnp.txt",
    "\U0001f600" * 200,
    "n" * 1024,
    "é" * 512,
    "-rf",
    "\x7f\x1b[31m",
]


def test_names_are_never_interpreted(cloud: Cloud, function: Function) -> None:
    client = function("on_upload")
    for name in NAMES:
        assert client.post("/", **finalized(cloud.upload(name, GOOD))).status_code == 200, name
    arguments = cloud.executions.arguments
    assert [argument["input"]["name"] for argument in arguments] == NAMES
    assert len({argument["job"] for argument in arguments}) == len({a["document"] for a in arguments}) == len(NAMES)
    postprocess = function("postprocess")
    for argument in arguments:
        error = {"step": "predict", "status": 500, "code": "broken", "message": "m"}
        body = {"argument": argument, "lineage": {"execution": "e"}, "error": error}
        assert postprocess.post("/", json=body).status_code == 200, argument["input"]["name"]
    documents = cloud.documents()
    assert {document["input"]["name"] for document in documents.values()} == set(NAMES)
    assert all(name.startswith("failed/") and len(name.encode()) <= 1024 for name in documents)


@pytest.mark.parametrize("name", ["two\nlines.txt", "carriage\rreturn.txt", "half a \ud800 pair", "n" * 1025])
def test_a_name_that_no_object_can_have_is_refused(cloud: Cloud, function: Function, name: str) -> None:
    request = finalized(cloud.upload("a.txt", GOOD))
    body = json.dumps(request["json"] | {"name": name})
    assert function("on_upload").post("/", headers=request["headers"], data=body).status_code == 400
    assert not cloud.executions.created


def test_every_code_is_registered() -> None:
    kinds = {"image", "text", "table", "records", "truncated"}
    assert {case[2] for case in CASES.values()} <= {*REASONS, *kinds}
