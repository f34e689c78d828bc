"""Runs the app under uvicorn, answering health checks while the models load, and drains on SIGTERM."""

import asyncio
import logging
import signal

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
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_run(app, uvicorn.Server(config)))


async def _run(app: App, server: uvicorn.Server) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, app, server)
    serving = asyncio.create_task(server._serve())
    try:
        await _start(app, server)
        await serving
    except StartError:
        server.should_exit = True
        await serving
        raise
    if app.service is not None:
        await app.service.batcher.stop()
        app.service.close()
    logger.info("stopped")
    return 0


async def _start(app: App, server: uvicorn.Server) -> None:
    """Imports and loads in a thread, so that /health answers meanwhile."""
    from . import start

    loaded = await asyncio.to_thread(start.load, app.settings)
    if not server.should_exit:
        start.serve(app, *loaded)


def _stop(app: App, server: uvicorn.Server) -> None:
    logger.info("stopping", extra=logs.fields(active=app.active))
    app.draining = True
    server.should_exit = True
