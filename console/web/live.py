"""Pages that change by themselves: server-sent events with the part of a page that has changed."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import StreamingResponse

from console.web import console as shared
from event_inference import EventInferenceError

_log = logging.getLogger(__name__)
_LOOK_S = 0.25
_REST = 4  # pauses after a rendering, in its own durations
_HEARTBEAT_S = 15.0

Render = Callable[[], str]


def stream(
    request: Request,
    render: Render,
    *,
    version: Callable[[], object] | None = None,
    is_final: Callable[[], bool] = lambda: False,
) -> StreamingResponse:
    """Send what `render` returns whenever something has changed and the text is another one.

    Args:
        version: differs once something has changed; by default the index's.
        is_final: whether nothing can change any more; then the event `done` closes the stream.
    """
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    index = shared.of(request).index
    events = _events(request, render, version or (lambda: index.version), is_final)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    request: Request, render: Render, version: Callable[[], object], is_final: Callable[[], bool]
) -> AsyncIterator[str]:
    console = shared.of(request)
    seen: object = None
    text, sent = "", time.monotonic()
    while True:
        console.refresher.touch()
        pause = _LOOK_S
        if (present := version()) != seen:
            seen, began = present, time.monotonic()
            rendered = await asyncio.to_thread(_rendered, render, text)
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


def _rendered(render: Render, before: str) -> str:
    """The new text, or the one before while the pipeline does not answer, which the refresher reports."""
    try:
        return render()
    except EventInferenceError as error:
        _log.warning("page not refreshed: %s", error)
        return before
