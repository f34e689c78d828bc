"""A deployed workflow: what `load` returns and what `execute` runs."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from emulator.workflows.compile.compiler import CompiledRoutine, compile_program
from emulator.workflows.deploy_checks.validation import validate
from emulator.workflows.runtime.environment import Environment, Outcome
from emulator.workflows.runtime.observer import Observer
from emulator.workflows.runtime.report import execution_error
from emulator.workflows.runtime.runtime import Runtime
from emulator.workflows.runtime.scope import Execution, Frame
from emulator.workflows.syntax.program import Program
from emulator.workflows.syntax.reader import read
from emulator.workflows.syntax.source import parse

from . import limits
from .errors import Problem, RaisedError, WorkflowSyntaxError, failure, limit_error, value_error
from .values import jsonable, normal

logger = logging.getLogger(__name__)


class Workflow:
    """A checked source, ready to run any number of executions at once."""

    def __init__(self, name: str, source: str, program: Program) -> None:
        self.name = name
        self.source = source
        self.program = program
        self._routines = compile_program(program)

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
            argument: any value that JSON can hold; goes to `main`'s param.
            environment: what `sys.get_env` tells; each execution needs its own `execution_id`.
            runtime: HTTP, clock, callbacks; without one, a runtime of the execution's own.
            observer: told of each step.
        """
        environment = environment or Environment()
        if runtime is None:
            async with Runtime() as own:
                return await self._execute(argument, environment, own, observer)
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
        main: CompiledRoutine = self._routines["main"]
        names = [name for name, _ in main.parameters]
        return await main.run(Frame(execution, "main", 0), {names[0]: value} if names else {})


def _argument(argument: Any) -> Any:
    """The argument as a value of the language; too large a one fails like the API refuses it."""
    if argument is None:
        return None
    try:
        length = len(json.dumps(argument, ensure_ascii=False, separators=(",", ":")).encode())
        value = normal(argument)
    except ValueError as error:
        raise value_error(f"the argument is no JSON: {error}") from None
    if length > limits.ARGUMENT_BYTES:
        raise limit_error(f"Argument size limit exceeded: more than {limits.ARGUMENT_BYTES} bytes")
    return value


def load(source: str, name: str = "workflow.yaml") -> Workflow:
    """Check a YAML or JSON source as a deployment would, and compile it.

    Raises:
        WorkflowSyntaxError: with every problem found.
    """
    program, problems = examine(source, name)
    if problems:
        first = problems[0]
        raise WorkflowSyntaxError(first.message, name, first.line, first.column, problems)
    return Workflow(name, source, program)


def examine(source: str, name: str = "workflow.yaml") -> tuple[Program, list[Problem]]:
    """The program as far as it can be read, and its problems in the order of the source.

    Raises:
        WorkflowSyntaxError: the source cannot be read at all.
    """
    root, problems = parse(source, name)
    program, structural = read(root, name)
    problems += structural
    if not structural:
        problems += validate(program)
    return program, sorted(set(problems), key=lambda problem: (problem.line, problem.column))
