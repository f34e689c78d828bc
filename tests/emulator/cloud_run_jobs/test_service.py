"""Jobs in the whole emulator: run by a workflow, resumed after a kill."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.server import Emulator
from emulator.stack import loader
from tests.emulator.cloud_run_jobs.running import JOB, starting, write_stack
from tests.emulator.toy_stack import Toy, gone

WORKFLOW = f"""
main:
  params: [input]
  steps:
    - work:
        try:
          call: googleapis.run.v2.projects.locations.jobs.run
          args:
            name: {JOB}
            body:
              overrides:
                taskCount: 2
                containerOverrides:
                  - env: [{{name: TOY_STATUS, value: '${{input.status}}'}}]
            connector_params: {{polling_policy: {{initial_delay: 0.05}}}}
          result: execution
        except:
          as: e
          steps:
            - failed: {{return: '${{e}}'}}
    - done: {{return: '${{execution}}'}}
"""


def test_workflow_runs_a_job_through_the_connector(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "flow.yaml").write_text(WORKFLOW)
        do = 'note(); sys.exit(int(os.environ["TOY_STATUS"]))'
        more = "workflows: {flow: {source: flow.yaml}}"
        stack = loader.load(write_stack(tmp_path, do, "max_retries: 0", more=more))
        with starting(stack) as tasks:
            async with (
                Emulator(stack, services={}, start_task=tasks.start) as emulator,
                httpx.AsyncClient(base_url=f"http://{emulator.http}/v1") as http,
            ):
                execution = await executed(http, {"status": "0"})
                assert (execution["taskCount"], execution["succeededCount"]) == (2, 2)
                error = await executed(http, {"status": "5"})
                assert error["tags"] == ["OperationError"]
                assert error["message"].endswith("failed with message: The container exited with an error.")
                assert error["operation"]["metadata"]["failedCount"] == 2

    asyncio.run(check())


async def executed(http: httpx.AsyncClient, argument: Any) -> Any:
    """The result of an execution of the workflow."""
    parent = f"/{JOB.rsplit('/', 2)[0]}/workflows/flow/executions"
    execution = (await http.post(parent, json={"argument": json.dumps(argument)})).json()
    while execution["state"] in ("ACTIVE", "QUEUED"):
        await asyncio.sleep(0.02)
        execution = (await http.get(f"/{execution['name']}")).json()
    assert execution["state"] == "SUCCEEDED", execution
    return json.loads(execution["result"])


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    made = Toy(tmp_path)
    made.stack = write_stack(tmp_path, 'note(); index == "0" or until("gate")', "parallelism: 1")
    yield made
    made.close()


def test_job_resumes_after_the_emulator_is_killed_and_ends_when_it_stops(toy: Toy) -> None:
    url = f"http://{toy.up()['http']}/v2"
    begun = httpx.post(f"{url}/{JOB}:run", json={"overrides": {"taskCount": 2}}).json()
    toy.until(lambda: len(toy.seen) == 2)
    processes = toy.processes()
    toy.signal(signal.SIGKILL)
    toy.until(lambda: gone(processes))
    (toy.data / "addresses.json").unlink()
    (toy.folder / "gate").touch()
    url = f"http://{toy.up()['http']}/v2"
    ended = httpx.post(f"{url}/{begun['name']}:wait", json={}, timeout=30).json()
    assert ended["response"]["succeededCount"] == 2
    assert [task["env"]["CLOUD_RUN_TASK_INDEX"] for task in toy.seen] == ["0", "1", "1"]
    assert toy.seen[0]["env"]["TOY_STACK"] == url.removesuffix("/v2")

    (toy.folder / "gate").unlink()
    httpx.post(f"{url}/{JOB}:run", json={"overrides": {"taskCount": 2}})
    toy.until(lambda: len(toy.seen) == 5)
    processes = toy.processes()
    assert toy.signal(signal.SIGINT) == 0
    assert gone(processes), "running tasks end with the emulator"
