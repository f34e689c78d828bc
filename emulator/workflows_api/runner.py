"""Runs executions up to a limit, queues the others, and stores each when it starts and when it ends.

An execution is a task in this process, so only its row survives a crash. After a restart every ACTIVE or QUEUED
execution runs again **from its first step**, under the same name, with `GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT`
incremented. If the workflow's steps are idempotent, this keeps the service's promise that an accepted execution
ends. An execution that was interrupted `Limits.attempts` times ends FAILED, as it may be the cause of the crashes.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.googleapi.errors import FailedPreconditionError, ResourceExhaustedError, UnavailableError
from emulator.googleapi.messages import Json
from emulator.stack.model import PROJECT_NUMBER
from emulator.workflows import Environment, ExecutionError, Outcome, Runtime, WorkflowSyntaxError
from emulator.workflows_api import names
from emulator.workflows_api.calls import CallLog
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.history import History
from emulator.workflows_api.resources import ACTIVE, CANCELLED, DETAILED, FAILED, QUEUED, SUCCEEDED, Execution, Revision
from emulator.workflows_api.store import Store

logger = logging.getLogger(__name__)

RuntimeFor = Callable[[str], Runtime]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many executions run and are queued, and how often an interrupted one is started."""

    active: int = 1_000
    queued: int = 100_000
    attempts: int = 5


@dataclass(slots=True, eq=False)
class Run:
    """An unfinished execution with its state in memory."""

    execution: Execution
    history: History
    task: asyncio.Task[None] | None = field(default=None)


class Runner:
    """The unfinished executions.

    Args:
        runtime_for: returns the interpreter's runtime for a call log level.
        now: nanoseconds since 1970.

    Attributes:
        calls: the HTTP calls of the executions.
    """

    def __init__(
        self,
        store: Store,
        deployments: Deployments,
        runtime_for: RuntimeFor,
        *,
        limits: Limits,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store, self._deployments, self._runtime_for = store, deployments, runtime_for
        self._limits, self._now = limits, now
        self._runs: dict[str, Run] = {}
        self._queue: deque[Run] = deque()
        self._active = 0
        self._started = self._stopping = False
        self.calls = CallLog()

    def start(self) -> None:
        """Restart the unfinished executions in the store, then start those submitted since it was opened."""
        self._started = True
        self._queue.clear()
        for execution in self._store.unfinished():
            run = self._runs.get(execution.name)
            if run is None:
                run = self._add(execution)
                execution.state = QUEUED
                logger.info("execution resumed", extra={"execution": execution.name, "attempt": execution.attempt + 1})
            if run.execution.attempt >= self._limits.attempts:
                self._end(run, FAILED, error=_interrupted(run.execution.attempt))
            else:
                self._queue.append(run)
        self._fill()

    async def stop(self) -> None:
        """Stop every execution; in the store they stay unfinished."""
        self._stopping = True
        tasks = [run.task for run in self._runs.values() if run.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runs.clear()
        self._queue.clear()

    def submit(self, execution: Execution) -> None:
        """Store a new execution and start it, or queue it at the limit or before `start`.

        Raises:
            ResourceExhaustedError: the limit is reached, and the queue is full or the execution must not be queued.
            UnavailableError: the runner has stopped.
        """
        if self._stopping:
            raise UnavailableError("the emulator is stopping")
        if self._started and self._active < self._limits.active and not self._queue:
            execution.state, execution.start_time, execution.attempt = ACTIVE, execution.create_time, 1
            self._store.add_execution(execution)
            self._launch(self._add(execution))
            return
        if (execution.no_buffering and self._started) or len(self._queue) >= self._limits.queued:
            raise ResourceExhaustedError("the quota of concurrent executions is exhausted")
        execution.state = QUEUED
        self._store.add_execution(execution)
        self._queue.append(self._add(execution))

    def find(self, name: str) -> Run | None:
        """The run of an unfinished execution, with its current steps."""
        run = self._runs.get(name)
        if run:
            run.execution.current_steps = run.history.current_steps()
        return run

    def cancel(self, name: str) -> Execution:
        """End an unfinished execution as CANCELLED.

        Raises:
            FailedPreconditionError: the execution has ended.
        """
        run = self._runs.get(name)
        if run is None:
            raise FailedPreconditionError(f"execution {name!r} is not running: it cannot be cancelled")
        run.history.cancel()
        self._end(run, CANCELLED)
        if run.task:
            run.task.cancel()
        return run.execution

    def cancel_all(self, workflow: str) -> None:
        """Cancel every unfinished execution of a workflow."""
        for name in [name for name, run in self._runs.items() if run.execution.workflow == workflow]:
            self.cancel(name)

    def _add(self, execution: Execution) -> Run:
        detailed = execution.history_level == DETAILED
        run = Run(execution, History(execution.name, self._now, self.calls, detailed=detailed))
        self._runs[execution.name] = run
        return run

    def _fill(self) -> None:
        while self._queue and self._active < self._limits.active and not self._stopping:
            run = self._queue.popleft()
            if run.execution.state != QUEUED:
                continue  # cancelled while it waited
            run.execution.state = ACTIVE
            run.execution.start_time = run.execution.start_time or self._now()
            run.execution.attempt += 1
            self._store.update_execution(run.execution)
            self._launch(run)

    def _launch(self, run: Run) -> None:
        self._active += 1
        run.task = asyncio.create_task(self._execute(run), name=run.execution.name)
        # Not a `finally` in the coroutine: a task that is cancelled before its first step never enters it.
        run.task.add_done_callback(lambda _: self._release(run))

    def _release(self, run: Run) -> None:
        self._runtime_for(run.execution.call_log_level).callbacks.close(run.execution.name)
        self._active -= 1
        self._fill()

    async def _execute(self, run: Run) -> None:
        try:
            outcome = await self._interpret(run.execution, run.history)
            self._settle(run, outcome)
        except Exception:
            logger.exception("interpreter failed", extra={"execution": run.execution.name})
            error = _system_error("SystemError: the interpreter failed; see the emulator's log")
            self._settle(run, Outcome(FAILED, error=error))

    async def _interpret(self, execution: Execution, history: History) -> Outcome:
        try:
            revision, workflow = self._deployments.pinned(execution.workflow, execution.revision_id)
        except WorkflowSyntaxError as error:
            return Outcome(FAILED, error=_system_error(f"SystemError: the stored source does not compile: {error}"))
        return await workflow.execute(
            json.loads(execution.argument),
            environment=_environment(execution, revision),
            runtime=self._runtime_for(execution.call_log_level),
            observer=history,
        )

    def _settle(self, run: Run, outcome: Outcome) -> None:
        # A cancelled execution has ended already; one that the emulator's stop interrupts stays unfinished.
        if self._stopping or run.execution.state != ACTIVE:
            return
        if outcome.state == SUCCEEDED:
            self._end(run, SUCCEEDED, result=json.dumps(outcome.result, separators=(",", ":"), ensure_ascii=False))
        else:
            self._end(run, outcome.state, error=outcome.error)

    def _end(self, run: Run, state: str, *, result: str | None = None, error: ExecutionError | None = None) -> None:
        execution = run.execution
        execution.state, execution.end_time = state, self._now()
        execution.result, execution.error = result, _error_json(error) if error else None
        execution.current_steps = run.history.current_steps()
        self._store.update_execution(execution, run.history.entries())
        del self._runs[execution.name]
        if error is not None and state == FAILED:
            _report(execution, error)
        logger.info(
            "execution ended",
            extra={"execution": execution.name, "state": state, "attempt": execution.attempt},
        )


def _report(execution: Execution, error: ExecutionError) -> None:
    """Say in the log, whose warnings the terminal shows, where and why an execution failed."""
    place = {}
    if error.stack_trace:
        frame = error.stack_trace[0]
        place = {"step": frame.step, "routine": frame.routine, "line": frame.line}
    workflow, cause = names.last(execution.workflow), error.context.partition("\n")[0] or error.payload
    logger.warning(
        "execution failed",
        extra={"workflow": workflow, **place, "execution": names.last(execution.name), "cause": cause},
    )


def _environment(execution: Execution, revision: Revision) -> Environment:
    return Environment(
        project_id=names.project(execution.name),
        project_number=PROJECT_NUMBER,
        location=names.location_id(execution.name),
        workflow_id=names.last(execution.workflow),
        revision_id=execution.revision_id,
        execution_id=names.last(execution.name),
        attempt=execution.attempt,
        service_account=names.last(revision.service_account),
        variables=dict(revision.user_env_vars),
    )


def _interrupted(attempts: int) -> ExecutionError:
    return _system_error(
        f"SystemError: the execution was interrupted {attempts} times by the end of the emulator's process"
        " and is not restarted again"
    )


def _system_error(message: str) -> ExecutionError:
    payload = json.dumps({"message": message, "tags": ["SystemError"]})
    return ExecutionError(payload=payload, context=message)


def _error_json(error: ExecutionError) -> Json:
    elements = [
        {
            "step": frame.step,
            "routine": frame.routine,
            "position": {"line": str(frame.line), "column": str(frame.column), "length": str(frame.length)},
        }
        for frame in error.stack_trace
    ]
    rendered: Json = {"payload": error.payload, "context": error.context}
    if elements:
        rendered["stackTrace"] = {"elements": elements}
    return rendered
