"""Pub/Sub over REST, as gcloud and plain HTTP clients use it."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from emulator.pubsub import PubSub

NESTED = b'{"topic": "projects/p/topics/events", "filter": "%battributes:a"}' % (b"(" * 5000)
TOPIC, SUB = "/v1/projects/p/topics/events", "/v1/projects/p/subscriptions/worker"


@pytest.fixture
def http() -> Iterator[TestClient]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        pubsub = PubSub()
        await pubsub.start()
        app.routes.extend(pubsub.routes())
        yield
        await pubsub.stop()

    with TestClient(Starlette(lifespan=lifespan)) as client:
        yield client


def ok(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def test_topic_and_subscription_from_creation_to_deletion(http: TestClient) -> None:
    topic = {"name": "projects/p/topics/events", "labels": {"a": "b"}, "state": "ACTIVE"}
    assert ok(http.put(TOPIC, json={"labels": {"a": "b"}})) == topic
    made = ok(http.put(SUB, json={"topic": "projects/p/topics/events", "ackDeadlineSeconds": 20}))
    assert (made["ackDeadlineSeconds"], made["messageRetentionDuration"]) == (20, "604800s")
    assert ok(http.get(TOPIC)) == topic
    assert ok(http.get(SUB)) == made
    assert ok(http.get("/v1/projects/p/topics")) == {"topics": [topic]}
    assert ok(http.get("/v1/projects/p/subscriptions"))["subscriptions"] == [made]
    assert ok(http.get(f"{TOPIC}/subscriptions")) == {"subscriptions": ["projects/p/subscriptions/worker"]}
    assert ok(http.delete(SUB)) == {}
    assert ok(http.delete(TOPIC)) == {}
    assert ok(http.get("/v1/projects/p/topics")) == {}
    assert http.get(SUB).status_code == 404


def test_published_message_is_pulled_and_acknowledged(http: TestClient) -> None:
    http.put(TOPIC)
    http.put(SUB, json={"topic": "projects/p/topics/events"})
    data = base64.b64encode(b"hello").decode()
    message = {"data": data, "attributes": {"k": "v"}}
    (message_id,) = ok(http.post(f"{TOPIC}:publish", json={"messages": [message]}))["messageIds"]
    pull = {"maxMessages": 10, "returnImmediately": True}
    (received,) = ok(http.post(f"{SUB}:pull", json=pull))["receivedMessages"]
    assert received["message"].pop("publishTime")
    assert received["message"] == {**message, "messageId": message_id}
    assert ok(http.post(f"{SUB}:acknowledge", json={"ackIds": [received["ackId"]]})) == {}
    assert ok(http.post(f"{SUB}:pull", json=pull)) == {}


def test_listing_is_paged_by_query(http: TestClient) -> None:
    for number in range(3):
        http.put(f"{TOPIC}-{number}")
    first = ok(http.get("/v1/projects/p/topics", params={"pageSize": 2, "alt": "json"}))
    assert len(first["topics"]) == 2
    second = ok(http.get("/v1/projects/p/topics", params={"pageSize": 2, "pageToken": first["nextPageToken"]}))
    assert [topic["name"] for topic in second["topics"]] == ["projects/p/topics/events-2"]


def test_subscription_is_updated(http: TestClient) -> None:
    http.put(TOPIC)
    http.put(SUB, json={"topic": "projects/p/topics/events"})
    change = {"subscription": {"ackDeadlineSeconds": 99}, "updateMask": "ackDeadlineSeconds"}
    assert ok(http.patch(SUB, json=change))["ackDeadlineSeconds"] == 99
    frozen = {"subscription": {"filter": "attributes:x"}, "updateMask": "filter"}
    assert http.patch(SUB, json=frozen).status_code == 400


def test_policy_is_read_modified_and_written(http: TestClient) -> None:
    http.put(TOPIC)
    policy = ok(http.get(f"{TOPIC}:getIamPolicy"))
    policy["bindings"] = [{"role": "roles/pubsub.publisher", "members": ["user:a@example.com"]}]
    written = ok(http.post(f"{TOPIC}:setIamPolicy", json={"policy": policy}))
    assert written["bindings"] == policy["bindings"]
    assert ok(http.get(f"{TOPIC}:getIamPolicy")) == written
    assert http.post(f"{TOPIC}:setIamPolicy", json={"policy": policy}).status_code == 409, "the etag is stale"
    body = {"permissions": ["pubsub.topics.publish"]}
    assert ok(http.post(f"{TOPIC}:testIamPermissions", json=body)) == body
    assert http.get("/v1/projects/p/topics/missing:getIamPolicy").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "name"),
    [
        ("PUT", "/v1/projects/p/topics/x", b"", 400, "INVALID_ARGUMENT"),
        ("PUT", "/v1/projects/p/topics/1abc", b"", 400, "INVALID_ARGUMENT"),
        ("GET", "/v1/projects/p/topics/missing", b"", 404, "NOT_FOUND"),
        ("DELETE", "/v1/projects/p/topics/missing", b"", 404, "NOT_FOUND"),
        ("POST", "/v1/projects/p/topics/events:explode", b"", 404, "NOT_FOUND"),
        ("POST", f"{TOPIC}:publish", b"{not json", 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b"[1]", 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b'"text"', 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b"\xff\xfe", 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b"{}", 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b'{"messages": [{}]}', 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b'{"messages": [{"data": "%%%"}]}', 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b'{"messages": [{"data": 7}]}', 400, "INVALID_ARGUMENT"),
        ("POST", f"{TOPIC}:publish", b'{"surprise": 1}', 400, "INVALID_ARGUMENT"),
        ("GET", "/v1/projects/p/topics?pageSize=many", b"", 400, "INVALID_ARGUMENT"),
        ("POST", f"{SUB}:pull", b'{"maxMessages": 0}', 400, "INVALID_ARGUMENT"),
        ("POST", "/v1/projects/p/subscriptions/missing:pull", b'{"maxMessages": 1}', 404, "NOT_FOUND"),
        ("POST", f"{TOPIC}:publish", b"[" * 100_000, 400, "INVALID_ARGUMENT"),
        ("PATCH", TOPIC, b'{"topic": 3}', 400, "INVALID_ARGUMENT"),
        ("PUT", "/v1/projects/p/subscriptions/deep", NESTED, 400, "INVALID_ARGUMENT"),
        ("PUT", TOPIC, b"", 409, "ALREADY_EXISTS"),
    ],
)
def test_errors_have_googles_form(
    http: TestClient, method: str, path: str, body: bytes, status: int, name: str
) -> None:
    http.put(TOPIC)
    http.put(SUB, json={"topic": "projects/p/topics/events"})
    response = http.request(method, path, content=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (status, status, name)
    assert error["message"]


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        (SUB, {"topic": "projects/p/topics/events", "bigqueryConfig": {"table": "p.d.t"}}),
        (SUB, {"topic": "projects/p/topics/events", "cloudStorageConfig": {"bucket": "b"}}),
        (SUB, {"topic": "projects/p/topics/events", "messageTransforms": [{"disabled": True}]}),
        (f"{TOPIC}-new", {"schemaSettings": {"schema": "projects/p/schemas/s", "encoding": "JSON"}}),
        (f"{TOPIC}-new", {"ingestionDataSourceSettings": {"cloudStorage": {"bucket": "b"}}}),
    ],
)
def test_what_would_do_nothing_is_refused(http: TestClient, path: str, setting: dict[str, Any]) -> None:
    http.put(TOPIC)
    refused = http.put(path, json=setting)
    error = refused.json()["error"]
    assert (refused.status_code, error["status"]) == (501, "UNIMPLEMENTED")
    assert list(setting)[-1] in error["message"]
    assert http.get(path).status_code == 404
