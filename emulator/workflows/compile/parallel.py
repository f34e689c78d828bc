"""`parallel`: concurrent branches and iterations, each in its own scope."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.workflows import limits
from emulator.workflows.compile.expressions import Code, resolve
from emulator.workflows.compile.loops import CompiledLoop
from emulator.workflows.compile.operations import Block, Operation, Signal
from emulator.workflows.errors import LimitError, RaisedError, error_map, type_error, value_error
from emulator.workflows.runtime.outcome import branch_context
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.values import shown_type

_MESSAGE = "One or more branches or iterations encountered an unhandled runtime error"


@dataclass(frozen=True, slots=True)
class Job:
    """One branch or iteration, with its own variables."""

    id: str
    kind: str
    block: Block
    variables: dict[str, Any]


@dataclass(eq=False)
class ParallelOperation(Operation):
    """`parallel`"""

    shared: frozenset[str]
    limit: Code | None
    branches: list[tuple[str, Block]]
    loop: CompiledLoop | None
    awaits = True

    def __post_init__(self) -> None:
        self.kind = "STEP_PARALLEL_BRANCH" if self.loop is None else "STEP_PARALLEL_FOR"

    async def act(self, scope: Scope) -> Signal:
        scope.frame.fork()  # raises before anything starts when the nesting is too deep
        jobs, count = await self._jobs(scope)
        width = min(count, await self._width(scope))
        failures: list[tuple[int, dict[str, Any]]] = []
        workers = [asyncio.ensure_future(self._work(scope, jobs, count, failures)) for _ in range(width)]
        await _completed(workers)
        if failures:
            raise _unhandled([failure for _, failure in sorted(failures, key=lambda pair: pair[0])])
        return None

    async def _jobs(self, scope: Scope) -> tuple[Iterator[tuple[int, Job]], int]:
        loop = self.loop
        if loop is None:
            jobs = [Job(name, "STEP_PARALLEL_BRANCH_ENTRY", block, {}) for name, block in self.branches]
            return iter(enumerate(jobs)), len(jobs)
        elements = await loop.elements(scope)
        return ((at, _iteration(loop, at, value)) for at, value in enumerate(elements)), len(elements)

    async def _width(self, scope: Scope) -> int:
        if self.limit is None:
            return limits.CONCURRENT_BRANCHES
        limit = await resolve(self.limit, scope)
        if type(limit) is not int:
            raise type_error(f"concurrency_limit must be an integer, got {shown_type(limit)}")
        if limit < 1:
            raise value_error("concurrency_limit must be positive")
        return min(limit, limits.CONCURRENT_BRANCHES)

    async def _work(
        self, scope: Scope, jobs: Iterator[tuple[int, Job]], count: int, failures: list[tuple[int, dict[str, Any]]]
    ) -> None:
        for at, job in jobs:
            try:
                await self._run(scope, job, count)
            except LimitError:
                raise
            except RaisedError as error:
                report = {"context": branch_context(error), "payload": error.value}
                failures.append((at, {"id": job.id, "error": report}))

    async def _run(self, scope: Scope, job: Job, count: int) -> None:
        frame = scope.frame.fork()
        inner = Scope(frame, scope, self.shared)
        entry = frame.begin(self.name, job.kind, self.place, job.id, count)
        try:
            for name, value in job.variables.items():
                inner.declare(name, value)
            await job.block.run(inner)
        except (RaisedError, asyncio.CancelledError) as error:
            frame.end(entry, inner.visible, error)
            raise
        finally:
            inner.drop()
        frame.end(entry, inner.visible)


def _iteration(loop: CompiledLoop, at: int, value: Any) -> Job:
    variables = {loop.value: value}
    if loop.index is not None:
        variables[loop.index] = at
    return Job(str(at), "STEP_FOR_ITERATION", loop.block, variables)


async def _completed(workers: Sequence[asyncio.Future[None]]) -> None:
    """Wait for every worker; when one exceeds a limit or this task is cancelled, cancel the others."""
    try:
        await asyncio.gather(*workers)
    except BaseException:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        raise


def _unhandled(failures: list[dict[str, Any]]) -> RaisedError:
    kept = failures[: limits.BRANCH_ERRORS_KEPT]
    value = error_map("UnhandledBranchError", _MESSAGE, branches=kept, truncated=len(kept) < len(failures))
    return RaisedError(value)
