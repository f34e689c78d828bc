"""Two regions of the GPU service on the local stack, one of which is killed under load: nothing is lost."""

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from emulator.process import Stack
from tests.test_own_models import client
from tests.test_traffic import until

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[1]
REGIONS = ("us-central1", "europe-west4")
INPUTS = 40


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    content: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "local" / "stack.yaml").read_text())
    content["root"] = str(ROOT)
    del content["iam"]
    content["env"]["GPU_REGIONS"] = ",".join(REGIONS)
    content["services"]["second"] = {**content["services"]["gpu-service"], "port": 9029}
    content["workflows"]["inference"]["env"]["GPU_SERVICE_URL"] = "{gpu-service.url},{second.url}"
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(content))
    return Stack(tmp_path / "state", stack=tmp_path / "stack.yaml")


def keep_down(stack: Stack, service: str, ended: threading.Event) -> None:
    """Kills a service again as often as the emulator starts it."""
    while not ended.wait(0.05):
        for process in psutil.Process(stack.pid).children():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if process.environ().get("K_SERVICE") == service:
                    os.killpg(process.pid, signal.SIGKILL)


def test_a_region_that_is_killed_under_load_loses_nothing(stack: Stack):
    with stack:
        stack.start()
        buckets = client(stack)
        ended = threading.Event()
        killing = threading.Thread(target=keep_down, args=(stack, "gpu-service", ended))

        def sent(number: int) -> None:
            buckets.bucket("local-input").blob(f"{number}.txt").upload_from_string(f"Film {number}.", "text/plain")

        def documents() -> list[Any]:
            return list(buckets.list_blobs("local-output", prefix="latest/"))

        for number in range(INPUTS // 4):
            sent(number)
        until(documents)
        killing.start()
        for number in range(INPUTS // 4, INPUTS):
            sent(number)
            time.sleep(0.05)
        found = until(lambda: len(listed := documents()) == INPUTS and listed)
        ended.set()
        killing.join()
        contents = [json.loads(blob.download_as_bytes()) for blob in found]
        circuit = json.loads(buckets.bucket("local-work").blob("regions/us-central1.json").download_as_bytes())
        failed = list(buckets.list_blobs("local-output", prefix="failed/"))
    assert [each["status"] for each in contents] == ["succeeded"] * INPUTS
    assert {each["lineage"]["region"] for each in contents} == set(REGIONS)
    assert circuit["state"] in ("open", "half_open")
    assert not failed
