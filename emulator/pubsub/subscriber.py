"""The service google.pubsub.v1.Subscriber: subscriptions, and the messages pulled from them."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable

from emulator.clock import Clock
from emulator.googleapi.errors import FailedPreconditionError, InvalidArgumentError
from emulator.googleapi.methods import message_method, require
from emulator.googleapi.paging import requested_page
from emulator.pubsub import protos
from emulator.pubsub.backlog import Backlog
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.protos import Proto
from emulator.pubsub.publisher import ACTIVE, merge
from emulator.pubsub.store import Delivery
from emulator.pubsub.validation import check_name, check_subscription

PULL_WAIT_S = 5.0  # how long a pull waits for a message

_CONSUME = "pubsub.subscriptions.consume"
_ACK_ID = re.compile(r"(\d+)-(\d+)")
_FROZEN = ("name", "topic", "filter", "enable_message_ordering")


class Subscriber:
    """The methods of the service."""

    def __init__(self, catalog: Catalog, backlog: Backlog, clock: Clock) -> None:
        self._catalog, self._backlog, self._clock = catalog, backlog, clock

    @message_method(
        "PUT /v1/{name=projects/*/subscriptions/*} *",
        protos.Subscription,
        name="CreateSubscription",
        needs="pubsub.subscriptions.create@project pubsub.topics.attachSubscription@topic",
    )
    def create_subscription(self, request: Proto) -> Proto:
        check_name(request.name, "subscriptions")
        check_subscription(request)
        request.state = ACTIVE
        self._catalog.add_subscription(request)
        return request

    @message_method(
        "GET /v1/{subscription=projects/*/subscriptions/*}",
        protos.GetSubscriptionRequest,
        needs="pubsub.subscriptions.get",
    )
    def get_subscription(self, request: Proto) -> Proto:
        return self._catalog.subscription(request.subscription)

    @message_method(
        "PATCH /v1/{subscription.name=projects/*/subscriptions/*} *",
        protos.UpdateSubscriptionRequest,
        needs="pubsub.subscriptions.update",
    )
    def update_subscription(self, request: Proto) -> Proto:
        subscription = protos.Subscription()
        subscription.CopyFrom(self._catalog.subscription(request.subscription.name))
        merge(request.subscription, subscription, request.update_mask, _FROZEN)
        check_subscription(subscription)
        self._catalog.put_subscription(subscription)
        return subscription

    @message_method(
        "GET /v1/{project=projects/*}/subscriptions", protos.ListSubscriptionsRequest, needs="pubsub.subscriptions.list"
    )
    def list_subscriptions(self, request: Proto) -> Proto:
        subscriptions = self._catalog.subscriptions
        names = sorted(name for name in subscriptions if name.startswith(f"{request.project}/"))
        page, token = requested_page(names, request, request.project)
        return protos.ListSubscriptionsResponse(
            subscriptions=[subscriptions[name] for name in page], next_page_token=token
        )

    @message_method(
        "DELETE /v1/{subscription=projects/*/subscriptions/*}",
        protos.DeleteSubscriptionRequest,
        needs="pubsub.subscriptions.delete",
    )
    def delete_subscription(self, request: Proto) -> Proto:
        self._catalog.remove_subscription(request.subscription)
        return protos.Empty()

    @message_method(
        "POST /v1/{subscription=projects/*/subscriptions/*}:modifyPushConfig *",
        protos.ModifyPushConfigRequest,
        needs="pubsub.subscriptions.update",
    )
    def modify_push_config(self, request: Proto) -> Proto:
        subscription = protos.Subscription()
        subscription.CopyFrom(self._catalog.subscription(request.subscription))
        subscription.push_config.CopyFrom(request.push_config)
        check_subscription(subscription)
        self._catalog.put_subscription(subscription)
        return protos.Empty()

    @message_method(
        "POST /v1/{subscription=projects/*/subscriptions/*}:pull *",
        protos.PullRequest,
        needs="pubsub.subscriptions.consume",
    )
    async def pull(self, request: Proto) -> Proto:
        """Wait a while for the first message, unless the request says `return_immediately`."""
        if request.max_messages < 1:
            raise InvalidArgumentError("max_messages must be at least 1.")
        config = self._pulled(request.subscription)
        wait = 0.0 if request.return_immediately else PULL_WAIT_S
        until = self._clock.now() + wait
        while True:
            signal = self._backlog.signal(config.name)
            taken = self._backlog.take(config.name, min(request.max_messages, 1000), config.ack_deadline_seconds)
            if taken or self._clock.now() >= until:
                return protos.PullResponse(received_messages=[self._received(config, item) for item in taken])
            await self._clock.wait(signal, min(until, self._backlog.next_due(config.name) or until))

    @message_method(
        "POST /v1/{subscription=projects/*/subscriptions/*}:acknowledge *",
        protos.AcknowledgeRequest,
        needs="pubsub.subscriptions.consume",
    )
    def acknowledge(self, request: Proto) -> Proto:
        self._catalog.subscription(request.subscription)
        for message, _ in self._parsed(request.ack_ids):
            self._backlog.acknowledge(request.subscription, message)
        return protos.Empty()

    @message_method(
        "POST /v1/{subscription=projects/*/subscriptions/*}:modifyAckDeadline *",
        protos.ModifyAckDeadlineRequest,
        needs="pubsub.subscriptions.consume",
    )
    def modify_ack_deadline(self, request: Proto) -> Proto:
        if not 0 <= request.ack_deadline_seconds <= 600:
            raise InvalidArgumentError("ack_deadline_seconds must be from 0 to 600.")
        self._catalog.subscription(request.subscription)
        self._extend(request.subscription, request.ack_ids, request.ack_deadline_seconds)
        return protos.Empty()

    async def streaming_pull(self, requests: AsyncIterator[Proto]) -> AsyncIterator[Proto]:
        """Yield messages as they arrive, while the client's requests acknowledge them and extend their leases."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        require(_CONSUME, first.subscription)
        config = self._pulled(first.subscription)
        limit, lease = first.max_outstanding_messages or 1000, first.stream_ack_deadline_seconds
        if not 10 <= lease <= 600:
            raise InvalidArgumentError("stream_ack_deadline_seconds must be from 10 to 600.")
        self._apply(config.name, first)
        outstanding: set[tuple[int, int]] = set()
        reader = asyncio.create_task(self._listen(config.name, requests))
        try:
            while not reader.done():
                signal = self._backlog.signal(config.name)
                require(_CONSUME, first.subscription)
                config = self._pulled(first.subscription)
                outstanding = {item for item in outstanding if self._is_leased(config.name, *item)}
                taken = (
                    self._backlog.take(config.name, limit - len(outstanding), lease) if limit > len(outstanding) else []
                )
                if taken:
                    outstanding |= {(item.message, item.attempts) for item in taken}
                    yield self._streamed(config, taken)
                    continue
                await self._idle(config.name, signal, reader)
            reader.result()
        finally:
            reader.cancel()

    async def _idle(self, subscription: str, signal: asyncio.Event, reader: asyncio.Task[None]) -> None:
        """Wait until the backlog changes or the client hangs up."""
        waiting = asyncio.create_task(self._clock.wait(signal, self._backlog.next_due(subscription)))
        try:
            await asyncio.wait((waiting, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _listen(self, subscription: str, requests: AsyncIterator[Proto]) -> None:
        async for request in requests:
            self._apply(subscription, request)

    def _apply(self, subscription: str, request: Proto) -> None:
        for message, _ in self._parsed(request.ack_ids):
            self._backlog.acknowledge(subscription, message)
        for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=False):
            self._extend(subscription, [ack_id], seconds)

    def _extend(self, subscription: str, ack_ids: Iterable[str], seconds: int) -> None:
        """Extend leases; with 0 seconds, return the messages to the backlog instead."""
        for message, attempts in self._parsed(ack_ids):
            if not self._is_leased(subscription, message, attempts):
                continue
            if seconds:
                self._backlog.extend(subscription, message, seconds)
            else:
                self._backlog.fail(subscription, message)

    def _is_leased(self, subscription: str, message: int, attempts: int) -> bool:
        delivery = self._backlog.find(subscription, message)
        return delivery is not None and delivery.leased and delivery.attempts == attempts

    def _parsed(self, ack_ids: Iterable[str]) -> list[tuple[int, int]]:
        parsed = []
        for ack_id in ack_ids:
            match = _ACK_ID.fullmatch(ack_id)
            if not match:
                raise InvalidArgumentError(f"You have passed an invalid ack ID to the service (ack_id={ack_id}).")
            parsed.append((int(match[1]), int(match[2])))
        return parsed

    def _pulled(self, name: str) -> Proto:
        config = self._catalog.subscription(name)
        if config.push_config.push_endpoint or config.detached:
            raise FailedPreconditionError("This method is not supported for this subscription type.")
        return config

    def _received(self, config: Proto, delivery: Delivery) -> Proto:
        received = protos.ReceivedMessage(
            ack_id=f"{delivery.message}-{delivery.attempts}", message=protos.Message.FromString(delivery.body)
        )
        if config.HasField("dead_letter_policy"):
            received.delivery_attempt = delivery.attempts
        return received

    def _streamed(self, config: Proto, taken: list[Delivery]) -> Proto:
        response = protos.StreamingPullResponse(received_messages=[self._received(config, item) for item in taken])
        response.subscription_properties.message_ordering_enabled = config.enable_message_ordering
        return response
