"""Pub/Sub as the server mounts it: three services over one state, and a pump for each push subscription."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import grpc.aio
from starlette.requests import Request
from starlette.routing import Route

from emulator.clock import Clock, SystemClock
from emulator.googleapi import rest, rpc
from emulator.googleapi.errors import UnimplementedError
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import methods
from emulator.identity.token_sources import TokenSource, local_token
from emulator.pubsub import protos
from emulator.pubsub.attempts import AttemptLog
from emulator.pubsub.backlog import AgentMay, Backlog
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.policies import Policies
from emulator.pubsub.publisher import Publisher
from emulator.pubsub.pump import Pump
from emulator.pubsub.store import Delivery, Store
from emulator.pubsub.subscriber import Subscriber


class PubSub:
    """Pub/Sub, for use in the event loop's thread between `start` and `stop`.

    Args:
        folder: holds the state, or None to keep it in memory.
        concurrency: the largest number of concurrent pushes of one subscription.
        mint: issues the tokens of authenticated pushes.
        may: whether Pub/Sub's service agent has a permission on a resource.

    Attributes:
        attempts: the newest pushes.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Clock | None = None,
        concurrency: int = 16,
        mint: TokenSource = local_token,
        may: AgentMay = lambda _, __: True,
    ) -> None:
        self._clock, self._concurrency, self._mint = clock or SystemClock(), concurrency, mint
        self._may = may
        self._store = Store(folder, self._clock.now())
        self._catalog = Catalog(self._store)
        self._backlog = Backlog(self._catalog, self._store, self._clock, may)
        self.publisher = Publisher(self._catalog, self._backlog)
        self.subscriber = Subscriber(self._catalog, self._backlog, self._clock)
        self.policies = Policies(self._catalog, self._store)
        self._session: aiohttp.ClientSession | None = None
        self._pumps: dict[str, Pump] = {}
        self._held: set[str] = set()
        self.attempts = AttemptLog()

    async def start(self) -> None:
        """Start pushing."""
        # A kept connection may be closed by its server just as a push is sent, which would cost a delivery attempt.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        self._catalog.on_change = self._reconcile
        for name in self._catalog.subscriptions:
            self._reconcile(name)

    async def stop(self) -> None:
        """Cancel pushes in progress and close the store; unacknowledged messages are pushed after the next start."""
        self._catalog.on_change = lambda _: None
        await asyncio.gather(*(pump.stop() for pump in self._pumps.values()))
        self._pumps.clear()
        if self._session:
            await self._session.close()
        self._store.close()

    def hold(self, subscription: str) -> None:
        """Suspend a push subscription without spending delivery attempts; it need not exist yet."""
        self._held.add(subscription)
        if pump := self._pumps.get(subscription):
            pump.hold()

    def release(self, subscription: str) -> None:
        """Resume a subscription that `hold` suspended."""
        self._held.discard(subscription)
        if pump := self._pumps.get(subscription):
            pump.release()

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Publish a message and return its id."""
        return self._backlog.publish(topic, [protos.Message(data=data, attributes=attributes)])[0]

    def names(self) -> list[str]:
        """The full names of all topics and subscriptions."""
        return [*self._catalog.topics, *self._catalog.subscriptions]

    def expire(self) -> None:
        """Delete messages that have outlived the retention of their subscription."""
        self._backlog.expire()
        self._store.shrink()

    def waiting(self, subscription: str, limit: int) -> list[Delivery]:
        """The oldest messages that a subscription has not acknowledged."""
        return self._store.waiting(subscription, limit)

    def backlog(self, subscription: str) -> int:
        """The number of a subscription's unacknowledged messages."""
        return self._store.backlog(subscription)

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path from `/v1`."""
        services = (self.publisher, self.subscriber, self.policies)
        declared = rest.routes(method for service in services for method in methods(service))
        return [
            *declared,
            rest.route("/v1/projects/{project}/subscriptions/{id}:seek", ["POST"], _refuse_seek),
            *(rest.missing(f"/v1/projects/{{project}}/{kind}/{{id}}") for kind in ("topics", "subscriptions")),
        ]

    def add_to_server(self, server: grpc.aio.Server) -> None:
        """Register the gRPC services Publisher, Subscriber and IAMPolicy."""
        pull = rpc.stream(protos.StreamingPullRequest, protos.StreamingPullResponse, self.subscriber.streaming_pull)
        server.add_generic_rpc_handlers(
            (
                rpc.service("google.pubsub.v1.Publisher", methods(self.publisher)),
                rpc.service("google.pubsub.v1.Subscriber", methods(self.subscriber), {"StreamingPull": pull}),
                rpc.service("google.iam.v1.IAMPolicy", methods(self.policies)),
            )
        )

    def _reconcile(self, name: str) -> None:
        """Start or stop the pump of a changed subscription, and wake those who wait for its messages."""
        config = self._catalog.subscriptions.get(name)
        pushes = bool(config and config.push_config.push_endpoint and not config.detached)
        if pushes and name not in self._pumps and self._session:
            pump = Pump(
                name,
                self._catalog,
                self._backlog,
                self._session,
                self._clock,
                concurrency=self._concurrency,
                mint=self._mint,
                may=self._may,
                attempts=self.attempts,
            )
            self._pumps[name] = pump
            if name in self._held:
                pump.hold()
        elif not pushes and name in self._pumps:
            self._pumps.pop(name).cancel()
            self._backlog.restore(name)
        self._backlog.notify(name)


async def _refuse_seek(_: Request) -> Json:
    raise UnimplementedError("Seeking and snapshots are not emulated; acknowledge the messages, or publish them again.")
