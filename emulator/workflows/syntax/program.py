"""A workflow as typed steps: what the reader makes of a source and the compiler takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emulator.workflows.syntax.nodes import Expression, Index, Member, Name

Target = Name | Member | Index


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the source (1-based), and how long its first word is."""

    line: int
    column: int
    length: int = 0


@dataclass(frozen=True, slots=True)
class Constant:
    """A value without any expression in it."""

    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that is one `${…}`."""

    expression: Expression
    place: Place


@dataclass(frozen=True, slots=True)
class ListValue:
    """A list with expressions somewhere in it."""

    items: list[Value]
    place: Place


@dataclass(frozen=True, slots=True)
class MapValue:
    """A map with expressions somewhere in it, keys included."""

    entries: list[tuple[Value, Value]]
    place: Place


Value = Constant | Computed | ListValue | MapValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What all steps have; `place` is that of the action's key (`call`, `assign`, …).

    An `anonymous` step stands without a name inside another one, whose name it carries for reports.
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
    """`call`; `arguments` are by name, by position, or one expression that gives the whole map."""

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
    """The inside of a `for`: over `items`, or from `start` to `end`, both included."""

    value: str
    index: str | None
    items: Value | None
    start: Value | None
    end: Value | None
    steps: list[Step]
    place: Place


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
    """`retry`: `policy` when it is one expression, else its parts."""

    policy: Value | None
    predicate: Value | None
    max_retries: Value | None
    backoff: Value | None
    place: Place

    def values(self) -> list[Value]:
        """Every part that is there."""
        parts = (self.policy, self.predicate, self.max_retries, self.backoff)
        return [part for part in parts if part is not None]


@dataclass(frozen=True, slots=True)
class Handler:
    """`except`: the error's name and the steps."""

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


@dataclass(slots=True)
class Program:
    """A whole source."""

    file: str
    routines: dict[str, Routine] = field(default_factory=dict)
