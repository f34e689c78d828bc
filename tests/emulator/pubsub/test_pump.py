"""Pushes to a real HTTP receiver: requests, acknowledgements, redelivery."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.pubsub import PubSub, protos
from tests.emulator.manual_clock import ManualClock
from tests.emulator.receiver import Receiver, receiving, until

TOPIC, DEAD = "projects/p/topics/events", "projects/p/topics/dead"
SUB, DEAD_SUB = "projects/p/subscriptions/worker", "projects/p/subscriptions/dead-letters"


class Rig:
    def __init__(self, pubsub: PubSub, receiver: Receiver, clock: ManualClock) -> None:
        self.pubsub, self.receiver, self.clock = pubsub, receiver, clock

    def subscribe(self, path: str = "/", **fields: Any) -> None:
        push = {"push_endpoint": self.receiver.url + path, **fields.pop("push", {})}
        self.pubsub.subscriber.create_subscription(
            protos.Subscription(name=SUB, topic=TOPIC, push_config=push, **fields)
        )

    def publish(self, text: str, key: str = "", **attributes: str) -> str:
        message = protos.Message(data=text.encode(), attributes=attributes, ordering_key=key)
        request = protos.PublishRequest(topic=TOPIC, messages=[message])
        return str(self.pubsub.publisher.publish(request).message_ids[0])

    async def pushed(self, count: int) -> None:
        await until(lambda: len(self.receiver.pushes) >= count)

    async def idle(self) -> None:
        await until(lambda: self.pubsub.backlog(SUB) == 0)


@asynccontextmanager
async def rig(concurrency: int = 16, **more: Any) -> AsyncIterator[Rig]:
    clock = ManualClock()
    pubsub = PubSub(clock=clock, concurrency=concurrency, **more)
    await pubsub.start()
    for topic in {TOPIC, DEAD} - set(pubsub.names()):
        pubsub.publisher.create_topic(protos.Topic(name=topic))
    async with receiving() as receiver:
        try:
            yield Rig(pubsub, receiver, clock)
        finally:
            await pubsub.stop()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that is a coroutine."""

    def wrapped() -> None:
        asyncio.run(test())

    wrapped.__name__ = test.__name__
    return wrapped


@run
async def test_wrapped_push_carries_the_message_and_its_metadata() -> None:
    async with rig() as it:
        it.subscribe("/hook?a=b", enable_message_ordering=True)
        message_id = it.publish("hello", key="k", colour="red")
        await it.idle()
        (push,) = it.receiver.pushes
        body = json.loads(push.body)
        assert push.path == "/hook?a=b"
        assert push.headers["content-type"] == "application/json"
        assert body["subscription"] == SUB
        assert "deliveryAttempt" not in body
        assert body["message"] == {
            "data": base64.b64encode(b"hello").decode(),
            "attributes": {"colour": "red"},
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": "2023-11-14T22:13:20Z",
            "publish_time": "2023-11-14T22:13:20Z",
            "orderingKey": "k",
        }


@run
async def test_unwrapped_push_is_the_bare_data() -> None:
    async with rig() as it:
        it.subscribe(push={"no_wrapper": {"write_metadata": False}})
        it.publish("raw", colour="red")
        await it.idle()
        (push,) = it.receiver.pushes
        assert push.body == b"raw"
        assert "colour" not in push.headers


@run
async def test_unwrapped_push_with_metadata_has_it_in_headers() -> None:
    async with rig() as it:
        it.subscribe(push={"no_wrapper": {"write_metadata": True}})
        message_id = it.publish("raw", **{"colour": "röt\n", "not a header": "x"})
        await it.idle()
        (push,) = it.receiver.pushes
        assert push.headers["colour"] == "r%C3%B6t%0A"
        assert push.headers["x-goog-pubsub-message-id"] == message_id
        assert push.headers["x-goog-pubsub-subscription-name"] == SUB


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_statuses_acknowledge(status: int) -> None:
    async def check() -> None:
        async with rig() as it:
            it.receiver.answers = [status]
            it.subscribe()
            it.publish("a")
            await it.idle()
            assert len(it.receiver.pushes) == 1

    asyncio.run(check())


@pytest.mark.parametrize("status", [203, 302, 400, 404, 429, 500, 503])
def test_other_statuses_cause_redelivery(status: int) -> None:
    async def check() -> None:
        async with rig() as it:
            it.receiver.answers = [status]
            it.subscribe(retry_policy={"minimum_backoff": {"seconds": 10}})
            it.publish("a")
            await it.pushed(1)
            await until(lambda: it.pubsub._backlog.next_due(SUB) == it.clock.now() + 10)
            it.clock.advance(10)
            await it.idle()
            assert [json.loads(push.body)["message"]["data"] for push in it.receiver.pushes] == ["YQ==", "YQ=="]

    asyncio.run(check())


@run
async def test_push_carries_the_delivery_attempt_and_the_last_leads_to_the_dead_letter_topic() -> None:
    async with rig() as it:
        it.pubsub.subscriber.create_subscription(protos.Subscription(name=DEAD_SUB, topic=DEAD))
        it.receiver.answers = [500] * 5
        it.subscribe(
            dead_letter_policy={"dead_letter_topic": DEAD, "max_delivery_attempts": 5},
            retry_policy={"minimum_backoff": {}, "maximum_backoff": {}},
        )
        it.publish("poison")
        await it.idle()
        assert [json.loads(push.body)["deliveryAttempt"] for push in it.receiver.pushes] == [1, 2, 3, 4, 5]
        assert it.pubsub.backlog(DEAD_SUB) == 1


@run
async def test_unreachable_endpoint_is_retried() -> None:
    async with rig() as it:
        async with receiving() as gone:
            it.receiver.url = gone.url
        it.subscribe(retry_policy={"minimum_backoff": {"seconds": 10}})
        it.publish("a")
        await until(lambda: it.pubsub._backlog.next_due(SUB) == it.clock.now() + 10)
        async with receiving(int(gone.url.rsplit(":", 1)[1])) as back:
            it.clock.advance(10)
            await it.idle()
            assert len(back.pushes) == 1


@run
async def test_concurrent_pushes_are_limited() -> None:
    async with rig(concurrency=3) as it:
        it.receiver.gate = asyncio.Event()
        it.subscribe()
        for number in range(10):
            it.publish(str(number))
        await it.pushed(3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(it.receiver.pushes) == 3
        it.receiver.gate.set()
        await it.idle()
        assert len(it.receiver.pushes) == 10


@run
async def test_ordering_key_is_pushed_in_order_even_if_the_first_fails() -> None:
    async with rig() as it:
        it.receiver.answers = [500, 500]
        it.subscribe(enable_message_ordering=True, retry_policy={"minimum_backoff": {}, "maximum_backoff": {}})
        for number in range(5):
            it.publish(str(number), key="k")
        await it.idle()
        data = [base64.b64decode(json.loads(push.body)["message"]["data"]).decode() for push in it.receiver.pushes]
        assert data == ["0", "0", "0", "1", "2", "3", "4"]


@run
async def test_held_subscription_spends_no_attempts() -> None:
    async with rig() as it:
        it.pubsub.hold(SUB)
        it.subscribe(dead_letter_policy={"dead_letter_topic": DEAD})
        it.publish("a")
        for _ in range(50):
            await asyncio.sleep(0)
        assert it.receiver.pushes == []
        it.pubsub.release(SUB)
        await it.idle()
        assert json.loads(it.receiver.pushes[0].body)["deliveryAttempt"] == 1


@run
async def test_changed_endpoint_receives_later_messages() -> None:
    async with rig() as it, receiving() as other:
        it.subscribe()
        push = {"push_endpoint": other.url}
        it.pubsub.subscriber.modify_push_config(protos.ModifyPushConfigRequest(subscription=SUB, push_config=push))
        it.publish("a")
        await it.idle()
        assert (len(it.receiver.pushes), len(other.pushes)) == (0, 1)


@run
async def test_push_subscription_changed_to_pull_keeps_its_backlog() -> None:
    async with rig() as it:
        it.pubsub.hold(SUB)
        it.subscribe()
        it.publish("a")
        it.pubsub.subscriber.modify_push_config(protos.ModifyPushConfigRequest(subscription=SUB))
        request = protos.PullRequest(subscription=SUB, max_messages=1, return_immediately=True)
        response = await it.pubsub.subscriber.pull(request)
        assert [item.message.data for item in response.received_messages] == [b"a"]


@run
async def test_deleted_subscription_is_no_longer_pushed() -> None:
    async with rig() as it:
        it.receiver.answers = [500]
        it.subscribe(retry_policy={"minimum_backoff": {"seconds": 10}})
        it.publish("a")
        await until(lambda: it.pubsub._backlog.next_due(SUB) == it.clock.now() + 10)
        it.pubsub.subscriber.delete_subscription(protos.DeleteSubscriptionRequest(subscription=SUB))
        it.clock.advance(100)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(it.receiver.pushes) == 1


def outcomes(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """What the log says of each push that failed."""
    return [record.__dict__["outcome"] for record in caplog.records if "outcome" in record.__dict__]


def test_a_redirect_is_not_followed_but_brings_the_message_again() -> None:
    async def check() -> None:
        async with rig() as it, receiving() as other:
            it.receiver.answers = [307, 302]
            it.receiver.location = other.url
            it.subscribe(retry_policy={"minimum_backoff": {}, "maximum_backoff": {}})
            it.publish("a")
            await it.idle()
            assert (len(it.receiver.pushes), len(other.pushes)) == (3, 0)

    asyncio.run(check())


def test_an_authenticated_push_carries_a_token_for_its_audience() -> None:
    requests: list[Any] = []

    async def mint(request: Any) -> str:
        requests.append(request)
        return f"token-{len(requests)}"

    async def check() -> None:
        async with rig(mint=mint) as it:
            token = {"service_account_email": "pusher@p.iam.gserviceaccount.com", "audience": "https://audience"}
            it.subscribe(push={"oidc_token": token})
            it.publish("a")
            await it.idle()
            (push,) = it.receiver.pushes
            assert push.headers["authorization"] == "Bearer token-1"
            assert push.headers["content-type"] == "application/json"
            email = token["service_account_email"]
            assert [(each.audience, each.service_account) for each in requests] == [(token["audience"], email)]

    asyncio.run(check())


def test_a_push_that_breaks_is_logged_and_tried_again_when_its_lease_ends(caplog: pytest.LogCaptureFixture) -> None:
    failures = [RuntimeError("no key")]

    async def mint(request: Any) -> str:
        if failures:
            raise failures.pop()
        return "token"

    async def check() -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        async with rig(mint=mint) as it:
            it.subscribe(push={"oidc_token": {"service_account_email": "pusher@p.iam.gserviceaccount.com"}})
            it.publish("a")
            await until(lambda: bool(caplog.records))
            it.clock.advance(600)
            await until(lambda: it.pubsub._backlog.next_due(SUB) is not None)
            it.clock.advance(600)
            await it.idle()
            assert len(it.receiver.pushes) == 1
        assert not errors

    asyncio.run(check())
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info] == [("no key",)]  # type: ignore


def test_a_push_without_an_answer_fails_when_the_ack_deadline_has_passed(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        time = loop.time
        async with rig() as it:
            it.receiver.gate = asyncio.Event()
            it.subscribe(ack_deadline_seconds=100, retry_policy={"minimum_backoff": {"seconds": 10}})
            it.publish("a")
            await it.pushed(1)
            loop.time = lambda: time() + 90  # type: ignore[method-assign]
            it.publish("b")
            await it.pushed(2)
            assert it.receiver.in_flight == 2
            loop.time = lambda: time() + 110  # type: ignore[method-assign]
            await until(lambda: it.pubsub._backlog.next_due(SUB) == it.clock.now() + 10)
            it.receiver.gate.set()
            it.clock.advance(10)
            await it.idle()
            assert len(it.receiver.pushes) == 3

    asyncio.run(check())
    (outcome,) = outcomes(caplog)
    assert "100 s" in outcome


def test_a_message_is_pushed_once_though_its_push_takes_long() -> None:
    async def check() -> None:
        async with rig() as it:
            it.receiver.gate = asyncio.Event()
            it.subscribe()
            it.publish("a")
            await it.pushed(1)
            it.clock.advance(65)  # the ack deadline is 10 s; the lease outlives it
            for text in "bc":
                it.publish(text)
                await it.pushed("abc".index(text) + 1)
                it.clock.advance(2)
            it.receiver.gate.set()
            await it.idle()
            data = [json.loads(push.body)["message"]["data"] for push in it.receiver.pushes]
            assert [base64.b64decode(text) for text in data] == [b"a", b"b", b"c"]

    asyncio.run(check())


def test_a_message_that_cannot_be_encoded_fails_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with rig() as it:
            it.pubsub.subscriber.create_subscription(protos.Subscription(name=DEAD_SUB, topic=DEAD))
            it.subscribe(
                "/?__GCP_CloudEventsMode=GCS_NOTIFICATION",
                dead_letter_policy={"dead_letter_topic": DEAD, "max_delivery_attempts": 5},
                retry_policy={"minimum_backoff": {}, "maximum_backoff": {}},
            )
            it.publish("no notification")
            await it.idle()
            assert it.pubsub.backlog(DEAD_SUB) == 1
            assert it.receiver.pushes == []

    asyncio.run(check())
    assert len(outcomes(caplog)) == 5
    assert all("notification" in outcome for outcome in outcomes(caplog))


@pytest.mark.parametrize("concurrency", [1, 2])
def test_as_many_pushes_as_allowed_are_under_way_and_no_more(concurrency: int) -> None:
    async def check() -> None:
        async with rig(concurrency) as it:
            it.receiver.gate = asyncio.Event()
            it.subscribe()
            for number in range(3):
                it.publish(str(number))
            await it.pushed(concurrency)
            for number in range(3, 20):  # each wakes the pump
                it.publish(str(number))
                await asyncio.sleep(0)
            it.receiver.gate.set()
            await it.idle()
            assert it.receiver.most == concurrency
            assert len(it.receiver.pushes) == 20

    asyncio.run(check())


def test_what_was_under_way_at_a_stop_is_pushed_after_the_start_as_not_attempted(tmp_path: Path) -> None:
    async def check() -> None:
        async with receiving() as receiver:
            receiver.gate = asyncio.Event()
            for _ in range(2):
                async with rig(folder=tmp_path) as it:
                    if not receiver.pushes:
                        it.receiver = receiver
                        it.subscribe(dead_letter_policy={"dead_letter_topic": DEAD})
                        it.publish("a")
                        await it.pushed(1)
                        continue
                    receiver.gate.set()
                    await it.idle()
            assert [json.loads(push.body)["deliveryAttempt"] for push in receiver.pushes] == [1, 1]

    asyncio.run(check())


def test_the_log_says_why_an_endpoint_was_not_reached(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with rig() as it:
            async with receiving() as gone:
                it.receiver.url = gone.url
            it.subscribe()
            it.publish("a")
            await until(lambda: bool(caplog.records))
            assert gone.url.removeprefix("http://") in outcomes(caplog)[0]

    asyncio.run(check())


def test_a_status_acknowledges_though_the_body_breaks_off() -> None:
    calls = 0

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async def check() -> None:
        async with rig() as it:
            server = await asyncio.start_server(break_off, "127.0.0.1", 0)
            it.receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            it.subscribe()
            it.publish("a")
            await it.idle()
            server.close()
        assert calls == 1

    asyncio.run(check())
