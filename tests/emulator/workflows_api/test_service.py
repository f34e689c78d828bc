"""The service as the emulator's server uses it."""

import asyncio
import json

import pytest

from emulator.googleapi.errors import InvalidArgumentError, UnavailableError
from emulator.workflows_api import Workflows
from tests.emulator.workflows_api.serve import LOCATION, running

SOURCE = 'main: {steps: [{done: {return: "${sys.get_env(\\"A\\")}"}}]}'


def test_deploying_creates_a_revision_only_for_a_change(tmp_path):
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


def test_executions_created_before_the_start_are_queued_and_run_once(tmp_path):
    async def run():
        service = Workflows(tmp_path, project="local-project", location="us-central1", base_url="http://127.0.0.1:9")
        service.deploy("w", SOURCE, {"A": "1"})
        parent = f"{LOCATION}/workflows/w"
        first, second, third = (service.executions.create(parent, {}) for _ in range(3))
        assert {first["state"], second["state"], third["state"]} == {"QUEUED"}
        service.executions.cancel(second["name"])
        await service.start()
        try:
            while service.executions.get(third["name"])["state"] in ("QUEUED", "ACTIVE"):
                await asyncio.sleep(0.01)
            return [execution["state"] for execution in service.executions.page(parent)["executions"]]
        finally:
            await service.stop()

    assert asyncio.run(run()) == ["SUCCEEDED", "CANCELLED", "SUCCEEDED"]


def test_requests_after_the_stop_are_unavailable(tmp_path):
    async def run():
        service = Workflows(tmp_path, project="local-project", location="us-central1", base_url="http://127.0.0.1:9")
        service.deploy("w", SOURCE, {"A": "1"})
        await service.start()
        await service.stop()
        with pytest.raises(UnavailableError):
            service.executions.create(f"{LOCATION}/workflows/w", {})
        with pytest.raises(UnavailableError):
            service.executions.page(f"{LOCATION}/workflows/w")

    asyncio.run(run())


def test_source_that_does_not_compile_is_refused_with_its_place():
    async def run():
        async with running(None) as addresses:
            with pytest.raises(InvalidArgumentError, match=r"main\.yaml:1:"):
                addresses.service.deploy("w", "main: {steps: [{a: {call: nowhere}}]}", {})
            with pytest.raises(InvalidArgumentError, match="GOOGLE"):
                addresses.service.deploy("w", SOURCE, {"GOOGLE_X": "1"})

    asyncio.run(run())


def test_workflow_logs_reach_the_log(caplog):
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
