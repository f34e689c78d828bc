"""Follows models.json while the service runs; what is broken changes nothing but the log, metrics and /models."""

import asyncio
import logging
import time
from collections.abc import Callable

from gpu_service import logs
from gpu_service.checkpoints import models_file, registry
from gpu_service.checkpoints.registry import Registry
from gpu_service.errors import ServiceError
from gpu_service.serving.catalog import Catalog
from gpu_service.serving.metrics import Metrics
from gpu_service.settings import Settings

logger = logging.getLogger(__name__)

PAUSE_S = 1.0  # between two requests to Cloud Storage because of unknown models


class Refresh:
    """`error` says why models.json is not served as it is now; None when it is."""

    def __init__(
        self, catalog: Catalog, metrics: Metrics, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.catalog = catalog
        self.metrics = metrics
        self.settings = settings
        self.clock = clock
        self.error: str | None = None
        self._state: str | None = None
        self._began = float("-inf")  # of the last check
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.settings.refresh_s)
            async with self._lock:
                await self.check()

    async def look_again(self) -> None:
        """Reads the file for a model that is not known yet, as the sender may have read a newer file.

        Many requests share a reading.
        """
        asked = self.clock()
        async with self._lock:
            if self._began >= asked:
                return
            if isinstance(self.settings.models, str):
                await asyncio.sleep(max(0.0, self._began + PAUSE_S - self.clock()))
            await self.check()

    async def check(self) -> None:
        """Takes over the file if it has changed, and tries again what failed."""
        self._began = self.clock()
        try:
            latest = await asyncio.to_thread(self._read)
        except Exception as error:  # noqa: BLE001  what serves now must go on
            self._fail(error)
            return
        if latest is not None:
            self.metrics.refreshes.labels("changed").inc()
            logger.info("models.json has changed", extra=logs.fields(models=[entry.key for entry in latest.entries]))
        self.error = None
        self.metrics.is_current.set(1)
        self.catalog.renew(latest or self.catalog.latest)

    def _read(self) -> Registry | None:
        """The file's entries; None if they are the same as before."""
        options = self.settings
        state = models_file.state(options.models)
        if state == self._state and self.error is None:
            return None
        latest = registry.load(options.models, options.profile, options.load)
        self._state = state
        return None if latest.entries == self.catalog.latest.entries else latest

    def _fail(self, error: Exception) -> None:
        message = error.message if isinstance(error, ServiceError) else f"{type(error).__name__}: {error}"
        if message != self.error:
            unexpected = None if isinstance(error, ServiceError) else error
            fields = logs.fields(models=str(self.settings.models), reason=message)
            logger.error("models.json cannot be served; its last good state goes on", exc_info=unexpected, extra=fields)
        self.error = message
        self.metrics.refreshes.labels("failed").inc()
        self.metrics.is_current.set(0)
