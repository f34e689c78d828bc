"""Runs the app under uvicorn, answering health checks while the models load, and drains on SIGTERM."""

import asyncio
import logging
import signal
import threading
from contextlib import suppress
from typing import Any

import uvicorn

from . import logs
from .app import App
from .errors import StartError
from .settings import Settings

logger = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Until SIGTERM or SIGINT. Raises StartError."""
    app = App(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.drain_s) or 1,
    )
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            return runner.run(_run(app, uvicorn.Server(config)))
    except SystemExit as end:  # uvicorn's own way of saying so, after a line in the log
        raise StartError(f"It cannot listen on {settings.host}, port {settings.port}.") from end


async def _run(app: App, server: uvicorn.Server) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, app, server)
    serving = asyncio.create_task(server._serve())
    starting = asyncio.create_task(_start(app, server))
    await asyncio.wait((starting, serving), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # told to stop: the loading thread is left behind
        starting.cancel()
    elif failure := starting.exception():
        server.should_exit = True
        await serving
        raise failure
    await serving
    if app.service is not None:
        await app.service.batcher.stop()
        app.service.close()
    logger.info("stopped")
    return 0


async def _start(app: App, server: uvicorn.Server) -> None:
    """Imports and loads in a thread, so that /health answers meanwhile and nothing need wait for it at the end."""
    loop = asyncio.get_running_loop()
    loading: asyncio.Future[Any] = loop.create_future()

    def load() -> None:
        from . import start

        try:
            loaded, failure = start.load(app.settings), None
        except Exception as error:  # noqa: BLE001  raised again where it is awaited
            loaded, failure = None, error
        with suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(_settle, loading, loaded, failure)

    threading.Thread(target=load, name="load", daemon=True).start()
    loaded = await loading
    if not server.should_exit:
        from . import start

        start.serve(app, *loaded)


def _settle(future: "asyncio.Future[Any]", result: object, failure: Exception | None) -> None:
    if future.cancelled():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)


def _stop(app: App, server: uvicorn.Server) -> None:
    logger.info("stopping", extra=logs.fields(active=app.active))
    app.draining = True
    server.should_exit = True
