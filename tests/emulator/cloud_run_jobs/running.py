"""Runs the jobs of a small stack in this event loop, with tasks as real processes and REST without a port."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from emulator.cloud_run_jobs import Jobs
from emulator.stack import loader
from emulator.stack.model import Stack
from emulator.supervisor.console import Console
from emulator.supervisor.job_tasks import JobTasks
from emulator.supervisor.reaper import Reaper

PARENT = "projects/local-project/locations/us-central1"
JOB = f"{PARENT}/jobs/toy"

# A task that can record its arguments and environment, and runs the Python of the file `do` in its folder.
TASK = """
import json, os, pathlib, signal, sys, time
index, attempt = os.environ["CLOUD_RUN_TASK_INDEX"], os.environ["CLOUD_RUN_TASK_ATTEMPT"]

def until(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)

def note(**fields):
    own = {name: value for name, value in os.environ.items() if name.startswith(("CLOUD_RUN", "TOY"))}
    line = {"pid": os.getpid(), "args": sys.argv[1:], "env": own, **fields}
    with open("seen", "a") as seen:
        seen.write(json.dumps(line) + "\\n")

exec(pathlib.Path("do").read_text())
"""


class Cloud:
    """A client of the API, and the folder that the tasks run in."""

    def __init__(self, folder: Path, jobs: Jobs, http: httpx.AsyncClient) -> None:
        self.folder, self.jobs, self.http = folder, jobs, http

    async def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        response = await self.http.request(method, f"/v2/{path}", **options)
        assert response.status_code == status, response.text
        return response.json()

    async def run(self, **overrides: Any) -> Any:
        """Start an execution and return its operation."""
        return await self.call("POST", f"{JOB}:run", json={"overrides": overrides})

    async def done(self, operation: Any) -> Any:
        """Wait for an operation and return it."""
        answer = await self.call("POST", f"{operation['name']}:wait", json={})
        assert answer["done"] is True
        return answer

    def seen(self) -> list[dict[str, Any]]:
        """The records that the tasks have written."""
        file = self.folder / "seen"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; the test's timeout is the limit."""
        while not condition():
            await asyncio.sleep(0.01)


def write_stack(folder: Path, do: str, settings: str = "", *, job: str = "toy", more: str = "") -> Path:
    """Write a stack file with one job, whose tasks run the Python in `do`; `settings` is a line of its YAML."""
    (folder / "task.py").write_text(TASK)
    (folder / "do").write_text(do)
    file = folder / "stack.yaml"
    file.write_text(f"""
env: {{TOY_STACK: "http://{{http}}"}}
jobs:
  {job}:
    command: [python, -S, task.py]
    args: [usual]
    env: {{TOY_JOB: of the job}}
    overrides: [TOY_MORE, TOY_STATUS]
    override_args: true
    {settings}
{more}
""")
    return file


@contextmanager
def starting(stack: Stack) -> Iterator[JobTasks]:
    """The starter of a stack's tasks; no process is left at the end."""
    logs = stack.root / "logs"
    logs.mkdir(exist_ok=True)
    with Reaper() as reaper:
        tasks = JobTasks(stack, logs, Console(), reaper)
        tasks.prepare(lambda _: {"http": "127.0.0.1:1"})
        yield tasks


@asynccontextmanager
async def running(
    folder: Path,
    do: str = "note()",
    settings: str = "",
    *,
    job: str = "toy",
    data: Path | None = None,
    grace_s: float = 10,
) -> AsyncIterator[Cloud]:
    """A cloud with one job and its state in `data`, or in memory."""
    stack = loader.load(write_stack(folder, do, settings, job=job))
    with starting(stack) as tasks:
        jobs = Jobs(data, PARENT, stack.jobs, tasks.start, grace_s=grace_s)
        await jobs.start()
        transport = httpx.ASGITransport(app=Starlette(routes=jobs.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://run", timeout=60) as http:
            try:
                yield Cloud(folder, jobs, http)
            finally:
                await jobs.stop()
                jobs.close()
