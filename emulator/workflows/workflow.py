"""A deployed workflow: what `load` returns and what `execute` runs."""

from __future__ import annotations

from typing import Any

from .environment import Environment, Outcome
from .observer import Observer
from .runtime import Runtime


class Workflow:
    """A checked source, ready to run any number of executions at once."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source

    async def execute(
        self,
        argument: Any = None,
        *,
        environment: Environment | None = None,
        runtime: Runtime | None = None,
        observer: Observer | None = None,
    ) -> Outcome:
        """Run one execution to its end; cancelling the task gives the state CANCELLED."""
        raise NotImplementedError


def load(source: str, name: str = "workflow.yaml") -> Workflow:
    """Check a YAML or JSON source as a deployment would, and compile it."""
    raise NotImplementedError
