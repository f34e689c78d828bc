"""Runs executions: starts their tasks as processes, with limited parallelism, retries them, stores every change.

After a restart, unfinished executions resume: tasks that have ended stay as they are, and interrupted tasks run again
as the same attempt, since an interruption is not a failure.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from emulator.cloud_run_jobs.resources import (
    CANCELLED,
    ENDED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    Execution,
    Operation,
    Task,
)
from emulator.cloud_run_jobs.store import Store
from emulator.googleapi.errors import FailedPreconditionError, UnavailableError

logger = logging.getLogger(__name__)

GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task; `args` None stands for the job's own; `env` comes on top of the job's."""

    job: str
    execution: str
    index: int
    args: Sequence[str] | None
    env: Mapping[str, str]


class TaskProcess(Protocol):
    """The process of a task, with the processes that it starts."""

    async def wait(self) -> int:
        """The exit status, or minus the number of the signal that ended the process."""

    def signal(self, number: int) -> None:
        """Send a signal."""

    async def end(self) -> None:
        """Kill the processes that are left."""


StartTask = Callable[[Attempt], Awaitable[TaskProcess]]


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of an attempt: it succeeded if `message` is empty, and does not count if it was `interrupted`."""

    message: str = ""
    exit_code: int | None = None
    term_signal: int | None = None
    interrupted: bool = False


@dataclass(slots=True, eq=False)
class _Run:
    """An unfinished execution with its state in memory; `halt` stops its tasks."""

    execution: Execution
    tasks: dict[int, Task]
    halt: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    processes: set[TaskProcess] = field(default_factory=set)
    work: asyncio.Task[None] | None = None


class Runner:
    """The unfinished executions.

    Args:
        start_task: starts a process; an OSError counts as a failed attempt.
        grace_s: seconds between SIGTERM and SIGKILL for a task that has to end.
        now: nanoseconds since 1970.
    """

    def __init__(
        self, store: Store, start_task: StartTask, *, grace_s: float = GRACE_S, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._store, self._start_task, self._grace_s, self._now = store, start_task, grace_s, now
        self._runs: dict[str, _Run] = {}
        self._started = self._stopping = False

    def start(self) -> None:
        """Resume the unfinished executions in the store and start those submitted since it was opened."""
        self._started = True
        for execution in self._store.unfinished():
            run = self._runs.get(execution.name)
            if run is None:
                execution.running = 0
                run = self._add(execution, self._store.tasks(execution.name))
                logger.info("job execution resumed", extra={"execution": execution.id})
            run.work = asyncio.create_task(self._execute(run))

    async def stop(self) -> None:
        """Stop every task; in the store their executions stay unfinished."""
        self._stopping = True
        works = []
        for run in self._runs.values():
            run.halt.set()
            works += [run.work] if run.work else []
        await asyncio.gather(*works)
        for run in self._runs.values():
            run.ended.set()

    def kill(self) -> None:
        """Kill the processes of all tasks, so that `stop` returns soon."""
        for run in self._runs.values():
            for process in run.processes:
                process.signal(signal.SIGKILL)

    def submit(self, execution: Execution, operation: Operation) -> None:
        """Store a new execution and start it.

        Raises:
            UnavailableError: the runner has stopped.
        """
        if self._stopping:
            raise UnavailableError("the emulator is stopping")
        self._store.add(execution, operation)
        run = self._add(execution, {})
        if self._started:
            run.work = asyncio.create_task(self._execute(run))

    def cancel(self, name: str, operation: Operation) -> None:
        """Ask the tasks of an execution to end; the execution ends when they have ended.

        Raises:
            FailedPreconditionError: the execution has ended.
        """
        run = self._runs.get(name)
        if run is None or self._stopping:
            raise FailedPreconditionError(f"Execution '{name}' is not running: it cannot be cancelled")
        run.execution.cancelling = True
        self._store.update(run.execution)
        self._store.add_operation(operation)
        run.halt.set()

    def find(self, name: str) -> Execution | None:
        """An unfinished execution."""
        run = self._runs.get(name)
        return run.execution if run else None

    async def wait(self, name: str, timeout_s: float) -> None:
        """Return when an execution has ended, after the timeout, or when the runner has stopped."""
        run = self._runs.get(name)
        if run:
            try:
                async with asyncio.timeout(timeout_s):
                    await run.ended.wait()
            except TimeoutError:
                return

    def _add(self, execution: Execution, tasks: dict[int, Task]) -> _Run:
        run = self._runs[execution.name] = _Run(execution, tasks)
        if execution.cancelling:
            run.halt.set()
        return run

    async def _execute(self, run: _Run) -> None:
        execution = run.execution
        left = [index for index in range(execution.task_count) if not _has_ended(run, index)]
        width = min(len(left), execution.parallelism or os.cpu_count() or 1)
        try:
            if not run.halt.is_set():
                execution.state, execution.start_time = RUNNING, execution.start_time or self._now()
                self._store.update(execution)
            indexes = iter(left)
            async with asyncio.TaskGroup() as group:
                for _ in range(width):
                    group.create_task(self._work(run, indexes))
        except Exception:
            logger.exception("job execution failed in the emulator", extra={"execution": execution.id})
            self._end(run, FAILED, "The emulator failed; see its log.")
            return
        if execution.cancelling:
            execution.cancelled = execution.task_count - execution.succeeded - execution.failed
            self._end(run, CANCELLED, "The execution was cancelled.")
        elif not self._stopping:
            self._end(run, FAILED if execution.failed else SUCCEEDED, _summary(run))

    def _end(self, run: _Run, state: str, message: str) -> None:
        execution = run.execution
        execution.state, execution.message, execution.completion_time = state, message, self._now()
        execution.running = 0
        undone = [task for task in run.tasks.values() if task.state not in ENDED]
        for task in undone:
            task.state, task.completion_time = CANCELLED, execution.completion_time
        self._store.update(execution, undone)
        del self._runs[execution.name]
        run.ended.set()
        counts = {"tasks": execution.task_count, "failed": execution.failed, "retried": execution.retried}
        level = logging.WARNING if state == FAILED else logging.INFO
        cause = {"cause": message} if state == FAILED else {}
        logger.log(level, "job execution ended", extra={"execution": execution.id, "state": state, **counts, **cause})

    async def _work(self, run: _Run, indexes: Iterator[int]) -> None:
        """Run tasks one after the other."""
        for index in indexes:
            if run.halt.is_set():
                return
            await self._finish(run, run.tasks.setdefault(index, Task(index)))

    async def _finish(self, run: _Run, task: Task) -> None:
        """Run a task until it succeeds, has no retries left, or the execution is halted."""
        execution = run.execution
        while not run.halt.is_set():
            task.state, task.start_time = RUNNING, task.start_time or self._now()
            execution.running += 1
            self._store.update(execution, [task])
            result = await self._attempt(run, task)
            execution.running -= 1
            if result.interrupted:
                return
            again = bool(result.message) and task.retried < execution.max_retries
            self._record(execution, task, result, again=again)
            self._store.update(execution, [task])
            if not again:
                return

    def _record(self, execution: Execution, task: Task, result: _Result, *, again: bool) -> None:
        """Record the result of an attempt."""
        task.exit_code, task.term_signal, task.message = result.exit_code, result.term_signal, result.message
        if result.message:
            logger.warning(
                "task failed and is retried" if again else "task failed",
                extra={
                    "execution": execution.id,
                    "task": task.index,
                    "attempt": task.retried,
                    "problem": result.message,
                },
            )
        if again:
            task.state = PENDING
            task.retried += 1
            execution.retried += 1
            return
        task.state, task.completion_time = FAILED if result.message else SUCCEEDED, self._now()
        execution.failed += task.state == FAILED
        execution.succeeded += task.state == SUCCEEDED

    async def _attempt(self, run: _Run, task: Task) -> _Result:
        execution = run.execution
        try:
            process = await self._start_task(_next_attempt(execution, task))
        except (OSError, ValueError) as error:  # ValueError: the file system encoding cannot encode an argument
            return _Result(f"The container could not be started: {error}")
        run.processes.add(process)
        exited, halted = asyncio.create_task(process.wait()), asyncio.create_task(run.halt.wait())
        try:
            await asyncio.wait((exited, halted), timeout=execution.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            exited_itself, interrupted = exited.done(), halted.done()
            if not exited_itself:
                process.signal(signal.SIGTERM)
                await asyncio.wait((exited,), timeout=self._grace_s)
        finally:
            halted.cancel()
            await process.end()
            run.processes.discard(process)
        status = await exited
        if exited_itself:
            return _result(status)
        if interrupted:
            return _Result(interrupted=True)
        return _Result("The configured timeout was reached.", term_signal=-status if status < 0 else None)


def _next_attempt(execution: Execution, task: Task) -> Attempt:
    job = execution.job.rsplit("/", 1)[1]
    env = {
        **execution.env,
        "CLOUD_RUN_JOB": job,
        "CLOUD_RUN_EXECUTION": execution.id,
        "CLOUD_RUN_TASK_INDEX": str(task.index),
        "CLOUD_RUN_TASK_ATTEMPT": str(task.retried),
        "CLOUD_RUN_TASK_COUNT": str(execution.task_count),
    }
    return Attempt(job, execution.id, task.index, execution.args, env)


def _result(status: int) -> _Result:
    if status == 0:
        return _Result(exit_code=0)
    if status > 0:
        return _Result("The container exited with an error.", exit_code=status)
    return _Result(f"The container was terminated by signal {-status}.", term_signal=-status)


def _has_ended(run: _Run, index: int) -> bool:
    return index in run.tasks and run.tasks[index].state in ENDED


def _summary(run: _Run) -> str:
    """The first failure, or success, in Cloud Run's words."""
    for task in sorted(run.tasks.values(), key=lambda task: task.index):
        if task.state == FAILED:
            return f"Task {run.execution.id}-task{task.index} failed with message: {task.message}"
    return "Execution completed successfully."
