"""The syntax tree of a workflow: routines, steps, and the values in them."""

from dataclasses import dataclass
from typing import Any

from emulator.workflows.syntax.ast import Expression, Target


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the source (1-based), and the length of the word there."""

    line: int
    column: int
    length: int = 0


@dataclass(frozen=True, slots=True)
class Constant:
    """A value without expressions."""

    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that is one `${…}`."""

    expression: Expression
    place: Place


@dataclass(frozen=True, slots=True)
class ListValue:
    """A list that contains expressions."""

    items: "list[Value]"
    place: Place


@dataclass(frozen=True, slots=True)
class MapValue:
    """A map that contains expressions, perhaps in its keys."""

    entries: "list[tuple[Value, Value]]"
    place: Place


Value = Constant | Computed | ListValue | MapValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What all steps have; `place` is that of the action's key (`call`, `assign`, …).

    An `anonymous` step is an action inside another step; reports use that step's name.
    """

    name: str
    place: Place
    next: str | None = None
    next_place: Place | None = None
    anonymous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Goto(Step):
    """A step with only a `next`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Step):
    """`assign`: targets and their values, in order."""

    assignments: list[tuple[Target, Value, Place]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStep(Step):
    """`call`, with `arguments` by name, `positional` ones, or an expression for the map of all."""

    function: str
    positional: list[Value] | None = None
    arguments: dict[str, Value]
    argument_places: dict[str, Place]
    argument_map: Value | None = None
    result: str | None = None
    result_place: Place | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of a `switch`."""

    condition: Value
    steps: list[Step]
    next: str | None
    next_place: Place | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Step):
    """`switch`"""

    cases: list[Case]


@dataclass(frozen=True, slots=True)
class Loop:
    """A `for` loop over `items`, or from `start` to `end` inclusive; `start` alone is an expression for both."""

    value: str
    index: str | None
    items: Value | None
    start: Value | None
    end: Value | None
    steps: list[Step]
    place: Place

    def values(self) -> list[Value]:
        """The parts of what it iterates over that are present."""
        return [part for part in (self.items, self.start, self.end) if part is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class For(Step):
    """`for`"""

    loop: Loop


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch of a `parallel`."""

    name: str
    steps: list[Step]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel(Step):
    """`parallel`: either `branches` or a `loop`."""

    shared: list[tuple[str, Place]]
    concurrency_limit: Value | None
    branches: list[Branch]
    loop: Loop | None


@dataclass(frozen=True, slots=True)
class Retry:
    """`retry`: one expression for the `policy`, or its parts."""

    policy: Value | None
    predicate: Value | None
    max_retries: Value | None
    backoff: Value | None
    place: Place

    def values(self) -> list[Value]:
        """The parts that are present."""
        parts = (self.policy, self.predicate, self.max_retries, self.backoff)
        return [part for part in parts if part is not None]


@dataclass(frozen=True, slots=True)
class Handler:
    """`except`: the variable for the error, and the steps."""

    variable: str | None
    steps: list[Step]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Try(Step):
    """`try` with its `retry` and `except`."""

    steps: list[Step]
    retry: Retry | None
    handler: Handler | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise(Step):
    """`raise`"""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Return(Step):
    """`return`"""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Step):
    """`steps`"""

    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A routine's parameter."""

    name: str
    default: Value | None
    place: Place


@dataclass(frozen=True, slots=True)
class Routine:
    """`main` or a subworkflow."""

    name: str
    parameters: list[Parameter]
    steps: list[Step]
    place: Place
