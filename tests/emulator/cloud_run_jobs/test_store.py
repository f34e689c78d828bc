"""What the store keeps of ended executions."""

from emulator.cloud_run_jobs.resources import RUNNING, SUCCEEDED, Execution, Operation, Task
from emulator.cloud_run_jobs.store import Store

JOB = "projects/p/locations/l/jobs/j"


def filled() -> Store:
    store = Store(None)
    for number in range(6):
        execution = Execution(f"{JOB}/executions/{number}", JOB, "uid", number, 1, 1, 0, 60)
        store.add(execution, Operation(f"operations/{number}", "run", execution.name))
        execution.state = RUNNING if number == 0 else SUCCEEDED
        execution.completion_time = None if number == 0 else number
        store.update(execution, [Task(0)])
    return store


def test_the_oldest_ended_executions_go_with_their_tasks_and_operations() -> None:
    store = filled()
    assert store.prune(keep=2, ended_before=0, limit=100) == [f"{JOB}/executions/{number}" for number in (1, 2, 3)]
    assert [execution.id for execution in store.executions()] == ["5", "4", "0"]
    assert [operation.name for operation in store.operations()] == ["operations/5", "operations/4", "operations/0"]
    assert store.tasks(f"{JOB}/executions/1") == {}
    assert store.tasks(f"{JOB}/executions/5") != {}


def test_executions_that_ended_long_ago_are_deleted() -> None:
    store = filled()
    assert len(store.prune(keep=100, ended_before=5, limit=100)) == 4
    assert store.prune(keep=100, ended_before=5, limit=100) == []
