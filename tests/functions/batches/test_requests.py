"""The writes that an input takes, from which bills and bounds are computed."""

import re
from collections import Counter
from collections.abc import Callable

import pytest

from benchmarks.scale import capacity
from event_inference.cost import scenario
from tests.functions.batches.test_microbatches import Collect, announce, collect, run, statuses, subscribed
from tests.functions.batches.test_waiting import HOUR, ago, deliver
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function

__all__ = ["collect", "subscribed"]  # fixtures

pytestmark = pytest.mark.usefixtures("subscribed")

INPUTS = 10
WORK = ("claims", "waiting", "outcomes")
OUTPUT = ("results", "latest")

Way = Callable[[Cloud, Function, Collect], None]


def by_itself(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(INPUTS):
        deliver(function, cloud.upload(f"{number}.txt", "I liked it."))


def pulled(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(INPUTS):
        announce(cloud, cloud.upload(f"{number}.txt", "I liked it."))
    collect()


def waiting(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(INPUTS):
        deliver(function, cloud.upload(f"{number}.txt", "I liked it.", metadata=HOUR), ago(3590))
    collect()


@pytest.mark.parametrize(
    ("way", "effort", "key", "work"),
    [
        (by_itself, scenario.SINGLE, "work_writes", {"claims": 2, "outcomes": 1}),
        (pulled, scenario.COLLECTED, "work_writes", {"claims": 2, "outcomes": 1}),
        (waiting, scenario.WAITED, "work_writes_of_waiting", {"claims": 3, "waiting": 1, "outcomes": 1}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_input_takes_as_many_writes_as_bills_and_bounds_assume(
    cloud: Cloud,
    function: Function,
    collect: Collect,
    way: Way,
    effort: scenario.Effort,
    key: str,
    work: dict[str, int],
) -> None:
    way(cloud, function, collect)
    for execution in cloud.executions.created:
        run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * INPUTS
    writes = per_input(cloud, "POST")
    assert writes == {**work, "results": 1, "latest": 1}
    assert sum(writes.values()) == effort.class_a
    deletes = per_input(cloud, "DELETE")
    assert deletes == ({"waiting": 1} if "waiting" in work else {})
    requests = capacity.limits()["requests"]
    assert sum(work.values()) + sum(deletes.values()) == requests[key]["value"]
    assert writes.total() - sum(work.values()) == requests["output_writes"]["value"]


def per_input(cloud: Cloud, method: str) -> Counter[str]:
    """How many objects of each folder of inputs, not of their micro-batch, an input changes."""
    changed = Counter(
        found[1]
        for verb, target in cloud.faulty.requests
        if verb == method and (found := re.search(rf"(?:name=|/o/)({'|'.join((*WORK, *OUTPUT))})/", target))
    )
    return Counter({folder: number // INPUTS for folder, number in changed.items()})
