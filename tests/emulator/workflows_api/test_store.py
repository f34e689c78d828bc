"""What the store keeps of ended executions."""

from pathlib import Path

import pytest

from emulator.workflows_api.resources import ACTIVE, SUCCEEDED, Execution
from emulator.workflows_api.store import Store

WORKFLOW = "projects/p/locations/l/workflows/w"


def name(number: int) -> str:
    return f"{WORKFLOW}/executions/{number}"


def add(store: Store, number: int, *, ended: bool = True) -> None:
    execution = Execution(name(number), WORKFLOW, "000001-abc", ACTIVE, create_time=number, start_time=number)
    store.add_execution(execution)
    if ended:
        execution.state, execution.end_time = SUCCEEDED, number
        store.update_execution(execution, [{"name": "entry"}])


def kept(store: Store, numbers: range) -> list[int]:
    return [number for number in numbers if store.execution(name(number))]


@pytest.fixture
def store() -> Store:
    store = Store(None)
    for number in range(10):
        add(store, number, ended=number != 3)
    return store


def test_the_oldest_ended_executions_go_first_and_unfinished_ones_stay(store: Store) -> None:
    while store.prune(keep=5, histories=100, ended_before=0, limit=2):
        pass
    assert kept(store, range(10)) == [3, 5, 6, 7, 8, 9]
    assert store.history(name(4)) == []
    assert store.history(name(5))


def test_executions_that_ended_long_ago_are_deleted(store: Store) -> None:
    store.prune(keep=100, histories=100, ended_before=7, limit=100)
    assert kept(store, range(10)) == [3, 7, 8, 9]


def test_step_entries_are_kept_for_the_newest_executions(store: Store) -> None:
    store.prune(keep=100, histories=2, ended_before=0, limit=100)
    assert kept(store, range(10)) == list(range(10))
    assert [number for number in range(10) if store.history(name(number))] == [8, 9]


def test_the_file_shrinks(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(2000):
        add(store, number)
        store.update_execution(store.execution(name(number)) or pytest.fail("lost"), [{"name": "x" * 2000}])
    while store.prune(keep=10, histories=10, ended_before=0, limit=500):
        pass
    store.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 300_000
