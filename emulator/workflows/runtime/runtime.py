"""What executions share: the HTTP client, the clock, callbacks, connector endpoints, the log."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from emulator.identity.token_sources import TokenSource, local_token
from emulator.workflows.runtime.callbacks import CallbackRegistry
from emulator.workflows.runtime.clock import Clock, SystemClock
from emulator.workflows.runtime.http import HttpClient

LogSink = Callable[[dict[str, Any]], None]


def discard(_entry: dict[str, Any]) -> None:
    """A log sink that keeps nothing."""


class Runtime:
    """Shared by any number of executions in one event loop; close it when done (`async with`).

    Args:
        http: the client for `http.*` and connectors.
        clock: `now` and `sleep`.
        callbacks: the registry behind `events.*`; set its `base_url` to the address of your server.
        token_source: mints the bearer tokens for `auth:`; the default is a JWT that only the emulator trusts.
        endpoints: base URLs by connector service (`storage`, `pubsub`, `run`, …); the default is Google's.
        log_sink: receives each entry of `sys.log` (`kind: "log"`) and of call logging (`kind: "call"`):
            `{kind, severity, execution, account, step, routine, …}`.
        call_log_level: LOG_NONE, LOG_ERRORS_ONLY or LOG_ALL_CALLS.
    """

    def __init__(
        self,
        *,
        http: HttpClient | None = None,
        clock: Clock | None = None,
        callbacks: CallbackRegistry | None = None,
        token_source: TokenSource = local_token,
        endpoints: Mapping[str, str] | None = None,
        log_sink: LogSink = discard,
        call_log_level: str = "LOG_NONE",
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.http = http or HttpClient()
        self.callbacks = callbacks or CallbackRegistry()
        self.token_source = token_source
        self.endpoints = dict(endpoints or {})
        self.log_sink = log_sink
        self.call_log_level = call_log_level

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
