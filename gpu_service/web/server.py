"""Runs the app under uvicorn: answers health checks while the models load, and drains on SIGTERM."""

import asyncio
import gc
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
from gpu_service.web.connection import Connection

if TYPE_CHECKING:
    from gpu_service.serving.startup import Phases, Start
    from gpu_service.web.tracing import Tracing

logger = logging.getLogger(__name__)

T = TypeVar("T")
FLUSH_S = 1.0  # for the last spans; the platform allows ten seconds in all


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, then returns 0. Raises StartError."""
    app = App(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Connection,
        ws="none",
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
    except SystemExit as end:  # raised by uvicorn, which has logged the reason
        raise StartError(f"Cannot listen on {settings.host}, port {settings.port}.") from end


async def _run(app: App, server: uvicorn.Server) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, app, server)
    serving = asyncio.create_task(server._serve())
    starting = asyncio.create_task(_start(app, server))
    await asyncio.wait((starting, serving), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # stopped meanwhile: the loading thread is abandoned
        starting.cancel()
    elif failure := starting.exception():
        server.should_exit = True
        await serving
        raise failure
    await serving
    await _close(app)
    logger.info("stopped")
    return 0


async def _start(app: App, server: uvicorn.Server) -> None:
    """Imports and loads in a thread, so that /health answers meanwhile."""

    def load() -> "tuple[Start, Tracing | None]":
        from gpu_service.serving import startup

        started = startup.load(app.settings)
        return started, _tracing(app.settings, started.phases)

    started, tracing = await _in_thread(load)
    if not server.should_exit:
        from gpu_service.serving import startup

        service, metrics = startup.start(app.settings, started)
        if service.refresh is not None:
            service.refresh.start()
        app.attach(service, metrics, tracing)
        gc.freeze()  # later collections, which stop all threads, skip what the imports have made


def _tracing(settings: Settings, phases: "Phases") -> "Tracing | None":
    if settings.traces is None:
        return None
    with phases.phase("tracing"):
        from gpu_service.web.tracing import Tracing

        return Tracing(settings.traces, settings.revision)


async def _close(app: App) -> None:
    if app.service is not None:
        await app.service.batcher.stop()
        app.service.close()
    if app.tracing is not None:
        await asyncio.wait([_in_thread(app.tracing.flush)], timeout=FLUSH_S)


def _in_thread(work: Callable[[], T]) -> "asyncio.Future[T]":
    """The work's result. Unlike with asyncio's own threads, the process may exit before the work is done."""
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
        except Exception as error:  # noqa: BLE001  raised again where the future is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed, as the process exits
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future


def _stop(app: App, server: uvicorn.Server) -> None:
    logger.info("stopping", extra=logs.fields(active=app.active))
    app.draining = True
    server.should_exit = True
