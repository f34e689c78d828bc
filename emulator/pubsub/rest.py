"""The REST front end: the same methods, their requests put together from path, query and JSON body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.pubsub import protos
from emulator.pubsub.errors import InvalidArgumentError, NotFoundError, PubSubError
from emulator.pubsub.policies import Policies
from emulator.pubsub.protos import Proto
from emulator.pubsub.publisher import Publisher
from emulator.pubsub.rpc import Method
from emulator.pubsub.subscriber import Subscriber

_QUERY = {"pageSize", "pageToken"}


@dataclass(frozen=True)
class Call:
    """One method over REST: `field` of its request takes the name in the path, the rest comes with the body."""

    method: Method
    request_type: Any
    field: str


def routes(publisher: Publisher, subscriber: Subscriber, policies: Policies) -> list[Route]:
    """The routes of all services, each with its full path from `/v1`."""
    governing = {
        ("GET", "getIamPolicy"): Call(policies.get_iam_policy, protos.GetIamPolicyRequest, "resource"),
        ("POST", "setIamPolicy"): Call(policies.set_iam_policy, protos.SetIamPolicyRequest, "resource"),
        ("POST", "testIamPermissions"): Call(
            policies.test_iam_permissions, protos.TestIamPermissionsRequest, "resource"
        ),
    }
    topics = {
        **governing,
        ("GET", ""): Call(publisher.get_topic, protos.GetTopicRequest, "topic"),
        ("PUT", ""): Call(publisher.create_topic, protos.Topic, "name"),
        ("PATCH", ""): Call(publisher.update_topic, protos.UpdateTopicRequest, "topic.name"),
        ("DELETE", ""): Call(publisher.delete_topic, protos.DeleteTopicRequest, "topic"),
        ("POST", "publish"): Call(publisher.publish, protos.PublishRequest, "topic"),
    }
    subscriptions = {
        **governing,
        ("GET", ""): Call(subscriber.get_subscription, protos.GetSubscriptionRequest, "subscription"),
        ("PUT", ""): Call(subscriber.create_subscription, protos.Subscription, "name"),
        ("PATCH", ""): Call(subscriber.update_subscription, protos.UpdateSubscriptionRequest, "subscription.name"),
        ("DELETE", ""): Call(subscriber.delete_subscription, protos.DeleteSubscriptionRequest, "subscription"),
        ("POST", "pull"): Call(subscriber.pull, protos.PullRequest, "subscription"),
        ("POST", "acknowledge"): Call(subscriber.acknowledge, protos.AcknowledgeRequest, "subscription"),
        ("POST", "detach"): Call(publisher.detach_subscription, protos.DetachSubscriptionRequest, "subscription"),
        ("POST", "modifyAckDeadline"): Call(
            subscriber.modify_ack_deadline, protos.ModifyAckDeadlineRequest, "subscription"
        ),
        ("POST", "modifyPushConfig"): Call(
            subscriber.modify_push_config, protos.ModifyPushConfigRequest, "subscription"
        ),
    }
    all_topics = Call(publisher.list_topics, protos.ListTopicsRequest, "project")
    all_subscriptions = Call(subscriber.list_subscriptions, protos.ListSubscriptionsRequest, "project")
    attached = Call(publisher.list_topic_subscriptions, protos.ListTopicSubscriptionsRequest, "topic")
    return [
        _route("/v1/projects/{project}/topics", "/topics", {("GET", ""): all_topics}),
        _route("/v1/projects/{project}/topics/{id}", "", topics),
        _route("/v1/projects/{project}/topics/{id}/subscriptions", "/subscriptions", {("GET", ""): attached}),
        _route("/v1/projects/{project}/subscriptions", "/subscriptions", {("GET", ""): all_subscriptions}),
        _route("/v1/projects/{project}/subscriptions/{id}", "", subscriptions),
    ]


def _route(path: str, suffix: str, calls: Mapping[tuple[str, str], Call]) -> Route:
    """A route to several calls, told apart by HTTP method and by what follows the colon."""

    async def endpoint(request: Request) -> Response:
        name, _, verb = request.url.path.removeprefix("/v1/").removesuffix(suffix).partition(":")
        call = calls.get((request.method, verb))
        if call is None:
            return JSONResponse(NotFoundError(name).body, 404)
        try:
            response = call.method(await _request(request, call, name))
            return JSONResponse(json_format.MessageToDict(await response if isawaitable(response) else response))
        except PubSubError as error:
            return JSONResponse(error.body, error.code)

    return Route(path, endpoint, methods=sorted({method for method, _ in calls}))


async def _request(request: Request, call: Call, name: str) -> Proto:
    """The call's request message, put together from path, query and body."""
    message = call.request_type()
    body = await request.body()
    try:
        fields = json.loads(body) if body else {}
        fields |= {key: value for key, value in request.query_params.items() if key in _QUERY}
        json_format.ParseDict(fields, message)
    except (ValueError, TypeError, json_format.ParseError) as error:
        raise InvalidArgumentError(f"Invalid JSON payload received. {error}") from error
    *parents, field = call.field.split(".")
    target = message
    for parent in parents:
        target = getattr(target, parent)
    setattr(target, field, name)
    return message
