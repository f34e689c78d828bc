"""The functions, the GPU service and docs/messages.md agree on the parameters of an input."""

import re
from pathlib import Path
from typing import Any

import pytest

from gpu_service import parameters as served
from gpu_service.errors import InvalidRequest
from pipeline.errors import RejectedError
from pipeline.inputs import parameters
from pipeline.inputs.parameters import PARAMETERS

PAGE = (Path(__file__).parents[1] / "docs" / "messages.md").read_text()
ROWS = {
    row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (yes|no) \| (.+) \|$", PAGE, re.MULTILINE)
}
SERVED = {name: parameter for name, parameter in PARAMETERS.items() if parameter.reader == "gpu_service"}
VALUES: list[Any] = [
    *(0, 1, 5, 7, 8, 1000, 1001, 10**6, 10**6 + 1, -1, 10**400),
    *(0.0, -0.0, 0.5, 1.0, 1.5, 8.0, 1e3, -0.1, 1e300, float("nan"), float("inf")),
    *(True, False, None, [], {}, [1], ["a"], ["a", "b"], [""], ["a"] * 100, ["a"] * 101, ["x" * 256], ["x" * 257]),
]


def test_the_page_lists_every_parameter_with_its_values_kinds_and_places():
    assert list(ROWS) == list(PARAMETERS)
    for name, (values, kinds, in_record, _) in ROWS.items():
        parameter = PARAMETERS[name]
        assert values == parameter.check.description, name
        assert set(kinds.split(", ")) == parameter.kinds, name
        assert (in_record == "yes") == parameter.in_record, name


def test_the_gpu_service_has_the_parameters_that_it_is_sent_with_the_same_words():
    assert set(SERVED) == set(served.FIELDS)
    for name, parameter in SERVED.items():
        assert served.description(name) == parameter.check.description
    assert {name for name, parameter in SERVED.items() if parameter.in_record} == set(served.OF_INSTANCES)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("name", SERVED)
def test_the_functions_and_the_gpu_service_accept_the_same_values(name: str, value: Any):
    """A string is a number in object metadata alone, and so for the functions alone."""
    checked: Any = None
    if value is None:  # the GPU service's default, as in many clients
        assert served.parse({name: value}) == {}
        return
    try:
        checked = PARAMETERS[name].check.convert(value)
    except (ValueError, TypeError, OverflowError):
        with pytest.raises(InvalidRequest):
            served.parse({name: value})
    else:
        assert repr(served.parse({name: value})[name]) == repr(checked)


@pytest.mark.parametrize("value", ["", "none", "None", "max", "{}", "It is {}.", "x" * 998 + "{}", "x" * 999 + "{}"])
@pytest.mark.parametrize("name", ["aggregation", "hypothesis_template"])
def test_the_functions_and_the_gpu_service_accept_the_same_words(name: str, value: str):
    test_the_functions_and_the_gpu_service_accept_the_same_values(name, value)


def test_the_page_names_the_tasks_of_every_parameter_that_the_gpu_service_reads():
    rows = re.findall(r"^\| (`[^|]+`) \| ([a-z-]+classification.*|token.*|zero.*) \|$", PAGE, re.MULTILINE)
    listed = {name: tasks for names, tasks in rows for name in re.findall(r"`(\w+)`", names)}
    assert {name: set(re.findall(r"[a-z-]+-[a-z]+", tasks)) for name, tasks in listed.items()} == {
        name: set(tasks) for name, tasks in served.TASKS.items()
    }


@pytest.mark.parametrize("name", ["speed", "topk", "Top_K", "max-length", "", "\ud800", "x" * 1000])
def test_an_unknown_name_is_refused_in_the_same_words(name: str):
    with pytest.raises(RejectedError) as rejected:
        parameters.check({name: 1})
    with pytest.raises(InvalidRequest) as refused:
        served.parse({name: 1})
    assert rejected.value.message.partition(";")[0] == refused.value.message.partition(";")[0]
    assert rejected.value.code == refused.value.code == "invalid_parameters"


@pytest.mark.parametrize("name", sorted({*SERVED} - {"score_columns"}))
def test_the_defaults_on_the_page_are_those_of_the_gpu_service(name: str):
    if stated := re.search(r"([\d.]+) by default", ROWS[name][3]):
        assert float(stated[1]) == getattr(served.DEFAULTS, name)
