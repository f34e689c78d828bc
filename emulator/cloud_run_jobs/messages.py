"""The resources of the API as messages of Google's client library."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.cloud.run_v2 import types
from google.longrunning import operations_pb2
from google.rpc import status_pb2

from emulator.cloud_run_jobs.resources import CANCELLED, ENDED, FAILED, PENDING, SUCCEEDED, Execution, Operation, Task
from emulator.googleapi.errors import FailedPreconditionError
from emulator.googleapi.messages import Message, write
from emulator.googleapi.timestamps import timestamp
from emulator.stack.model import Job

_STATES = {
    PENDING: "CONDITION_PENDING",
    SUCCEEDED: "CONDITION_SUCCEEDED",
    FAILED: "CONDITION_FAILED",
    CANCELLED: "CONDITION_FAILED",
}
_COMPLETION = {
    PENDING: "EXECUTION_PENDING",
    SUCCEEDED: "EXECUTION_SUCCEEDED",
    FAILED: "EXECUTION_FAILED",
    CANCELLED: "EXECUTION_CANCELLED",
}
_REASONS = {FAILED: "NON_ZERO_EXIT_CODE", CANCELLED: "CANCELLED"}
_UNKNOWN = 2  # google.rpc.Code


def job_message(name: str, job: Job, created: int, count: int, latest: Execution | None) -> Message:
    """A Job; `created` is when the emulator read it from the stack file, `count` the number of its executions."""
    time = timestamp(created)
    return types.Job.pb()(
        name=name,
        generation=1,
        create_time=time,
        update_time=time,
        launch_stage="GA",
        template=types.ExecutionTemplate.pb()(
            parallelism=job.parallelism,
            task_count=job.tasks,
            template=_template(job, job.args, dict(job.env), job.max_retries, job.task_timeout),
        ),
        observed_generation=1,
        terminal_condition=types.Condition.pb()(type_="Ready", state="CONDITION_SUCCEEDED", last_transition_time=time),
        execution_count=count,
        latest_created_execution=_reference(latest) if latest else None,
        etag=etag(job),
    )


def etag(job: Job) -> str:
    """A value that changes with the job's definition in the stack file."""
    return f'"{hashlib.sha256(repr(job).encode()).hexdigest()[:16]}"'


def execution_message(execution: Execution, job: Job | None) -> Message:
    """An Execution; `job` is its job in the present stack file, if that still has it."""
    template = None
    if job:
        args = job.args if execution.args is None else execution.args
        template = _template(job, args, {**job.env, **execution.env}, execution.max_retries, execution.timeout_s)
    changed = execution.completion_time or execution.start_time or execution.create_time
    return types.Execution.pb()(
        name=execution.name,
        uid=execution.uid,
        generation=1,
        create_time=timestamp(execution.create_time),
        start_time=_time(execution.start_time),
        completion_time=_time(execution.completion_time),
        update_time=timestamp(changed),
        launch_stage="GA",
        job=execution.job.rsplit("/", 1)[1],
        parallelism=execution.parallelism,
        task_count=execution.task_count,
        template=template,
        reconciling=execution.state not in ENDED,
        conditions=[_completed(execution, changed)],
        observed_generation=1,
        running_count=execution.running,
        succeeded_count=execution.succeeded,
        failed_count=execution.failed,
        cancelled_count=execution.cancelled,
        retried_count=execution.retried,
    )


def task_message(execution: Execution, task: Task) -> Message:
    """A Task."""
    state = CANCELLED if execution.state in ENDED and task.state not in ENDED else task.state
    result = None
    if task.message or task.exit_code is not None:
        status = status_pb2.Status(code=_UNKNOWN if task.message else 0, message=task.message)
        result = types.TaskAttemptResult.pb()(status=status, exit_code=task.exit_code, term_signal=task.term_signal)
    return types.Task.pb()(
        name=f"{execution.name}/tasks/{execution.id}-task{task.index}",
        create_time=timestamp(execution.create_time),
        start_time=_time(task.start_time),
        completion_time=_time(task.completion_time),
        job=execution.job.rsplit("/", 1)[1],
        execution=execution.id,
        max_retries=execution.max_retries,
        timeout=timedelta(seconds=execution.timeout_s),
        reconciling=state not in ENDED,
        conditions=[_condition(state, task.message)],
        index=task.index,
        retried=task.retried,
        last_attempt_result=result,
    )


def operation_message(
    operation: Operation, execution: Execution, job: Job | None, *, validated: bool = False
) -> Message:
    """A long-running operation, whose state is its execution's.

    The operation of `run` fails with its execution. The operation of `cancel` succeeds with the execution, some of
    whose tasks count as cancelled. `validated` stands for a request that was only to be validated: the operation is
    done, with the execution as it would start.
    """
    resource = execution_message(execution, job)
    message = operations_pb2.Operation(name=operation.name, done=validated or execution.state in ENDED)
    message.metadata.Pack(resource)
    if execution.state == FAILED and operation.verb == "run":
        message.error.CopyFrom(write(status_pb2.Status, FailedPreconditionError(execution.message).rpc_status()))
    elif message.done:
        message.response.Pack(resource)
    return message


def _completed(execution: Execution, changed: int) -> Message:
    reason = _REASONS.get(execution.state, "CANCELLING" if execution.cancelling else None)
    return _condition(
        execution.state, execution.message, last_transition_time=timestamp(changed), execution_reason=reason
    )


def _condition(state: str, message: str, **fields: Any) -> Message:
    state = _STATES.get(state, "CONDITION_RECONCILING")
    return types.Condition.pb()(type_="Completed", state=state, message=message, **fields)


def _reference(execution: Execution) -> Message:
    return types.ExecutionReference.pb()(
        name=execution.id,
        create_time=timestamp(execution.create_time),
        completion_time=_time(execution.completion_time),
        completion_status=_COMPLETION.get(execution.state, "EXECUTION_RUNNING"),
    )


def _template(job: Job, args: Sequence[str], env: Mapping[str, str], retries: int, timeout_s: float) -> Message:
    container = types.Container.pb()(
        name=job.name,
        command=job.command,
        args=args,
        env=[types.EnvVar.pb()(name=name, value=value) for name, value in env.items()],
    )
    return types.TaskTemplate.pb()(containers=[container], max_retries=retries, timeout=timedelta(seconds=timeout_s))


def _time(nanos: int | None) -> Message | None:
    return None if nanos is None else timestamp(nanos)
