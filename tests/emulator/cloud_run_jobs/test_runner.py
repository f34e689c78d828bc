"""Executions with tasks as real processes: overrides, retries, parallelism, timeouts, cancellation, restarts."""

import asyncio
import os
import signal
from pathlib import Path

import psutil

from emulator.cloud_run_jobs.store import Store
from tests.emulator.cloud_run_jobs.running import running

HOLD = 'note(); until("gate")'
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); note(); time.sleep(600)"


def test_tasks_receive_their_index_and_the_overrides(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path) as cloud:
            change = {"name": "toy", "args": ["other"], "env": [{"name": "TOY_MORE", "value": "1"}]}
            begun = await cloud.run(taskCount=3, containerOverrides=[change])
            execution = (await cloud.done(begun))["response"]
            assert (execution["taskCount"], execution["succeededCount"]) == (3, 3)
            assert "failedCount" not in execution
            assert execution["conditions"][0]["state"] == "CONDITION_SUCCEEDED"
            assert execution["createTime"] <= execution["startTime"] < execution["completionTime"]
            tasks = sorted(cloud.seen(), key=lambda task: task["env"]["CLOUD_RUN_TASK_INDEX"])
            for index, task in enumerate(tasks):
                assert task["args"] == ["other"]
                assert task["env"] == {
                    "CLOUD_RUN_JOB": "toy",
                    "CLOUD_RUN_EXECUTION": execution["name"].rsplit("/", 1)[1],
                    "CLOUD_RUN_TASK_INDEX": str(index),
                    "CLOUD_RUN_TASK_COUNT": "3",
                    "CLOUD_RUN_TASK_ATTEMPT": "0",
                    "TOY_STACK": "http://127.0.0.1:1",
                    "TOY_JOB": "of the job",
                    "TOY_MORE": "1",
                }

    asyncio.run(check())


def test_arguments_are_the_jobs_unless_cleared(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path) as cloud:
            await cloud.done(await cloud.run())
            await cloud.done(await cloud.run(containerOverrides=[{"clearArgs": True}]))
            assert [task["args"] for task in cloud.seen()] == [["usual"], []]

    asyncio.run(check())


def test_failing_task_is_retried_and_then_fails_the_operation(tmp_path: Path) -> None:
    async def check() -> None:
        do = 'note(); print("no such shard", flush=True); sys.exit(3 if index == "1" else 0)'
        async with running(tmp_path, do, "max_retries: 2") as cloud:
            operation = await cloud.done(await cloud.run(taskCount=2))
            execution = operation["metadata"]
            task = f"{execution['name'].rsplit('/', 1)[1]}-task1"
            message = f"Task {task} failed with message: The container exited with an error."
            assert operation["error"]["message"] == message
            assert "response" not in operation
            counts = {name: execution[name] for name in ("succeededCount", "failedCount", "retriedCount")}
            assert counts == {"succeededCount": 1, "failedCount": 1, "retriedCount": 2}
            assert execution["conditions"][0]["executionReason"] == "NON_ZERO_EXIT_CODE"
            attempts = [attempt["env"] for attempt in cloud.seen() if attempt["env"]["CLOUD_RUN_TASK_INDEX"] == "1"]
            assert [env["CLOUD_RUN_TASK_ATTEMPT"] for env in attempts] == ["0", "1", "2"]
            failed = await cloud.call("GET", f"{execution['name']}/tasks/{task}")
            assert (failed["retried"], failed["lastAttemptResult"]["exitCode"]) == (2, 3)
            log = tmp_path / "logs" / execution["name"].rsplit("/", 1)[1] / "task1.log"
            assert log.read_text() == "no such shard\n" * 3

    asyncio.run(check())


def test_killed_task_is_retried(tmp_path: Path) -> None:
    async def check() -> None:
        do = 'note(); attempt == "0" and time.sleep(600)'
        async with running(tmp_path, do) as cloud:
            begun = await cloud.run()
            await cloud.until(cloud.seen)
            os.kill(cloud.seen()[0]["pid"], signal.SIGKILL)
            execution = (await cloud.done(begun))["response"]
            assert (execution["succeededCount"], execution["retriedCount"]) == (1, 1)

    asyncio.run(check())


def test_child_processes_of_a_task_end_with_it(tmp_path: Path) -> None:
    async def check() -> None:
        do = """
import subprocess
note(child=subprocess.Popen(["sleep", "600"]).pid)
"""
        async with running(tmp_path, do) as cloud:
            assert (await cloud.done(await cloud.run()))["response"]["succeededCount"] == 1
            await cloud.until(lambda: not alive(cloud.seen()[0]["child"]))

    def alive(pid: int) -> bool:
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    asyncio.run(check())


def test_command_that_cannot_be_started_fails_its_task(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path, settings="command: [./nothing]") as cloud:
            operation = await cloud.done(await cloud.run())
            assert "could not be started: [Errno 2] No such file" in operation["error"]["message"]

    asyncio.run(check())


def test_parallelism_limits_concurrent_tasks(tmp_path: Path) -> None:
    async def check() -> None:
        do = """
mine = pathlib.Path(f"at-work-{index}")
mine.touch()
note(beside=len(list(pathlib.Path().glob("at-work-*"))))
until("gate")
mine.unlink()
"""
        async with running(tmp_path, do, "parallelism: 2") as cloud:
            begun = await cloud.run(taskCount=5)
            await cloud.until(lambda: len(cloud.seen()) == 2)
            assert (await cloud.call("GET", begun["metadata"]["name"]))["runningCount"] == 2
            (tmp_path / "gate").touch()
            assert (await cloud.done(begun))["response"]["succeededCount"] == 5
            assert max(task["beside"] for task in cloud.seen()) == 2

    asyncio.run(check())


def test_task_fails_at_its_timeout(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path, "time.sleep(600)", "max_retries: 1") as cloud:
            operation = await cloud.done(await cloud.run(timeout="0.05s"))
            assert operation["error"]["message"].endswith("failed with message: The configured timeout was reached.")
            assert (operation["metadata"]["failedCount"], operation["metadata"]["retriedCount"]) == (1, 1)

    asyncio.run(check())


def test_cancelled_execution_ends_without_an_error(tmp_path: Path) -> None:
    async def check() -> None:
        do = "signal.signal(signal.SIGTERM, lambda *_: (note(told=True), sys.exit(7))); note(); time.sleep(600)"
        async with running(tmp_path, do, "parallelism: 1") as cloud:
            begun = await cloud.run(taskCount=3)
            await cloud.until(cloud.seen)
            name = begun["metadata"]["name"]
            cancelled = await cloud.done(await cloud.call("POST", f"{name}:cancel"))
            ran = await cloud.done(begun)
            assert (
                ran["response"]
                == cancelled["response"]
                == await cloud.call("GET", name) | {"@type": "type.googleapis.com/google.cloud.run.v2.Execution"}
            )
            assert ran["response"]["cancelledCount"] == 3
            assert ran["response"]["conditions"][0]["executionReason"] == "CANCELLED"
            assert [task.get("told", False) for task in cloud.seen()] == [False, True]
            again = await cloud.call("POST", f"{name}:cancel", 400)
            assert again["error"]["status"] == "FAILED_PRECONDITION"

    asyncio.run(check())


def test_task_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path, STUBBORN, grace_s=0.05) as cloud:
            begun = await cloud.run()
            await cloud.until(cloud.seen)
            await cloud.call("POST", f"{begun['metadata']['name']}:cancel")
            assert (await cloud.done(begun))["response"]["cancelledCount"] == 1
            assert not psutil.pid_exists(cloud.seen()[0]["pid"])

    asyncio.run(check())


def test_kill_ends_tasks_immediately(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path, STUBBORN, grace_s=600) as cloud:
            await cloud.run()
            await cloud.until(cloud.seen)
            stopping = asyncio.create_task(cloud.jobs.stop())
            await asyncio.sleep(0)
            cloud.jobs.kill()
            await stopping

    asyncio.run(check())


def test_interrupted_execution_resumes_its_unfinished_tasks_after_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        do = 'note(); index == "0" or until("gate")'
        data = tmp_path / "data"
        async with running(tmp_path, do, "parallelism: 1", data=data) as cloud:
            begun = await cloud.run(taskCount=3)
            await cloud.until(lambda: len(cloud.seen()) == 2)
        (tmp_path / "gate").touch()
        async with running(tmp_path, do, "parallelism: 1", data=data) as cloud:
            execution = (await cloud.done(begun))["response"]
            assert (execution["succeededCount"], execution.get("retriedCount", 0)) == (3, 0)
            ran = [task["env"] for task in cloud.seen()]
            assert [env["CLOUD_RUN_TASK_INDEX"] for env in ran] == ["0", "1", "1", "2"]
            assert {env["CLOUD_RUN_TASK_ATTEMPT"] for env in ran} == {"0"}

    asyncio.run(check())


def test_cancellation_survives_a_kill(tmp_path: Path) -> None:
    async def check() -> None:
        data = tmp_path / "data"
        async with running(tmp_path, HOLD, data=data) as cloud:
            begun = await cloud.run(taskCount=2)
            await cloud.until(cloud.seen)
        store = Store(data)
        (execution,) = store.unfinished()
        execution.cancelling = True
        store.update(execution)
        store.close()
        async with running(tmp_path, HOLD, data=data) as cloud:
            assert (await cloud.done(begun))["response"]["cancelledCount"] == 2

    asyncio.run(check())


def test_execution_of_a_deleted_job_fails(tmp_path: Path) -> None:
    async def check() -> None:
        data = tmp_path / "data"
        async with running(tmp_path, HOLD, data=data) as cloud:
            begun = await cloud.run()
            await cloud.until(cloud.seen)
        async with running(tmp_path, job="another", data=data) as cloud:
            assert "the stack has no job 'toy' any more" in (await cloud.done(begun))["error"]["message"]

    asyncio.run(check())


def test_tasks_that_have_not_started_are_listed_as_pending(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path, HOLD, "parallelism: 1") as cloud:
            begun = await cloud.run(taskCount=3)
            await cloud.until(cloud.seen)
            tasks = (await cloud.call("GET", f"{begun['metadata']['name']}/tasks"))["tasks"]
            states = [task["conditions"][0]["state"] for task in tasks]
            assert states == ["CONDITION_RECONCILING", "CONDITION_PENDING", "CONDITION_PENDING"]

    asyncio.run(check())
