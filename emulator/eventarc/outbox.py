"""Relays object changes from the store's outbox to the topics of triggers and bucket notifications."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from emulator import disk
from emulator.disk import DiskError
from emulator.eventarc.triggers import Triggers
from emulator.googleapi.errors import NotFoundError
from emulator.pubsub import PubSub
from emulator.storage import Change, Store

_log = logging.getLogger(__name__)

_RETRY_S = 1.0  # while the disk is full
_RECEIVE = "eventarc.events.receiveEvent"
_TOPIC_PREFIX = "//pubsub.googleapis.com/"


Permits = Callable[[str, str, str], bool]  # account, permission, resource


class OutboxRelay:
    """Publishes each change before removing it from the outbox: at least once, never lost.

    Args:
        permits: whether an account has a permission on a resource. A change is lost to a trigger whose account may not
            receive events, and to a topic that Cloud Storage's service agent may not publish to.
    """

    def __init__(self, store: Store, pubsub: PubSub, triggers: Triggers, permits: Permits) -> None:
        self._store, self._pubsub, self._triggers, self._permits = store, pubsub, triggers, permits
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Relay the changes in the outbox, and later ones as they arrive."""
        loop = asyncio.get_running_loop()

        def wake(*_: object) -> None:  # called in the thread that made the change
            loop.call_soon_threadsafe(self._wake.set)

        self._store.on_change = wake
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_report)

    async def stop(self) -> None:
        self._store.on_change = None
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._relay()
            except DiskError as error:
                disk.report(str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            await self._wake.wait()

    async def _relay(self) -> None:
        while changes := await asyncio.to_thread(self._store.outbox):
            for change in changes:
                self._publish(change)
            await asyncio.to_thread(self._store.acknowledge, *(change.id for change in changes))

    def _publish(self, change: Change) -> None:
        data = json.dumps(change.resource).encode()
        for trigger in self._triggers.matching(change.resource["bucket"], change.type):
            if self._permits(self._triggers.account(trigger), _RECEIVE, self._triggers.project):
                attributes = change.message_attributes({"id": trigger.name, "payload_format": "JSON_API_V1"})
                self._send(self._triggers.topic(trigger), data, attributes)
        for notification in change.notifications:
            has_payload = notification["payload_format"] == "JSON_API_V1"
            topic = notification["topic"].removeprefix(_TOPIC_PREFIX)
            self._send(topic, data if has_payload else b"", change.message_attributes(notification))

    def _send(self, topic: str, data: bytes, attributes: Mapping[str, Any]) -> None:
        if not self._permits(self._triggers.storage_agent, "pubsub.topics.publish", topic):
            return
        try:
            self._pubsub.publish(topic, data, attributes)
        except NotFoundError:
            _log.warning("notification dropped: its topic does not exist", extra={"topic": topic})


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.critical("outbox relay failed: events are no longer delivered", exc_info=error)
