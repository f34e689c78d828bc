"""The service as a process, at its deployed memory and concurrency, with the largest accepted requests."""

import base64
import io
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from deploy import inventory
from gpu_service.inputs.decoding import MAX_PIXELS
from gpu_service.settings import MODELS_FILE, Settings
from gpu_service.web.protocol import MAX_VALUES

SERVICE = inventory.load({"project_id": "my-project"})["gpu_service"]
MIB = 1 << 20
SPECIAL = "\N{CLAPPER BOARD}"  # 4 bytes of UTF-8 and of memory, 12 of JSON that escapes it
SIDE = int(MAX_PIXELS**0.5)
DEPLOYED = ("--models", str(MODELS_FILE), "--profile", "starter")


def image(form: str, mode: str, size: tuple[int, int], **options: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return {"image": {"b64": base64.b64encode(buffer.getvalue()).decode()}}


def body(*instances: Any) -> bytes:
    return json.dumps({"instances": instances}, ensure_ascii=False).encode()


BODIES: dict[str, tuple[Callable[[], bytes], set[int]]] = {  # content, statuses
    "longest text": (lambda: body({"text": SPECIAL * (4 * MIB - 20)}), {200}),
    "many values": (lambda: body({"text": "a", "x": [0] * (MAX_VALUES - 10)}), {200, 400}),
    "a large PNG": (lambda: body(image("PNG", "RGBA", (SIDE, SIDE))), {200}),
    "a tall PNG": (lambda: body(image("PNG", "RGBA", (12, MAX_PIXELS // 12 - 1))), {200, 400}),
}


def peak(pid: int) -> int:
    """The process's largest memory so far, in MiB."""
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) // 1024


def memory() -> int:
    """Of the deployment, in MiB."""
    assert SERVICE["memory"].endswith("Gi")
    return int(SERVICE["memory"].removesuffix("Gi")) * 1024


@pytest.mark.long
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
