"""The resources of the API as JSON, as Google writes it: what has its default value is left out."""

import hashlib
from typing import Any

from emulator.cloud_run_jobs.resources import CANCELLED, ENDED, FAILED, PENDING, SUCCEEDED, Execution, Operation, Task
from emulator.googleapi.errors import FailedPreconditionError
from emulator.googleapi.timestamps import NANOS, duration, rfc3339
from emulator.stack.model import Job
from emulator.workflows_api.resources import Json

_EXECUTION_TYPE = "type.googleapis.com/google.cloud.run.v2.Execution"
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


def job_json(name: str, job: Job, created: int, count: int, latest: Execution | None) -> Json:
    """A Job resource; `created` is when the emulator read it from the stack file."""
    ready = {"type": "Ready", "state": "CONDITION_SUCCEEDED", "lastTransitionTime": rfc3339(created)}
    return _set(
        {
            "name": name,
            "generation": "1",
            "createTime": rfc3339(created),
            "updateTime": rfc3339(created),
            "launchStage": "GA",
            "template": _set(
                {
                    "parallelism": job.parallelism,
                    "taskCount": job.tasks,
                    "template": _template(job, list(job.args), dict(job.env), job.max_retries, job.task_timeout),
                }
            ),
            "observedGeneration": "1",
            "terminalCondition": ready,
            "executionCount": count,
            "latestCreatedExecution": _reference(latest) if latest else None,
            "etag": etag(job),
        }
    )


def etag(job: Job) -> str:
    """Changes with the job's definition in the stack file."""
    return f'"{hashlib.sha256(repr(job).encode()).hexdigest()[:16]}"'


def execution_json(execution: Execution, job: Job | None) -> Json:
    """An Execution resource; `job` is its job as the stack has it now."""
    template = None
    if job:
        args = list(job.args) if execution.args is None else execution.args
        env = {**job.env, **execution.env}
        template = _template(job, args, env, execution.max_retries, execution.timeout_s)
    return _set(
        {
            "name": execution.name,
            "uid": execution.uid,
            "generation": "1",
            "createTime": rfc3339(execution.create_time),
            "startTime": _time(execution.start_time),
            "completionTime": _time(execution.completion_time),
            "updateTime": rfc3339(execution.completion_time or execution.start_time or execution.create_time),
            "launchStage": "GA",
            "job": execution.job.rsplit("/", 1)[1],
            "parallelism": execution.parallelism,
            "taskCount": execution.task_count,
            "template": template,
            "reconciling": execution.state not in ENDED,
            "conditions": [_completed(execution)],
            "observedGeneration": "1",
            "runningCount": execution.running,
            "succeededCount": execution.succeeded,
            "failedCount": execution.failed,
            "cancelledCount": execution.cancelled,
            "retriedCount": execution.retried,
        }
    )


def task_json(execution: Execution, task: Task) -> Json:
    """A Task resource."""
    state = CANCELLED if execution.state in ENDED and task.state not in ENDED else task.state
    condition = {"type": "Completed", "state": _STATES.get(state, "CONDITION_RECONCILING"), "message": task.message}
    result: Json | None = None
    if task.message or task.exit_code is not None:
        status = {"code": 2, "message": task.message} if task.message else {}
        result = {"status": status, **_set({"exitCode": task.exit_code, "termSignal": task.term_signal})}
    return _set(
        {
            "name": f"{execution.name}/tasks/{execution.id}-task{task.index}",
            "createTime": rfc3339(execution.create_time),
            "startTime": _time(task.start_time),
            "completionTime": _time(task.completion_time),
            "job": execution.job.rsplit("/", 1)[1],
            "execution": execution.id,
            "maxRetries": execution.max_retries,
            "timeout": _seconds(execution.timeout_s),
            "reconciling": state not in ENDED,
            "conditions": [_set(condition)],
            "index": task.index,
            "retried": task.retried,
            "lastAttemptResult": result,
        }
    )


def operation_json(operation: Operation, execution: Execution, job: Job | None) -> Json:
    """A long-running operation as its execution stands now.

    That of `run` fails with a failed execution. That of a cancelled one does not: it answers with the execution,
    some of whose tasks are counted as cancelled.
    """
    body = {"@type": _EXECUTION_TYPE, **execution_json(execution, job)}
    answer: Json = {"name": operation.name, "metadata": body}
    if execution.state not in ENDED:
        return answer
    answer["done"] = True
    if execution.state == FAILED and operation.verb == "run":
        answer["error"] = FailedPreconditionError(execution.message).rpc_status()
    else:
        answer["response"] = body
    return answer


def validated_json(operation: Operation, execution: Execution, job: Job) -> Json:
    """The operation of a request that was only to be checked: done, with the execution as it would begin."""
    answer = operation_json(operation, execution, job)
    return {**answer, "done": True, "response": answer["metadata"]}


def _completed(execution: Execution) -> Json:
    changed = execution.completion_time or execution.start_time or execution.create_time
    reasons = {FAILED: "NON_ZERO_EXIT_CODE", CANCELLED: "CANCELLED"}
    cancelling = "CANCELLING" if execution.cancelling else None
    return _set(
        {
            "type": "Completed",
            "state": _STATES.get(execution.state, "CONDITION_RECONCILING"),
            "message": execution.message,
            "lastTransitionTime": rfc3339(changed),
            "executionReason": reasons.get(execution.state, cancelling),
        }
    )


def _reference(execution: Execution) -> Json:
    return _set(
        {
            "name": execution.id,
            "createTime": rfc3339(execution.create_time),
            "completionTime": _time(execution.completion_time),
            "completionStatus": _COMPLETION.get(execution.state, "EXECUTION_RUNNING"),
        }
    )


def _template(job: Job, args: list[str], env: dict[str, str], retries: int, timeout_s: float) -> Json:
    container = {
        "name": job.name,
        "command": list(job.command),
        "args": args,
        "env": [{"name": name, "value": value} for name, value in env.items()],
    }
    return _set({"containers": [_set(container)], "maxRetries": retries, "timeout": _seconds(timeout_s)})


def _seconds(seconds: float) -> str:
    return duration(round(seconds * NANOS))


def _time(nanos: int | None) -> str | None:
    return None if nanos is None else rfc3339(nanos)


def _set(fields: dict[str, Any]) -> Json:
    return {key: value for key, value in fields.items() if value not in (None, "", {}, [], 0, False)}
