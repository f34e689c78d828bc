"""Pages that change by themselves: server-sent events with the part of a page that has changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import StreamingResponse

from console.web import console as shared

_LOOK_S = 0.25
_REST = 4  # pauses after a rendering, in its own durations
_HEARTBEAT_S = 15.0

Render = Callable[[], str]


def stream(request: Request, render: Render, is_final: Callable[[], bool] = lambda: False) -> StreamingResponse:
    """Send what `render` returns whenever the index has changed and the text is another one.

    Args:
        is_final: whether nothing can change any more; then the event `done` closes the stream.
    """
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(request, render, is_final), media_type="text/event-stream", headers=headers)


async def _events(request: Request, render: Render, is_final: Callable[[], bool]) -> AsyncIterator[str]:
    console = shared.of(request)
    version, text, sent = -1, "", time.monotonic()
    while True:
        console.refresher.touch()
        pause = _LOOK_S
        if console.index.version != version:
            version, began = console.index.version, time.monotonic()
            rendered = await asyncio.to_thread(render)
            pause = max(pause, _REST * (time.monotonic() - began))
            if rendered != text:
                text, sent = rendered, time.monotonic()
                yield "".join(f"data: {line}\n" for line in rendered.splitlines()) + "\n"
            if is_final():
                yield "event: done\ndata: \n\n"
                return
        elif time.monotonic() - sent > _HEARTBEAT_S:
            sent = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(pause)
