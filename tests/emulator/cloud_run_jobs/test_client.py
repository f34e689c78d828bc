"""The official client, unmodified, against the jobs of an emulator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import FailedPrecondition, MethodNotImplemented, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2

from emulator.server import Emulator
from emulator.stack import loader
from tests.emulator.cloud_run_jobs.running import JOB, PARENT, starting, write_stack

Overrides = run_v2.RunJobRequest.Overrides


@pytest.fixture
def options(tmp_path: Path, background: Any) -> Iterator[dict[str, Any]]:
    """The options of a client that reach the emulator."""
    do = 'sys.exit(int(os.environ.get("TOY_STATUS", "0")))'
    stack = loader.load(write_stack(tmp_path, do, "max_retries: 1"))
    with starting(stack) as tasks:
        emulator = Emulator(stack, services={}, start_task=tasks.start)
        background.run(emulator.__aenter__())
        yield {
            "transport": "rest",
            "credentials": AnonymousCredentials(),
            "client_options": {"api_endpoint": f"http://{emulator.http}"},
        }
        background.run(emulator.close())


def test_client_runs_a_job_and_reads_its_result(options: dict[str, Any]) -> None:
    jobs = run_v2.JobsClient(**options)
    assert [job.name for job in jobs.list_jobs(parent=PARENT)] == [JOB]
    execution = jobs.run_job({"name": JOB, "overrides": Overrides(task_count=2)}).result(timeout=60)
    assert (execution.succeeded_count, execution.task_count) == (2, 2)
    (only,) = run_v2.ExecutionsClient(**options).list_executions(parent=JOB)
    assert only == execution
    assert jobs.get_job(name=JOB).execution_count == 1


def test_failed_execution_raises_and_its_tasks_say_why(options: dict[str, Any]) -> None:
    change = Overrides.ContainerOverride(env=[run_v2.EnvVar(name="TOY_STATUS", value="3")])
    request = run_v2.RunJobRequest(name=JOB, overrides=Overrides(container_overrides=[change]))
    operation = run_v2.JobsClient(**options).run_job(request)
    with pytest.raises(FailedPrecondition, match="task0 failed with message: The container exited with an error"):
        operation.result(timeout=60)
    name = operation.metadata.name
    execution = run_v2.ExecutionsClient(**options).get_execution(name=name)
    assert (execution.failed_count, execution.retried_count) == (1, 1)
    assert execution.conditions[0].execution_reason == run_v2.Condition.ExecutionReason.NON_ZERO_EXIT_CODE
    (task,) = run_v2.TasksClient(**options).list_tasks(parent=name)
    assert task.last_attempt_result.exit_code == 3


def test_errors_become_the_clients_exceptions(options: dict[str, Any]) -> None:
    jobs = run_v2.JobsClient(**options)
    with pytest.raises(NotFound, match="Resource 'none' of kind 'JOB'"):
        jobs.run_job(name=f"{PARENT}/jobs/none")
    with pytest.raises(MethodNotImplemented, match="not emulated"):
        jobs.delete_job(name=JOB)
