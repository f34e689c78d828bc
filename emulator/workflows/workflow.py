"""A workflow, from its source to the outcomes of its executions."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emulator.workflows import limits
from emulator.workflows.compile.compiler import compile_routines
from emulator.workflows.deploy_checks.validation import validate
from emulator.workflows.errors import Problem, RaisedError, WorkflowSyntaxError, failure, limit_error, value_error
from emulator.workflows.runtime.environment import Environment
from emulator.workflows.runtime.execution import Execution, Frame
from emulator.workflows.runtime.observer import Observer
from emulator.workflows.runtime.outcome import Outcome, execution_error
from emulator.workflows.runtime.runtime import Runtime
from emulator.workflows.syntax.reader import read
from emulator.workflows.syntax.source import parse
from emulator.workflows.syntax.steps import Routine
from emulator.workflows.values import jsonable, normal

logger = logging.getLogger(__name__)


class Workflow:
    """A checked and compiled source; any number of executions can run concurrently."""

    def __init__(self, name: str, source: str, routines: dict[str, Routine]) -> None:
        self.name = name
        self.source = source
        self._routines = compile_routines(routines)

    async def execute(
        self,
        argument: Any = None,
        *,
        environment: Environment | None = None,
        runtime: Runtime | None = None,
        observer: Observer | None = None,
    ) -> Outcome:
        """Run one execution to its end; cancelling the task gives the state CANCELLED.

        Args:
            argument: any value that JSON can express, for the parameter of `main`.
            environment: what `sys.get_env` returns; each execution needs its own `execution_id`.
            runtime: HTTP, clock, callbacks; by default, a new one for this execution.
            observer: called at each step.
        """
        environment = environment or Environment()
        if runtime is None:
            async with Runtime() as temporary:
                return await self._execute(argument, environment, temporary, observer)
        return await self._execute(argument, environment, runtime, observer)

    async def _execute(
        self, argument: Any, environment: Environment, runtime: Runtime, observer: Observer | None
    ) -> Outcome:
        execution = Execution(environment, runtime, observer)
        try:
            return Outcome("SUCCEEDED", jsonable(await self._main(execution, argument)))
        except asyncio.CancelledError:
            return Outcome("CANCELLED")
        except RaisedError as error:
            return Outcome("FAILED", error=execution_error(error))
        except RecursionError:
            return Outcome("FAILED", error=execution_error(limit_error("Values are nested too deeply")))
        except Exception:
            logger.exception("interpreter error", extra={"workflow": self.name})
            internal = failure("SystemError", "internal error of the interpreter")
            return Outcome("FAILED", error=execution_error(internal))
        finally:
            runtime.callbacks.close(environment.execution_name)

    async def _main(self, execution: Execution, argument: Any) -> Any:
        value = _argument(argument)
        main = self._routines["main"]
        names = [name for name, _ in main.parameters]
        return await main.run(Frame(execution, "main", 0), {names[0]: value} if names else {})


def _argument(argument: Any) -> Any:
    """The argument as a value of the language; one that the API would refuse as too large raises."""
    if argument is None:
        return None
    try:
        length = len(json.dumps(argument, ensure_ascii=False, separators=(",", ":")).encode())
        value = normal(argument)
    except ValueError as error:
        raise value_error(f"the argument is not JSON: {error}") from None
    if length > limits.ARGUMENT_BYTES:
        raise limit_error(f"Argument size limit exceeded: more than {limits.ARGUMENT_BYTES} bytes")
    return value


def load(source: str, name: str = "workflow.yaml") -> Workflow:
    """Check a YAML or JSON source as a deployment would, and compile it.

    Raises:
        WorkflowSyntaxError: with every problem found.
    """
    routines, problems = examine(source, name)
    if problems:
        first = problems[0]
        raise WorkflowSyntaxError(first.message, name, first.line, first.column, problems)
    with _bounded_depth(name):
        return Workflow(name, source, routines)


def examine(source: str, name: str = "workflow.yaml") -> tuple[dict[str, Routine], list[Problem]]:
    """The routines as far as they can be read, and the problems in the order of the source.

    Raises:
        WorkflowSyntaxError: the source cannot be read at all.
    """
    with _bounded_depth(name):
        root, problems = parse(source, name)
        routines, structural = read(root, name)
        problems += structural
        if not structural:
            problems += validate(routines, name)
        return routines, in_order(problems)


@contextmanager
def _bounded_depth(name: str) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise WorkflowSyntaxError("the source is nested too deeply", name, 1, 1) from None


def in_order(problems: list[Problem]) -> list[Problem]:
    """The problems without duplicates, in the order of the source."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column))
