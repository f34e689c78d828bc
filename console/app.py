"""The console's routes, and what it answers when something is wrong."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.index.refresh import Refresher
from console.index.selection import FilterError
from console.index.store import Index
from console.pipeline.emulator import Emulator
from console.views import batches, cost, downloads, events, inputs, models, previews, problems, replays, review
from console.views import input as input_page
from console.web import console as shared
from console.web.console import Console
from console.web.guard import Guard
from event_inference import Client, EventInferenceError, InputError, TargetError

_log = logging.getLogger(__name__)
_STATIC = Path(__file__).parent / "static"


def application(client: Client, index: Index, port: int) -> Starlette:
    """The console of a pipeline.

    Args:
        port: at which browsers find it.
    """
    refresher = Refresher(client, index)
    emulator = None if client.target.is_cloud else Emulator(client.target)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        refresher.start()
        yield
        refresher.stop()
        index.close()

    routes = [
        Route("/", inputs.listing),
        Route("/live", inputs.live_listing),
        Route("/inputs.csv", downloads.export),
        Route("/input/data", downloads.data),
        Route("/upload", inputs.upload, methods=["PUT"]),
        Route("/input", input_page.page),
        Route("/input/live", input_page.live_page),
        Route("/input/image", previews.image),
        Route("/input/again", replays.again, methods=["POST"]),
        Route("/problems", problems.overview),
        Route("/problems/live", problems.live_overview),
        Route("/problems/replay", replays.confirm, methods=["POST"]),
        Route("/problems/replay/confirmed", replays.replay, methods=["POST"]),
        Route("/problems/sweep", problems.sweep, methods=["POST"]),
        Route("/batches", batches.page),
        Route("/batches/live", batches.live_page),
        Route("/events", events.page),
        Route("/events/live", events.live_page),
        Route("/review", review.page),
        Route("/review/label", review.label, methods=["POST"]),
        Route("/models", models.page),
        Route("/cost", cost.page),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, port=port)],
        exception_handlers={
            HTTPException: _not_found,
            FilterError: _refuse,
            EventInferenceError: _refuse,
            Exception: _fail,
        },
        lifespan=lifespan,
    )
    app.state.console = Console(client, index, refresher, shared.environment(), emulator)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """What the user can mend, or what the pipeline refuses."""
    usage = isinstance(error, FilterError | InputError | TargetError)
    status = HTTPStatus.BAD_REQUEST if usage else HTTPStatus.SERVICE_UNAVAILABLE
    title = "This cannot be done" if usage else "The pipeline does not answer"
    return _trouble(request, status, title, str(error))


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/static/"):
        return PlainTextResponse("Not found\n", error.status_code)
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else "There is no such page."
    return _trouble(request, HTTPStatus(error.status_code), HTTPStatus(error.status_code).phrase, detail)


async def _fail(request: Request, error: Exception) -> Response:
    _log.error("page failed", exc_info=error, extra={"path": request.url.path})
    return PlainTextResponse("The console failed on this page; its log says why.\n", HTTPStatus.INTERNAL_SERVER_ERROR)


def _trouble(request: Request, status: HTTPStatus, title: str, sentence: str) -> HTMLResponse:
    template = "partials/trouble.html" if request.headers.get("hx-request") else "trouble.html"
    return shared.page(request, template, status, title=title, sentence=sentence)
