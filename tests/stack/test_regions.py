"""Two regions of the GPU service on the local stack, one of which is killed under load: nothing is lost."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from emulator.process import Stack
from samples.regions import FIRST, REGIONS, Outage, stack_file
from tests.stack.test_own_models import client
from tests.stack.test_traffic import until

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]

INPUTS = 40


def test_a_region_that_is_killed_under_load_loses_nothing(tmp_path: Path):
    with Stack(tmp_path / "state", stack=stack_file(tmp_path)) as stack:
        stack.start()
        buckets = client(stack)

        def sent(number: int) -> None:
            buckets.bucket("local-input").blob(f"{number}.txt").upload_from_string(f"Film {number}.", "text/plain")

        def documents() -> list[Any]:
            return list(buckets.list_blobs("local-output", prefix="latest/"))

        for number in range(INPUTS // 4):
            sent(number)
        until(documents)
        with Outage(stack, FIRST):
            for number in range(INPUTS // 4, INPUTS):
                sent(number)
                time.sleep(0.05)
            found = until(lambda: len(listed := documents()) == INPUTS and listed)
        contents = [json.loads(blob.download_as_bytes()) for blob in found]
        circuit = json.loads(buckets.bucket("local-work").blob("regions/us-central1.json").download_as_bytes())
        failed = list(buckets.list_blobs("local-output", prefix="failed/"))
        refused = stack.refusals()
    assert [each["status"] for each in contents] == ["succeeded"] * INPUTS
    assert {each["lineage"]["region"] for each in contents} == set(REGIONS)
    assert circuit["state"] in ("open", "half_open")
    assert not failed
    assert not refused
