"""The messages of the Pub/Sub API as plain protobuf classes, which (de)serialise faster than proto-plus's wrappers."""

from typing import Any

from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

Proto = Any  # the classes are built at run time, so no static type is closer

Empty: Any = vars(empty_pb2)["Empty"]

Topic = types.Topic.pb()
Message = types.PubsubMessage.pb()
UpdateTopicRequest = types.UpdateTopicRequest.pb()
GetTopicRequest = types.GetTopicRequest.pb()
DeleteTopicRequest = types.DeleteTopicRequest.pb()
ListTopicsRequest = types.ListTopicsRequest.pb()
ListTopicsResponse = types.ListTopicsResponse.pb()
ListTopicSubscriptionsRequest = types.ListTopicSubscriptionsRequest.pb()
ListTopicSubscriptionsResponse = types.ListTopicSubscriptionsResponse.pb()
PublishRequest = types.PublishRequest.pb()
PublishResponse = types.PublishResponse.pb()
DetachSubscriptionRequest = types.DetachSubscriptionRequest.pb()
DetachSubscriptionResponse = types.DetachSubscriptionResponse.pb()

Subscription = types.Subscription.pb()
PushConfig = types.PushConfig.pb()
UpdateSubscriptionRequest = types.UpdateSubscriptionRequest.pb()
GetSubscriptionRequest = types.GetSubscriptionRequest.pb()
DeleteSubscriptionRequest = types.DeleteSubscriptionRequest.pb()
ListSubscriptionsRequest = types.ListSubscriptionsRequest.pb()
ListSubscriptionsResponse = types.ListSubscriptionsResponse.pb()
ModifyPushConfigRequest = types.ModifyPushConfigRequest.pb()
PullRequest = types.PullRequest.pb()
PullResponse = types.PullResponse.pb()
ReceivedMessage = types.ReceivedMessage.pb()
AcknowledgeRequest = types.AcknowledgeRequest.pb()
ModifyAckDeadlineRequest = types.ModifyAckDeadlineRequest.pb()
StreamingPullRequest = types.StreamingPullRequest.pb()
StreamingPullResponse = types.StreamingPullResponse.pb()

Policy: Any = vars(policy_pb2)["Policy"]
GetIamPolicyRequest: Any = vars(iam_policy_pb2)["GetIamPolicyRequest"]
SetIamPolicyRequest: Any = vars(iam_policy_pb2)["SetIamPolicyRequest"]
TestIamPermissionsRequest: Any = vars(iam_policy_pb2)["TestIamPermissionsRequest"]
TestIamPermissionsResponse: Any = vars(iam_policy_pb2)["TestIamPermissionsResponse"]
