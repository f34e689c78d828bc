from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from emulator.workflows import Outcome
from emulator.workflows.errors import RaisedError
from emulator.workflows.library.builtin import Builtin, Kind, declare


def describe(value: Any) -> str:
    return str(value)


def builtin(function: Callable[..., Any]) -> Builtin:
    return declare("m", {"f": function})[0]


def test_the_signature_becomes_parameters_kind_and_checks() -> None:
    async def wait(frame: object, url: str, method: str, timeout: float | None = None) -> None: ...

    function = builtin(partial(wait, method="GET"))
    assert (function.name, function.parameters, function.required) == ("m.f", ("url", "timeout"), 1)
    assert (function.kind, function.in_expressions, set(function.checks)) == (Kind.BLOCKING, False, {"url", "timeout"})

    def read(execution: object, name: str) -> None: ...

    assert (builtin(read).kind, builtin(read).parameters) == (Kind.CONTEXTUAL, ("name",))
    assert builtin(describe).kind is Kind.PURE


@pytest.mark.parametrize(
    ("annotation", "accepted", "refused", "description"),
    [
        (int, [1], [1.0, True, None], "an integer"),
        (float, [1, 1.5], [True, "1"], "a number"),
        (bool, [True], [1, None], "a boolean"),
        (str | bytes, ["a", b"a"], [1, None], "a string or bytes"),
        (dict[str, Any] | None, [{}, None], [[]], "a map"),
        (list[Any], [[]], [{}], "a list"),
    ],
)
def test_arguments_are_checked(annotation: Any, accepted: list[Any], refused: list[Any], description: str) -> None:
    def function(value: object) -> object:
        return value

    function.__annotations__["value"] = annotation
    check = builtin(function).checks["value"]
    assert [check(value) for value in accepted] == accepted
    for value in refused:
        with pytest.raises(RaisedError, match=f"m.f: argument 'value' must be {description}, got"):
            check(value)


def test_arguments_given_as_one_map_are_checked_by_name(execute: Callable[..., Outcome]) -> None:
    source = """
    main:
      params: [args]
      steps:
        - c: {call: text.split, args: "${args}", result: parts}
        - d: {return: "${parts}"}
    """
    assert execute(source, {"source": "a b", "separator": " "}).result == ["a", "b"]
    for arguments, message in [
        ({"source": "a b"}, "argument 'separator' is missing"),
        ({"source": "a b", "separator": " ", "limit": 1}, "unknown argument 'limit'"),
        ({"source": 1, "separator": " "}, "argument 'source' must be a string, got 'int'"),
    ]:
        error = execute(source, arguments).error
        assert error is not None
        assert message in error.context
