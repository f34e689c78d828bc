"""The gRPC front end: which RPC takes which message and is answered by which method."""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from emulator.pubsub import protos
from emulator.pubsub.errors import PubSubError
from emulator.pubsub.policies import Policies
from emulator.pubsub.protos import Proto
from emulator.pubsub.publisher import Publisher
from emulator.pubsub.subscriber import Subscriber

_log = logging.getLogger(__name__)

Method = Callable[[Proto], Proto | Awaitable[Proto]]


def handlers(publisher: Publisher, subscriber: Subscriber, policies: Policies) -> list[grpc.GenericRpcHandler]:
    """Handlers of the three services, for `grpc.aio.Server.add_generic_rpc_handlers`."""
    stream = grpc.stream_stream_rpc_method_handler(
        _stream(subscriber), protos.StreamingPullRequest.FromString, protos.StreamingPullResponse.SerializeToString
    )
    publishing = {
        "CreateTopic": _unary(publisher.create_topic, protos.Topic),
        "UpdateTopic": _unary(publisher.update_topic, protos.UpdateTopicRequest),
        "GetTopic": _unary(publisher.get_topic, protos.GetTopicRequest),
        "ListTopics": _unary(publisher.list_topics, protos.ListTopicsRequest),
        "ListTopicSubscriptions": _unary(publisher.list_topic_subscriptions, protos.ListTopicSubscriptionsRequest),
        "DeleteTopic": _unary(publisher.delete_topic, protos.DeleteTopicRequest),
        "DetachSubscription": _unary(publisher.detach_subscription, protos.DetachSubscriptionRequest),
        "Publish": _unary(publisher.publish, protos.PublishRequest),
    }
    subscribing = {
        "CreateSubscription": _unary(subscriber.create_subscription, protos.Subscription),
        "GetSubscription": _unary(subscriber.get_subscription, protos.GetSubscriptionRequest),
        "UpdateSubscription": _unary(subscriber.update_subscription, protos.UpdateSubscriptionRequest),
        "ListSubscriptions": _unary(subscriber.list_subscriptions, protos.ListSubscriptionsRequest),
        "DeleteSubscription": _unary(subscriber.delete_subscription, protos.DeleteSubscriptionRequest),
        "ModifyPushConfig": _unary(subscriber.modify_push_config, protos.ModifyPushConfigRequest),
        "Pull": _unary(subscriber.pull, protos.PullRequest),
        "Acknowledge": _unary(subscriber.acknowledge, protos.AcknowledgeRequest),
        "ModifyAckDeadline": _unary(subscriber.modify_ack_deadline, protos.ModifyAckDeadlineRequest),
        "StreamingPull": stream,
    }
    governing = {
        "GetIamPolicy": _unary(policies.get_iam_policy, protos.GetIamPolicyRequest),
        "SetIamPolicy": _unary(policies.set_iam_policy, protos.SetIamPolicyRequest),
        "TestIamPermissions": _unary(policies.test_iam_permissions, protos.TestIamPermissionsRequest),
    }
    return [
        grpc.method_handlers_generic_handler("google.iam.v1.IAMPolicy", governing),
        grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publishing),
        grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscribing),
    ]


def _unary(method: Method, request_type: Any) -> Any:
    async def handle(request: Proto, context: grpc.aio.ServicerContext[Proto, Proto]) -> Proto:
        try:
            response = method(request)
            return await response if inspect.isawaitable(response) else response
        except Exception as error:  # noqa: BLE001
            await _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(handle, request_type.FromString, _serialize)


def _stream(subscriber: Subscriber) -> Any:
    async def handle(
        requests: AsyncIterator[Proto], context: grpc.aio.ServicerContext[Proto, Proto]
    ) -> AsyncIterator[Proto]:
        try:
            async for response in subscriber.streaming_pull(requests):
                yield response
        except Exception as error:  # noqa: BLE001
            await _abort(context, error)

    return handle


async def _abort(context: grpc.aio.ServicerContext[Proto, Proto], error: Exception) -> None:
    if isinstance(error, PubSubError):
        await context.abort(error.status, str(error))
    _log.error("request broke", exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "Internal error encountered.")


def _serialize(response: Proto) -> bytes:
    raw: bytes = response.SerializeToString()
    return raw
