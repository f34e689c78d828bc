"""Runs the service in this process, without HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gpu_service.serving import startup
from gpu_service.serving.metrics import Metrics
from gpu_service.serving.service import Service
from gpu_service.settings import Settings


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Service, Metrics]]:
    started, metrics = startup.start(settings, startup.load(settings))
    try:
        yield started, metrics
    finally:
        await started.batcher.stop()
        started.close()
