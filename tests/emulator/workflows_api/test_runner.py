"""Concurrent executions, the queue, and restarts of interrupted executions."""

import asyncio
import json
import signal
import subprocess
import sys

import httpx
import pytest

from emulator.googleapi.errors import ResourceExhaustedError
from emulator.workflows_api.runner import Limits
from emulator.workflows_api.store import Store
from tests.emulator.workflows_api.serve import LOCATION, running

WAITS = """
main:
  params: [n]
  steps:
    - wait: {call: http.get, args: {url: "${sys.get_env(\\"BASE\\") + \\"/gate\\"}"}}
    - done: {return: "${[n, sys.get_env(\\"GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT\\")]}"}
"""
THREE_CALLS = """
main:
  params: [n]
  steps:
    - init: {assign: [{url: "${sys.get_env(\\"BASE\\") + \\"/echo\\"}"}]}
    - first: {call: http.post, args: {url: "${url}", body: {n: "${n}"}}, result: a}
    - second: {call: http.post, args: {url: "${url}", body: "${a.body}"}, result: b}
    - third: {call: http.post, args: {url: "${url}", body: "${b.body}"}, result: c}
    - done: {return: "${c.body.echo.echo.echo.n}"}
"""
WORKFLOW = f"{LOCATION}/workflows/w"


def deploy(addresses, source):
    addresses.service.deploy("w", source, {"BASE": addresses.http})


async def ended(service, names):
    while True:
        states = [service.executions.get(name, "BASIC")["state"] for name in names]
        if not {"ACTIVE", "QUEUED"} & set(states):
            return [service.executions.get(name) for name in names]
        await asyncio.sleep(0.02)


def test_a_thousand_concurrent_executions_succeed():
    async def run():
        async with running(None) as addresses:
            deploy(addresses, THREE_CALLS)
            executions = addresses.service.executions
            names = [executions.create(WORKFLOW, {"argument": str(n)})["name"] for n in range(1000)]
            done = await ended(addresses.service, names)
            assert [execution["state"] for execution in done] == ["SUCCEEDED"] * 1000
            assert [int(execution["result"]) for execution in done] == list(range(1000))
            assert len(addresses.web.requests) == 3000

    asyncio.run(run())


def test_executions_over_the_limit_are_queued():
    async def run():
        async with running(None, Limits(active=2, queued=2)) as addresses:
            deploy(addresses, WAITS)
            executions = addresses.service.executions
            created = [executions.create(WORKFLOW, {"argument": str(n)}) for n in range(4)]
            assert [execution["state"] for execution in created] == ["ACTIVE", "ACTIVE", "QUEUED", "QUEUED"]
            assert "startTime" not in created[2]
            with pytest.raises(ResourceExhaustedError):
                executions.create(WORKFLOW, {})
            executions.cancel(created[2]["name"])
            executions.cancel(created[0]["name"])
            await asyncio.sleep(0)
            assert executions.get(created[2]["name"])["state"] == "CANCELLED"
            addresses.web.gate.set()
            done = await ended(addresses.service, [execution["name"] for execution in created])
            assert [execution["state"] for execution in done] == ["CANCELLED", "SUCCEEDED", "CANCELLED", "SUCCEEDED"]
            assert done[3]["startTime"] > done[3]["createTime"]

    asyncio.run(run())


def test_an_execution_that_may_not_be_queued_is_refused():
    async def run():
        async with running(None, Limits(active=1)) as addresses:
            deploy(addresses, WAITS)
            executions = addresses.service.executions
            executions.create(WORKFLOW, {})
            with pytest.raises(ResourceExhaustedError):
                executions.create(WORKFLOW, {"disableConcurrencyQuotaOverflowBuffering": True})

    asyncio.run(run())


def serve(folder):
    command = [sys.executable, "-m", "tests.emulator.workflows_api.serve", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())["http"]


SLEEPS_AT_FIRST = """
main:
  params: [n]
  steps:
    - look: {assign: [{attempt: '${sys.get_env("GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT")}'}]}
    - first:
        switch:
          - condition: ${attempt == "1"}
            steps: [{nap: {call: sys.sleep, args: {seconds: 900}}}]
    - done: {return: "${[n, attempt]}"}
"""


def test_only_interrupted_executions_run_again_after_a_kill(tmp_path):
    process, http = serve(tmp_path)
    try:
        base = f"{http}/v1/{LOCATION}/workflows"
        for workflow, source in (("w", SLEEPS_AT_FIRST), ("quick", "main: {steps: [{done: {return: kept}}]}")):
            created = httpx.post(base, params={"workflowId": workflow}, json={"sourceContents": source})
            assert "error" not in created.json()
        kept = httpx.post(f"{base}/quick/executions", json={}).json()["name"]
        while httpx.get(f"{http}/v1/{kept}").json()["state"] != "SUCCEEDED":
            pass
        names = [httpx.post(f"{base}/w/executions", json={"argument": str(n)}).json()["name"] for n in range(5)]
        httpx.patch(f"{base}/w", json={"sourceContents": "main: {steps: [{done: {return: newer}}]}"})
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    async def again():
        async with running(tmp_path) as addresses:
            return await ended(addresses.service, [kept, *names])

    first, *others = done = asyncio.run(again())
    assert first["result"] == '"kept"'
    assert [execution["name"] for execution in others] == names
    assert [json.loads(execution["result"]) for execution in others] == [[n, "2"] for n in range(5)]
    assert {execution["workflowRevisionId"][:6] for execution in others} == {"000001"}
    assert asyncio.run(again()) == done


def test_execution_interrupted_too_often_fails(tmp_path):
    async def run(create=False):
        async with running(tmp_path, Limits(attempts=3)) as addresses:
            executions = addresses.service.executions
            if create:
                deploy(addresses, "main: {steps: [{nap: {call: sys.sleep, args: {seconds: 900}}}]}")
                return executions.create(WORKFLOW, {})
            (name,) = [execution["name"] for execution in executions.page(WORKFLOW)["executions"]]
            return executions.get(name)

    assert asyncio.run(run(create=True))["state"] == "ACTIVE"
    assert asyncio.run(run())["state"] == "ACTIVE"
    assert asyncio.run(run())["state"] == "ACTIVE"
    failed = asyncio.run(run())
    assert failed["state"] == "FAILED"
    assert "interrupted 3 times" in failed["error"]["context"]
    assert json.loads(failed["error"]["payload"])["tags"] == ["SystemError"]


def test_an_execution_is_stored_before_create_answers(tmp_path):
    async def run():
        async with running(tmp_path) as addresses:
            deploy(addresses, WAITS)
            name = addresses.service.executions.create(WORKFLOW, {"argument": "7"})["name"]
            other = Store(tmp_path)
            stored = other.execution(name)
            other.close()
            assert (stored.state, stored.argument, stored.attempt) == ("ACTIVE", "7", 1)

    asyncio.run(run())


def test_a_failure_is_logged_with_its_step_and_line(caplog: pytest.LogCaptureFixture):
    async def run():
        async with running(None) as addresses:
            addresses.service.deploy("w", 'main:\n  steps:\n    - break_off:\n        raise: "no more"\n', {})
            name = addresses.service.executions.create(WORKFLOW, {})["name"]
            await ended(addresses.service, [name])

    asyncio.run(run())
    (record,) = (record for record in caplog.records if record.message == "execution failed")
    assert (record.levelname, record.step, record.line, record.routine) == ("WARNING", "break_off", 4, "main")
    assert "no more" in record.cause
