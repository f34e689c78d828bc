"""What the emulator's server uses: deploying the stack's workflows."""

import asyncio
import json

import pytest

from emulator.executions.errors import InvalidArgumentError
from tests.emulator.executions.serve import LOCATION, running

SOURCE = 'main: {steps: [{done: {return: "${sys.get_env(\\"A\\")}"}}]}'


def test_deploying_again_makes_a_revision_only_of_a_change(tmp_path):
    async def run():
        async with running(tmp_path) as addresses:
            service = addresses.service
            first = service.deploy("w", SOURCE, {"A": "1"})
            assert service.deploy("w", SOURCE, {"A": "1"}) == first
            second = service.deploy("w", SOURCE, {"A": "2"})
            assert (first[:6], second[:6]) == ("000001", "000002")
        async with running(tmp_path) as addresses:
            assert addresses.service.deploy("w", SOURCE, {"A": "2"}) == second

    asyncio.run(run())


def test_a_bad_source_is_refused_with_its_place():
    async def run():
        async with running(None) as addresses:
            with pytest.raises(InvalidArgumentError, match=r"main\.yaml:1:"):
                addresses.service.deploy("w", "main: {steps: [{a: {call: nowhere}}]}", {})
            with pytest.raises(InvalidArgumentError, match="GOOGLE"):
                addresses.service.deploy("w", SOURCE, {"GOOGLE_X": "1"})

    asyncio.run(run())


def test_workflow_logs_are_log_lines(caplog):
    source = "main: {steps: [{say: {call: sys.log, args: {text: hello, severity: WARNING}}}]}"

    async def run():
        async with running(None) as addresses:
            addresses.service.deploy("w", source, {})
            name = addresses.service.executions.create(f"{LOCATION}/workflows/w", {})["name"]
            while addresses.service.executions.get(name)["state"] == "ACTIVE":
                await asyncio.sleep(0.01)
            return name

    with caplog.at_level("INFO"):
        name = asyncio.run(run())
    (record,) = [record for record in caplog.records if record.getMessage() == "workflow log"]
    assert (record.levelname, record.severity) == ("WARNING", "WARNING")
    entry = json.loads(record.entry)
    assert "hello" in record.entry
    assert name.endswith(entry["execution"].rsplit("/", 1)[-1])
