"""The HTTP calls of executions with both bodies, the newest ones, in memory."""

from collections import deque
from dataclasses import dataclass

from emulator.workflows.runtime.http import Request, Response

_BODY_BYTES = 32 * 1024  # kept of each body
_ALL_BYTES = 32 * 1024 * 1024  # kept of all bodies
_OVERHEAD = 1_000  # of a call without bodies


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request of an execution; `status` is None if there was no response, which `error` then explains.

    `entry` is the number of the step entry that sent it; `started` is in nanoseconds since 1970.
    """

    execution: str
    entry: int
    method: str
    url: str
    started: int
    seconds: float
    status: int | None
    request: bytes
    response: bytes
    request_bytes: int
    response_bytes: int
    error: str = ""


class CallLog:
    """Keeps the newest calls; older ones are forgotten once all bodies together exceed a limit."""

    def __init__(self, limit: int = _ALL_BYTES) -> None:
        self._limit, self._size = limit, 0
        self._calls: deque[Call] = deque()

    def add(
        self,
        execution: str,
        entry: int,
        request: Request,
        response: Response | None,
        *,
        started: int,
        seconds: float,
        error: str,
    ) -> None:
        """Keep a call without its headers, which carry tokens."""
        sent, received = request.body or b"", response.content if response else b""
        call = Call(
            execution=execution,
            entry=entry,
            method=request.method,
            url=request.url,
            started=started,
            seconds=seconds,
            status=response.code if response else None,
            request=sent[:_BODY_BYTES],
            response=received[:_BODY_BYTES],
            request_bytes=len(sent),
            response_bytes=len(received),
            error=error,
        )
        self._calls.append(call)
        self._size += _size(call)
        while self._size > self._limit:
            self._size -= _size(self._calls.popleft())

    def of(self, execution: str) -> list[Call]:
        """The calls of an execution by its resource name, oldest first."""
        return [call for call in self._calls if call.execution == execution]


def _size(call: Call) -> int:
    return len(call.request) + len(call.response) + _OVERHEAD
