"""The service as a process, at its deployed memory and concurrency, with the largest accepted requests."""

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage
from PIL import Image

from deploy import inventory
from gpu_service.inputs.images.decoding import MAX_PIXELS, MAX_WEBP_PIXELS
from gpu_service.settings import MODELS_FILE, Settings
from gpu_service.shards.prediction import MAX_ACTIVE
from gpu_service.web.protocol import MAX_VALUES

SERVICE = inventory.load({"project_id": "my-project"})["gpu_service"]
MIB = 1 << 20
SPECIAL = "\N{CLAPPER BOARD}"  # 4 bytes of UTF-8 and of memory, 12 of JSON that escapes it
SIDE = int(MAX_PIXELS**0.5)
WEBP = (5000, MAX_WEBP_PIXELS // 5000)
ROWS_PER_STRIP, ORIENTATION = 278, 274  # tags of a TIFF
MAX_TEXT = 8 * MIB  # characters of a line that preprocess writes
DEPLOYED = ("--models", str(MODELS_FILE), "--profile", "starter")


def image(form: str, mode: str, size: tuple[int, int], **options: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return {"image": {"b64": base64.b64encode(buffer.getvalue()).decode()}}


def large_webp() -> dict[str, Any]:
    return image("WEBP", "RGBA", WEBP, lossless=True, method=0)


def tiff(mode: str, **options: Any) -> dict[str, Any]:
    return image("TIFF", mode, (SIDE, SIDE), tiffinfo={ROWS_PER_STRIP: SIDE, ORIENTATION: 6}, **options)


def pages(count: int) -> dict[str, Any]:
    page = Image.new("RGB", (1000, 1000))
    page.save(buffer := io.BytesIO(), "TIFF", compression="tiff_lzw", save_all=True, append_images=[page] * count)
    return {"image": {"b64": base64.b64encode(buffer.getvalue()).decode()}}


def raw_tiff(size: tuple[int, int], bits: int, strip: bytes, count: int = 1) -> dict[str, Any]:
    """Pages of one grey channel, floats if it has 32 bits, that share one strip compressed by deflate."""
    width, height = size
    tags = [(256, width), (257, height), (258, bits), (259, 8), (262, 1), (273, 8), (277, 1), (278, height)]
    tags += [(279, len(strip)), (339, 3 if bits == 32 else 1)]
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    first = 8 + len(strip)
    directories = [
        entries + struct.pack("<I", first + number * (len(entries) + 4) if number < count else 0)
        for number in range(1, count + 1)
    ]
    data = struct.pack("<2sHI", b"II", 42, first) + strip + b"".join(directories)
    return {"image": {"b64": base64.b64encode(data).decode()}}


def floats() -> dict[str, Any]:
    return raw_tiff((SIDE, SIDE), 32, zlib.compress(bytes(4 * SIDE * SIDE), 9))


def many_pages() -> dict[str, Any]:
    """As many as a request's largest body holds."""
    return raw_tiff((8, 8), 8, zlib.compress(bytes(64)), 90_000)


def body(*instances: Any) -> bytes:
    return json.dumps({"instances": instances}, ensure_ascii=False).encode()


BODIES: dict[str, tuple[Callable[[], bytes], set[int]]] = {  # content, statuses
    "longest text": (lambda: body({"text": SPECIAL * (4 * MIB - 20)}), {200}),
    "many values": (lambda: body({"text": "a", "x": [0] * (MAX_VALUES - 10)}), {200, 400}),
    "a large PNG": (lambda: body(image("PNG", "RGBA", (SIDE, SIDE))), {200}),
    "a tall PNG": (lambda: body(image("PNG", "RGBA", (12, MAX_PIXELS // 12 - 1))), {200, 400}),
    "a longest word": (lambda: body({"text": "\N{HANGUL SYLLABLE HAN}" * (5 * MIB)}), {200}),
    "many small images": (lambda: body(*[image("PNG", "1", (8, 8))] * Settings.max_instances), {200}),
    "a WebP bomb": (lambda: body(image("WEBP", "RGB", (SIDE, SIDE), lossless=True)), {200}),
    "large WebPs": (lambda: body(*[large_webp()] * 3), {200}),
    "a TIFF in one strip of LZW": (lambda: body(tiff("RGBA", compression="tiff_lzw")), {200}),
    "a TIFF of many pages": (lambda: body(pages(200)), {200}),
    "a TIFF of very many pages": (lambda: body(many_pages()), {200}),
    "TIFFs of floats": (lambda: body(*[tiff("F", compression="tiff_deflate")] * 2), {200}),
    "many TIFFs of floats in one strip": (lambda: body(*[floats()] * 8), {200}),
}
SHARDS: dict[str, Callable[[], Any]] = {  # the lines of each; all get their outcomes
    "longest texts": lambda: [{"text": "ab " * (MAX_TEXT // 3)}, {"text": SPECIAL * (MAX_TEXT // 12)}] * 2,
    "one word": lambda: [{"text": "\N{HANGUL SYLLABLE HAN}" * MAX_TEXT}] * 2,
    "many small images": lambda: [image("PNG", "1", (8, 8))] * 3000,
    "large images": lambda: [
        image("WEBP", "RGBA", WEBP, lossless=True, method=0),
        tiff("RGBA", compression="tiff_lzw"),
    ],
    "large TIFFs": lambda: [tiff("F", compression="tiff_deflate"), floats(), pages(200), many_pages()],
    "references to large images": lambda: [{"uri": "gs://input/large.png"}] * 4,
}


def peak(pid: int) -> int:
    """The process's largest memory so far, in MiB."""
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) // 1024


def memory() -> int:
    """Of the deployment, in MiB."""
    assert SERVICE["memory"].endswith("Gi")
    return int(SERVICE["memory"].removesuffix("Gi")) * 1024


@pytest.mark.release
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", BODIES)
def test_as_many_requests_as_an_instance_gets(serve: Callable[..., Any], name: str):
    server = serve(*DEPLOYED, DEADLINE_SECONDS="600", MAX_WAIT_SECONDS="600")
    server.wait_until_ready()
    content, statuses = BODIES[name]
    data = content()
    assert len(data) <= Settings.max_body
    headers = {"Content-Type": "application/json"}

    def post(_: int) -> int:
        return int(server.http.post("/predict", content=data, headers=headers, timeout=800).status_code)

    with ThreadPoolExecutor(SERVICE["concurrency"]) as pool:
        answered = set(pool.map(post, range(SERVICE["concurrency"])))
    assert answered <= statuses | {429}
    assert answered & statuses
    assert peak(server.process.pid) < memory()


@pytest.mark.release
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SHARDS)
def test_as_many_shards_as_run_at_a_time(serve: Callable[..., Any], gcs: storage.Client, store: str, name: str):
    buckets = {"STORAGE_EMULATOR_HOST": store, "INPUT_BUCKET": "input", "WORK_BUCKET": "work"}
    server = serve(*DEPLOYED, **buckets)
    server.wait_until_ready()
    large = base64.b64decode(image("PNG", "RGBA", (SIDE, SIDE))["image"]["b64"])
    gcs.bucket("input").blob("large.png").upload_from_string(large)
    lines = SHARDS[name]()
    content = "".join(json.dumps(line) + "\n" for line in lines)
    gcs.bucket("work").blob("shards/memory.jsonl").upload_from_string(content)

    def post(number: int) -> dict[str, Any]:
        shard = {"input": "gs://work/shards/memory.jsonl", "output": f"gs://work/shards/memory-{name}-{number}.out"}
        answer: dict[str, Any] = server.http.post("/predict-shard", json=shard, timeout=800).json()
        return answer

    with ThreadPoolExecutor(MAX_ACTIVE) as pool:
        answers = list(pool.map(post, range(MAX_ACTIVE)))
    assert [(answer["records"], answer["succeeded"]) for answer in answers] == [(len(lines),) * 2] * MAX_ACTIVE
    assert peak(server.process.pid) < memory()
