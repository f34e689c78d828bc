"""Triggers, push subscriptions and workflows call services with the identities that the stack grants access."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator import ports
from emulator.identity import policy
from emulator.identity.backend import Backend
from emulator.identity.front import Front
from emulator.identity.gate import Gate
from emulator.pubsub import protos
from emulator.server import Emulator
from emulator.stack.loader import load
from tests.emulator.receiver import Receiver, receiving, until

STACK = """
project: p
topics: [messages, notices]
services: {hook: {command: [none], invokers: %(invokers)s}}
triggers:
  messages:
    event: google.cloud.pubsub.topic.v1.messagePublished
    topic: messages
    service: hook
    service_account: pusher
    backoff: {min: 0.01, max: 0.02}
workflows: {flow: {source: flow.yaml, service_account: runner, env: {URL: "{hook.url}"}}}
"""
FLOW = """
main:
  params: [args]
  steps:
    - call:
        try:
          call: http.post
          args:
            url: ${sys.get_env("URL") + "/step"}
            auth: {type: OIDC, audience: "${default(map.get(args, \\"audience\\"), sys.get_env(\\"URL\\"))}"}
            body: {a: 1}
          result: answer
        except:
          as: error
          steps:
            - refused: {return: "${error.code}"}
    - done: {return: "${answer.code}"}
"""
EXECUTIONS = "/v1/projects/p/locations/us-central1/workflows/flow/executions"


@asynccontextmanager
async def stack(folder: Path, invokers: str) -> AsyncIterator[tuple[Emulator, Receiver, str]]:
    (folder / "flow.yaml").write_text(FLOW)
    (folder / "stack.yaml").write_text(STACK % {"invokers": invokers})
    described = load(folder / "stack.yaml")
    bound = ports.listen(0, "hook", "")
    url = f"http://{ports.HOST}:{bound.getsockname()[1]}"
    async with receiving() as receiver, Emulator(described, services={"hook": url}) as emulator:
        gate = Gate(emulator.workflows.tokens, url, policy.invokers(described, described.services[0]))
        front = Front("hook", gate, Backend(int(receiver.url.rsplit(":", 1)[1])))
        await front.open(bound)
        yield emulator, receiver, url
        front.close()


def publish(emulator: Emulator, topic: str) -> None:
    request = protos.PublishRequest(topic=f"projects/p/topics/{topic}", messages=[protos.Message(data=b"hi")])
    emulator.pubsub.publisher.publish(request)


async def execute(emulator: Emulator, **argument: str) -> Any:
    async with httpx.AsyncClient(base_url=f"http://{emulator.http}") as http:
        name = (await http.post(EXECUTIONS, json={"argument": json.dumps(argument)})).json()["name"]
        while (execution := (await http.get(f"/v1/{name}")).json())["state"] in ("ACTIVE", "QUEUED"):
            await asyncio.sleep(0.01)
    return json.loads(execution["result"])


def caller(receiver: Receiver) -> tuple[str, str]:
    """E-mail address and audience of the last call's token."""
    payload = receiver.pushes[-1].headers["authorization"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims["email"], claims["aud"]


def test_a_trigger_calls_as_its_account(tmp_path: Path) -> None:
    async def check() -> None:
        async with stack(tmp_path, "[pusher]") as (emulator, receiver, url):
            publish(emulator, "messages")
            await until(lambda: receiver.pushes)
            assert caller(receiver) == ("pusher@p.iam.gserviceaccount.com", url)

    asyncio.run(check())


def test_a_push_subscription_calls_as_the_account_that_it_was_made_with(tmp_path: Path) -> None:
    async def check() -> None:
        async with stack(tmp_path, "[pusher]") as (emulator, receiver, url):
            push = {"push_endpoint": f"{url}/pushed"}
            push["oidc_token"] = {"service_account_email": "pusher@p.iam.gserviceaccount.com", "audience": url}
            wanted = {"name": "projects/p/subscriptions/mine", "topic": "projects/p/topics/notices"}
            emulator.pubsub.subscriber.create_subscription(protos.Subscription(**wanted, push_config=push))
            publish(emulator, "notices")
            await until(lambda: receiver.pushes)
            assert receiver.pushes[0].path == "/pushed"
            assert caller(receiver) == ("pusher@p.iam.gserviceaccount.com", url)

    asyncio.run(check())


def test_a_trigger_without_permission_is_refused_and_retries(tmp_path: Path) -> None:
    async def check() -> None:
        async with stack(tmp_path, "[runner]") as (emulator, receiver, _):
            publish(emulator, "messages")
            subscription = "projects/p/subscriptions/eventarc-us-central1-messages-sub"
            assert await execute(emulator) == 204, "the other one still passes"
            assert emulator.pubsub.backlog(subscription) == 1
            assert [push.path for push in receiver.pushes] == ["/step"]

    asyncio.run(check())


@pytest.mark.parametrize(
    ("invokers", "argument", "expected"),
    [
        ("[runner]", {}, 204),
        ("[runner]", {"audience": "http://127.0.0.1:9"}, 401),
        ("[runner]", {"audience": "step"}, 401),
        ("[pusher]", {}, 403),
        ("[allUsers]", {"audience": "any"}, 204),
    ],
)
def test_a_workflow_calls_as_its_account_and_for_the_services_own_address(
    tmp_path: Path, invokers: str, argument: dict[str, str], expected: int
) -> None:
    async def check() -> None:
        async with stack(tmp_path, invokers) as (emulator, receiver, _):
            assert await execute(emulator, **argument) == expected
            assert len(receiver.pushes) == (expected == 204)

    asyncio.run(check())
