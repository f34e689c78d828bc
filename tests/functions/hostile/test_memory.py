"""The largest accepted inputs, each in a process with the memory that its function is deployed with."""

import base64
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.formats.json_text import MAX_VALUES
from tests.functions.cloud import Cloud
from tests.functions.conftest import finalized, published
from tests.functions.hostile.test_hostile import deployed, work
from tests.functions.test_on_dead_letter import letter
from tests.functions.test_preprocess import argument

long = pytest.mark.release
MIB = 1 << 20


def image(form: str, mode: str, size: tuple[int, int], **options: Any) -> Callable[[], bytes]:
    def encode() -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, form, **options)
        return buffer.getvalue()

    return encode


def instances(unit: str, size: int, most: int = MAX_VALUES) -> bytes:
    """A document of as many instances as fit into a size in bytes and a number of values."""
    count = (
        min(size // (len(unit.encode()) + 1), most // (unit.count("{") + unit.count("[") + unit.count(",") + 1)) - 10
    )
    return ('{"instances":[' + ",".join([unit] * count) + "]}").encode()


def widened(data: bytes) -> bytes:
    """With a character for which Python keeps four bytes of every other one."""
    return data.replace(b"film", "\N{CLAPPER BOARD}".encode(), 1)


LINE = json.dumps({"text": "It was a good film, and I liked it"}).encode() + b"\n"
ROW = b"id,text\n" + b"1,It was a good film and I liked it\n" * 3000
NESTED = '{"text":' + "[" * 90 + "]" * 90 + "}"

Case = tuple[str, str, Callable[[], bytes], int]  # name of the object, kind, content, status
QUICK: dict[str, Case] = {
    "a packed image": ("a.png.gz", "image", lambda: gzip.compress(os.urandom(31 * MIB), 0), 200),
    "packed brackets": ("a.json", "records", lambda: gzip.compress(b'{"instances":' + b"[" * (31 * MIB)), 422),
    "packed shallow brackets": ("b.json", "records", lambda: gzip.compress(instances(NESTED, 31 * MIB, 1 << 60)), 422),
}
LONG: dict[str, Case] = {
    "records": ("a.json", "records", lambda: instances(LINE.decode().strip(), 32 * MIB), 200),
    "wide records": ("b.json", "records", lambda: widened(instances(LINE.decode().strip(), 32 * MIB)), 200),
    "objects": ("c.json", "records", lambda: instances('{"text":{"\u00e9c":1}}', 32 * MIB), 200),
    "lists": ("d.json", "records", lambda: instances("[[[[[]]]]]", 32 * MIB), 200),
    "strings": ("e.json", "records", lambda: instances('"\u00e9\u00e9"', 32 * MIB), 200),
    "long lines": (
        "a.jsonl",
        "records",
        lambda: LINE * 4000 + (b'{"text":"' + b"a" * (8 * MIB - 20) + b'"}\n') * 20,
        200,
    ),
    "wide lines": (
        "b.jsonl",
        "records",
        lambda: LINE * 4000 + ('{"text":"' + "\N{CLAPPER BOARD}" * (8 * MIB - 20) + '"}\n').encode() * 3,
        200,
    ),
    "packed lines": ("c.jsonl", "records", lambda: gzip.compress(LINE * 4000 + b"[" * (200 * MIB), 1), 200),
    "columns": (
        "a.csv",
        "table",
        lambda: b"text" + b",a" * 1999 + b"\n" + (b"good film" + b",1" * 1999 + b"\n") * 2000,
        200,
    ),
    "quotes": ("b.csv", "table", lambda: ROW + b'x"y,"z\n' * 100_000, 200),
    "long rows": ("c.csv", "table", lambda: ROW + (b'1,"' + b"a" * 131_000 + b'"\n') * 300, 200),
    "packed table": ("d.csv", "table", lambda: gzip.compress(ROW + b"1," + b"a" * (200 * MIB), 1), 200),
}


def check(cloud: Cloud, cases: dict[str, Case]) -> None:
    """Prepares each in one process, whose memory is that of all: what is not freed adds up."""
    memory, concurrency = deployed("preprocess")
    arguments = [argument(cloud, f"{n}/{name}", data(), kind) for n, (name, kind, data, _) in enumerate(cases.values())]
    worker = work(cloud, "preprocess", [{"json": each} for each in arguments], concurrency)
    found = {name: status for name, (status, _, _) in zip(cases, worker.answers, strict=True)}
    assert found == {name: case[-1] for name, case in cases.items()}
    assert worker.peak < memory


@pytest.mark.long
def test_preprocess_within_its_memory(cloud: Cloud) -> None:
    check(cloud, QUICK)


@long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LONG)
def test_preprocess_within_its_memory_with_the_largest_inputs(cloud: Cloud, name: str) -> None:
    check(cloud, {name: LONG[name]})


MESSAGES: dict[str, Callable[[Cloud], bytes]] = {
    "wide text": lambda _: json.dumps(
        {"instances": [{"text": "\N{CLAPPER BOARD}" * (2 * MIB - 40)}]}, ensure_ascii=False
    ).encode(),
    "texts": lambda _: widened(json.dumps({"instances": [{"text": "film " * 13_000}] * 125}).encode()),
    "brackets": lambda _: b"[" * (8 * MIB - 1),
    "objects": lambda _: instances('{"\u00e9b":{"\u00e9c":1}}', 8 * MIB - 100),
    "a manifest": lambda cloud: json.dumps(
        {"id": "m", "inputs": [{"uri": f"gs://{cloud.input.name}/{n:09}.png", "id": n} for n in range(100_000)]}
    ).encode(),
    "not JSON": lambda _: b"\xf0" * (8 * MIB - 1),
}


def send(cloud: Cloud, folder: Path, function: str, requests: list[dict[str, Any]]) -> None:
    memory, concurrency = deployed(function)
    for index, request in enumerate(requests):
        (folder / str(index)).write_bytes(json.dumps(request.pop("json")).encode())
        request["file"] = str(folder / str(index))
        request["headers"] |= {"Content-Type": "application/json"}
    worker = work(cloud, function, requests, concurrency)
    assert {status for status, _, _ in worker.answers} <= {200}, worker.answers
    assert worker.peak < memory


@long
@pytest.mark.parametrize("name", MESSAGES)
def test_on_message_within_its_memory(cloud: Cloud, tmp_path: Path, name: str) -> None:
    data = base64.b64encode(MESSAGES[name](cloud)).decode()
    send(cloud, tmp_path, "on_message", [published(data, f"{n}") for n in range(2 * deployed("on_message")[1])])


@long
@pytest.mark.parametrize("name", MESSAGES)
def test_on_dead_letter_within_its_memory(cloud: Cloud, tmp_path: Path, name: str) -> None:
    data = base64.b64encode(MESSAGES[name](cloud)).decode()
    send(cloud, tmp_path, "on_dead_letter", [letter(data, f"{n}") for n in range(2 * deployed("on_dead_letter")[1])])


@pytest.mark.long
def test_on_upload_within_its_memory(cloud: Cloud, tmp_path: Path) -> None:
    contents = [
        gzip.compress(b'{"instances":' + b"[" * (31 * MIB)),
        instances("[[[[[]]]]]", 64 << 10),
        ROW,
        ("\N{CLAPPER BOARD}" * 20_000).encode(),
        b'id,text\n1,"' + b'""' * 30_000,
        image("WEBP", "L", (7000, 7000), method=0)(),
        bytes(range(1, 256)) * 300,
        ("\u00e9," * 30_000).encode("cp1252"),
    ]
    requests = []
    for index, content in enumerate(contents * 2):
        cloud.upload(f"{index}.parameters.json", instances("[]", 64 << 10))
        requests.append(finalized(cloud.upload(f"{index}", content), f"{index}"))
    send(cloud, tmp_path, "on_upload", requests)
