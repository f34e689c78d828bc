"""Runs the app under uvicorn, answering health checks while the models load, and drains on SIGTERM."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

import uvicorn

from gpu_service import logs
from gpu_service.errors import StartError
from gpu_service.settings import Settings
from gpu_service.web.app import App

if TYPE_CHECKING:
    from gpu_service.startup import Loaded

logger = logging.getLogger(__name__)

T = TypeVar("T")
FLUSH_S = 1.0  # for the last spans; the platform's grace is ten seconds in all


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
    if app.tracing is not None:
        await asyncio.wait([_in_thread(app.tracing.flush)], timeout=FLUSH_S)
    logger.info("stopped")
    return 0


async def _start(app: App, server: uvicorn.Server) -> None:
    """Imports and loads in a thread, so that /health answers meanwhile."""

    def load() -> "Loaded":
        from gpu_service import startup

        return startup.load(app.settings)

    loaded = await _in_thread(load)
    if not server.should_exit:
        from gpu_service import startup

        startup.serve(app, loaded)


def _in_thread(work: Callable[[], T]) -> "asyncio.Future[T]":
    """What comes of it; unlike asyncio's own threads, nothing need wait for this one at the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, failure: Exception | None) -> None:
        if future.cancelled():
            return
        if failure is None:
            future.set_result(cast(T, result))
        else:
            future.set_exception(failure)

    def run() -> None:
        result: T | None = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  raised again where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="apart", daemon=True).start()
    return future


def _stop(app: App, server: uvicorn.Server) -> None:
    logger.info("stopping", extra=logs.fields(active=app.active))
    app.draining = True
    server.should_exit = True
