"""`try`: attempts, delays between them, and the handler."""

import asyncio
from dataclasses import dataclass
from typing import Any

from emulator.workflows import assumptions
from emulator.workflows.compile.expressions import Code, resolve
from emulator.workflows.compile.operations import Block, Operation, Signal
from emulator.workflows.errors import LimitError, RaisedError, type_error, value_error
from emulator.workflows.library.conversion import to_double
from emulator.workflows.library.retry import DEFAULT_BACKOFF, PREDICATES
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.syntax.steps import Place
from emulator.workflows.values import Function, is_number, shown_type


@dataclass(frozen=True, slots=True)
class CompiledRetry:
    """`retry`, as one policy or in parts; evaluated at each failure."""

    policy: Code | None
    predicate: Code | None
    max_retries: Code | None
    backoff: Code | None
    place: Place

    async def resolve(self, scope: Scope) -> "Policy":
        """The policy, evaluated in the scope."""
        if self.policy is not None:
            policy = await resolve(self.policy, scope)
            if type(policy) is not dict:
                raise type_error(f"retry must be a map, got {shown_type(policy)}")
            return Policy.of(policy.get("predicate"), policy.get("max_retries"), policy.get("backoff"))
        parts = (self.predicate, self.max_retries, self.backoff)
        values = [None if part is None else await resolve(part, scope) for part in parts]
        return Policy.of(*values)


@dataclass(frozen=True, slots=True)
class Policy:
    """When to retry: after which errors, how often, with which delays."""

    predicate: Function
    max_retries: int
    initial_delay: float
    max_delay: float
    multiplier: float

    @classmethod
    def of(cls, predicate: Any, max_retries: Any, backoff: Any) -> "Policy":
        """A policy from values of the language; null stands for the default."""
        if predicate is not None and type(predicate) is not Function:
            raise type_error(f"retry predicate must be a function, got {shown_type(predicate)}")
        delays = DEFAULT_BACKOFF if backoff is None else backoff
        if type(delays) is not dict:
            raise type_error(f"retry backoff must be a map, got {shown_type(delays)}")
        most = assumptions.RETRIES_WHEN_MISSING if max_retries is None else _number("max_retries", max_retries)
        if most < 0 or most != int(most):
            raise value_error(f"max_retries must be a non-negative integer, got {max_retries}")
        seconds = {
            name: _number(name, default if delays.get(name) is None else delays[name])
            for name, default in DEFAULT_BACKOFF.items()
        }
        return cls(predicate or PREDICATES["retry.always"], int(most), **seconds)

    def delay(self, retry: int) -> float:
        """Seconds before a retry; the first is number 1."""
        if self.initial_delay <= 0:
            return 0.0
        try:
            grown = self.initial_delay * self.multiplier ** (retry - 1)
        except OverflowError:
            return self.max_delay
        return max(0.0, min(self.max_delay, grown))


def _number(name: str, value: Any) -> float:
    number = to_double(value) if type(value) is str else value
    if not is_number(number):
        raise type_error(f"retry: {name} must be a number, got {shown_type(value)}")
    if number < 0:
        raise value_error(f"retry: {name} must not be negative")
    return number


async def applies(predicate: Function, error: Any, scope: Scope) -> bool:
    """Whether a predicate (a function of the library, or a subworkflow) returns true."""
    if predicate.name in PREDICATES:
        return predicate.call(error) is True
    return await predicate.call(scope.frame, [error]) is True


@dataclass(eq=False)
class TryOperation(Operation):
    """`try` with `retry` and `except`."""

    block: Block
    retry: CompiledRetry | None
    handler: tuple[str | None, Block, Place] | None
    kind = "STEP_TRY_RETRY_EXCEPT"
    awaits = True

    async def act(self, scope: Scope) -> Signal:
        try:
            return await self._attempts(scope)
        except LimitError:
            raise
        except RaisedError as error:
            if self.handler is None:
                raise
            return await self._handle(scope, error)

    async def _attempts(self, scope: Scope) -> Signal:
        attempt = 0
        while True:
            try:
                return await self._attempt(scope, attempt)
            except LimitError:
                raise
            except RaisedError as error:
                if self.retry is None or not await self._wait(scope, error, attempt + 1):
                    raise
            attempt += 1

    async def _attempt(self, scope: Scope, attempt: int) -> Signal:
        entry = scope.frame.begin(self.name, "STEP_TRY", self.place, attempt)
        try:
            signal = await self.block.run(scope)
        except (RaisedError, asyncio.CancelledError) as error:
            scope.frame.end(entry, scope.visible, error)
            raise
        scope.frame.end(entry, scope.visible)
        return signal

    async def _wait(self, scope: Scope, error: RaisedError, retry: int) -> bool:
        """Sleep before the retry; returns False when the policy has no further one."""
        assert self.retry is not None
        frame = scope.frame
        entry = frame.begin(self.name, "STEP_RETRY", self.retry.place, retry)
        try:
            policy = await self.retry.resolve(scope)
            if retry > policy.max_retries or not await applies(policy.predicate, error.value, scope):
                return False
            await frame.execution.runtime.clock.sleep(policy.delay(retry))
            return True
        finally:
            frame.end(entry, scope.visible)

    async def _handle(self, scope: Scope, error: RaisedError) -> Signal:
        assert self.handler is not None
        variable, block, place = self.handler
        inner = Scope(scope.frame, scope)
        entry = scope.frame.begin(self.name, "STEP_EXCEPT", place)
        try:
            if variable is not None:
                inner.declare(variable, error.value)
            signal = await block.run(inner)
        except (RaisedError, asyncio.CancelledError) as failure:
            scope.frame.end(entry, inner.visible, failure)
            raise
        finally:
            inner.drop()
        scope.frame.end(entry, inner.visible)
        return signal
