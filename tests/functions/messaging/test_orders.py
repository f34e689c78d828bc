"""What a collection does next, without doing it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging import orders, runs
from messaging.orders import Collection, Pull
from pipeline.errors import RejectedError
from pipeline.waiting import Note

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def notes(count: int, group: str = "a", due: datetime = NOW) -> list[Note]:
    return [Note(str(number), due, group) for number in range(count)]


def course(
    answers: Sequence[Any],
    order: Collection | None = None,
    pull_size: int = 0,
    over_after: int = 99,
    starts: int = 99,
    most: int = 1000,
) -> tuple[list[str], Collection | None]:
    """The steps that follow from these answers, each as its name, and the order that continues them."""
    over, may = iter([False] * over_after), iter([most] * starts)
    steps = orders.steps(order or Collection(), pull_size, lambda: NOW, lambda: next(may, 0), lambda: next(over, True))
    taken: list[str] = []
    left: Iterator[Any] = iter(answers)
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            assert next(left, None) is None
            return taken, end.value
        taken.append(type(step).__name__ + (str(step.size) if isinstance(step, Pull) else ""))
        answer = next(left)


def test_nothing_waits() -> None:
    assert course([[]]) == (["Look"], None)


def test_a_small_run_is_started_and_no_other_collection_is_asked_for() -> None:
    assert course([notes(3), 3]) == (["Look", "Start"], None)


def test_what_is_not_due_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert course([notes(3, due=NOW + timedelta(hours=1))]) == (["Look"], None)


def test_after_a_full_run_the_lanes_are_shared_and_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_MEMBERS", 2)
    assert course([notes(5), 2, True, notes(1), 1]) == (["Look", "Start", "Share", "Look", "Start"], None)


def test_a_full_run_that_starts_nothing_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_MEMBERS", 2)
    assert course([notes(5), 0]) == (["Look", "Start"], None)


def test_a_collection_without_lanes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_MEMBERS", 2)
    assert course([notes(5), 2, False]) == (["Look", "Start", "Share"], None)


def test_groups_have_runs_of_their_own() -> None:
    assert course([[*notes(2), *notes(2, "b")], 2, 2]) == (["Look", "Start", "Start"], None)


def test_it_goes_on_in_another_order_when_its_time_is_over() -> None:
    order = Collection(owner="me")
    assert course([[*notes(2), *notes(2, "b")], 2], order, over_after=1) == (["Look", "Start"], order)
    assert course([[], 5, True], order, pull_size=5, over_after=1) == (["Look", "Pull5", "Share"], order)


def test_nothing_is_started_once_nothing_may_be() -> None:
    assert course([], starts=0) == ([], None)
    assert course([[*notes(2), *notes(2, "b")], 2], starts=2) == (["Look", "Start"], None)
    assert course([[]], pull_size=5, starts=1) == (["Look"], None)


def test_a_full_pull_asks_for_one_more_collection() -> None:
    assert course([[], 5, True, 4], pull_size=5) == (["Look", "Pull5", "Share", "Pull5"], None)
    assert course([[], 5, False], pull_size=5) == (["Look", "Pull5", "Share"], None)


def test_a_limit_bounds_what_is_pulled() -> None:
    assert course([[], 5, 2], Collection(7), pull_size=5) == (["Look", "Pull5", "Pull2"], None)
    assert course([[], 5], Collection(7), pull_size=5, over_after=1) == (["Look", "Pull5"], Collection(2))


@pytest.mark.parametrize("order", [Collection(), Collection(5), Collection(None, "me"), Collection(5, "me")], ids=str)
def test_an_order_is_read_as_it_was_published(order: Collection) -> None:
    assert orders.parse(order.message()["collect"]) == order


@pytest.mark.parametrize(
    "value", [None, [], {"limit": 0}, {"limit": True}, {"limit": "5"}, {"owner": 5}, {"lane": 1}], ids=str
)
def test_another_order_is_rejected(value: Any) -> None:
    with pytest.raises(RejectedError):
        orders.parse(value)
