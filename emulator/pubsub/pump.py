"""Pushes the backlog of one subscription to its endpoint, with limited concurrency."""

import asyncio
import contextlib
import logging
from dataclasses import replace

import aiohttp

from emulator import debugging, disk
from emulator.clock import Clock
from emulator.disk import DiskError
from emulator.identity.token_sources import TokenRequest, TokenSource
from emulator.pubsub import protos, push
from emulator.pubsub.attempts import Attempt, AttemptLog
from emulator.pubsub.backlog import AgentMay, Backlog
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.store import Delivery

_log = logging.getLogger(__name__)

_ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})
_DISK_RETRY_S = 1.0  # while the disk is full
_LEASE_MARGIN_S = 60  # the lease outlives the request, whose timeout is the ack deadline


class TokenRefusedError(Exception):
    """Pub/Sub's service agent may not create tokens of the account as which a subscription pushes."""


class Pump:
    def __init__(
        self,
        subscription: str,
        catalog: Catalog,
        backlog: Backlog,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        concurrency: int,
        mint: TokenSource,
        may: AgentMay,
        attempts: AttemptLog,
    ) -> None:
        self._attempts = attempts
        self._name, self._catalog, self._backlog = subscription, catalog, backlog
        self._session, self._clock, self._concurrency = session, clock, concurrency
        self._mint, self._may = mint, may
        self._held = False
        self._pushes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.create_task(self._run())
        self._loop.add_done_callback(self._ended)

    def hold(self) -> None:
        """Start no more pushes until `release`; those in progress continue."""
        self._held = True

    def release(self) -> None:
        self._held = False
        self._backlog.notify(self._name)

    def cancel(self) -> None:
        """Cancel the pushes in progress; they do not count as attempts."""
        for task in (self._loop, *self._pushes):
            task.cancel()

    async def stop(self) -> None:
        """Cancel, and wait until every push has ended."""
        self.cancel()
        await asyncio.gather(self._loop, *self._pushes, return_exceptions=True)

    async def _run(self) -> None:
        self._backlog.restore(self._name)
        while True:
            signal, due = self._backlog.signal(self._name), None
            try:
                due = self._start_pushes()
            except DiskError as error:
                disk.report(str(error))
                due = self._clock.now() + _DISK_RETRY_S
            await self._clock.wait(signal, due)

    def _start_pushes(self) -> float | None:
        """Start as many as are due and allowed; returns when the next is due."""
        free = self._concurrency - len(self._pushes)
        if self._held or free <= 0:
            return None
        deadline = self._catalog.subscription(self._name).ack_deadline_seconds
        deadline = debugging.deadline(self._catalog.subscription(self._name).push_config.push_endpoint, deadline)
        for delivery in self._backlog.take(self._name, free, deadline + _LEASE_MARGIN_S):
            task = asyncio.create_task(self._push(delivery))
            self._pushes.add(task)
            task.add_done_callback(self._pushed)
        return self._backlog.next_due(self._name)

    def _pushed(self, task: asyncio.Task[None]) -> None:
        self._pushes.discard(task)
        self._backlog.notify(self._name)
        self._ended(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _log.error("push delivery failed", extra={"subscription": self._name}, exc_info=error)

    async def _push(self, delivery: Delivery) -> None:
        subscription = self._catalog.subscription(self._name)
        outcome: int | str
        began = self._clock.now()
        try:
            request = push.encode(subscription, delivery)
            if token_request := push.token_request(subscription):
                token = {"Authorization": f"Bearer {await self._token(token_request)}"}
                request = replace(request, headers={**request.headers, **token})
            outcome = await self._post(request, subscription.ack_deadline_seconds)
        except (push.EncodingError, TokenRefusedError) as error:
            outcome = str(error)
        if self._name not in self._catalog.subscriptions:
            return
        if outcome in _ACKNOWLEDGED:
            self._backlog.acknowledge(self._name, delivery.message)
            self._record(delivery, began, outcome, acknowledged=True, again_in=None)
            return
        wait = self._backlog.fail(self._name, delivery.message)
        self._record(delivery, began, outcome, acknowledged=False, again_in=wait)
        _log.warning(
            "push failed",
            extra={
                "subscription": self._name.rsplit("/", 1)[-1],
                "message_id": str(delivery.message),
                "attempt": delivery.attempts,
                "outcome": outcome,
                "again_in_s": wait,
            },
        )

    def _record(
        self, delivery: Delivery, began: float, outcome: int | str, *, acknowledged: bool, again_in: float | None
    ) -> None:
        self._attempts.add(
            Attempt(
                subscription=self._name.rsplit("/", 1)[-1],
                message_id=str(delivery.message),
                number=delivery.attempts,
                at=began,
                seconds=self._clock.now() - began,
                outcome=outcome,
                acknowledged=acknowledged,
                again_in=again_in,
                attributes=dict(protos.Message.FromString(delivery.body).attributes),
            )
        )

    async def _token(self, request: TokenRequest) -> str:
        """The token of a push; TokenRefusedError if Pub/Sub may not create tokens of its account."""
        account = request.service_account
        project = "/".join(self._name.split("/")[:2])
        if not self._may("iam.serviceAccounts.getOpenIdToken", f"{project}/serviceAccounts/{account}"):
            raise TokenRefusedError(f"Pub/Sub's service agent may not create tokens of {account}")
        return await self._mint(request)

    async def _post(self, request: push.PushRequest, timeout_s: float) -> int | str:
        """The response's status, or why there was no response."""
        timeout = aiohttp.ClientTimeout(total=debugging.deadline(request.url, timeout_s))
        try:
            async with self._session.post(
                request.url, data=request.body, headers=request.headers, timeout=timeout, allow_redirects=False
            ) as response:
                with contextlib.suppress(aiohttp.ClientError):
                    await response.read()
                return response.status
        except TimeoutError:
            return f"no response within {timeout_s:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return str(error) or type(error).__name__
