"""The rules that topics, subscriptions and messages must follow."""

import re

from emulator.googleapi.errors import InvalidArgumentError, UnimplementedError
from emulator.pubsub import filters
from emulator.pubsub.protos import Proto

_NAME = re.compile(r"projects/[^/\s]+/(?P<kind>topics|subscriptions)/(?P<id>[A-Za-z][A-Za-z0-9\-_.~+%]{2,254})")
# Settings that would do nothing here: messages would not arrive where they should, or be other messages.
_NOT_EMULATED = {
    "Subscription": ("bigquery_config", "cloud_storage_config", "bigtable_config", "message_transforms"),
    "Topic": ("schema_settings", "ingestion_data_source_settings", "message_transforms"),
}
_MAX_REQUEST = 10_000_000
_MAX_MESSAGES = 1000


def check_name(name: str, kind: str) -> None:
    """Raise `InvalidArgumentError` unless `name` is a full resource name of a kind (`topics`, `subscriptions`)."""
    match = _NAME.fullmatch(name)
    if not match or match["kind"] != kind or match["id"].startswith("goog"):
        raise InvalidArgumentError(f"Invalid resource name given (name={name}).")


def check_emulated(resource: Proto) -> None:
    """Raise `UnimplementedError` if a topic or subscription has a setting that is not emulated."""
    kind = resource.DESCRIPTOR.name
    present = {field.json_name for field, _ in resource.ListFields() if field.name in _NOT_EMULATED[kind]}
    if present:
        raise UnimplementedError(f"A {kind.lower()} with {min(present)} is not emulated; leave it out.")


def check_subscription(subscription: Proto) -> None:
    """Fill in a subscription's defaults, and raise `InvalidArgumentError` if its configuration breaks a rule."""
    check_name(subscription.topic, "topics")
    check_emulated(subscription)
    filters.compile_filter(subscription.filter)
    subscription.ack_deadline_seconds = subscription.ack_deadline_seconds or 10
    if not 10 <= subscription.ack_deadline_seconds <= 600:
        raise InvalidArgumentError("ackDeadlineSeconds must be from 10 to 600.")
    endpoint = subscription.push_config.push_endpoint
    if endpoint and not re.match(r"https?://[^/\s]+", endpoint):
        raise InvalidArgumentError(f"Invalid push endpoint given (endpoint={endpoint}). It must be an http(s) URL.")
    if not subscription.HasField("message_retention_duration"):
        subscription.message_retention_duration.FromSeconds(7 * 86400)
    _check_dead_letter(subscription)
    _check_retry(subscription)


def _check_dead_letter(subscription: Proto) -> None:
    if not subscription.HasField("dead_letter_policy"):
        return
    policy = subscription.dead_letter_policy
    check_name(policy.dead_letter_topic, "topics")
    policy.max_delivery_attempts = policy.max_delivery_attempts or 5
    if not 5 <= policy.max_delivery_attempts <= 100:
        raise InvalidArgumentError("maxDeliveryAttempts must be from 5 to 100.")


def _check_retry(subscription: Proto) -> None:
    if not subscription.HasField("retry_policy"):
        return
    policy = subscription.retry_policy
    if not policy.HasField("minimum_backoff"):
        policy.minimum_backoff.FromSeconds(10)
    if not policy.HasField("maximum_backoff"):
        policy.maximum_backoff.FromSeconds(600)
    low, high = policy.minimum_backoff.ToTimedelta(), policy.maximum_backoff.ToTimedelta()
    if not 0 <= low.total_seconds() <= high.total_seconds() <= 600:
        raise InvalidArgumentError("minimumBackoff must not exceed maximumBackoff, and both be from 0 to 600 seconds.")


def check_publish(request: Proto) -> None:
    """Raise `InvalidArgumentError` if a publish request exceeds a limit."""
    if not 1 <= len(request.messages) <= _MAX_MESSAGES:
        raise InvalidArgumentError(f"A publish request holds from 1 to {_MAX_MESSAGES} messages.")
    if request.ByteSize() > _MAX_REQUEST:
        raise InvalidArgumentError(f"Request payload size exceeds the limit: {_MAX_REQUEST} bytes.")
    for message in request.messages:
        _check_message(message)


def _check_message(message: Proto) -> None:
    if not message.data and not message.attributes:
        raise InvalidArgumentError("Some messages in the request are empty: give data, an attribute, or both.")
    if len(message.attributes) > 100 or len(message.ordering_key.encode()) > 1024:
        raise InvalidArgumentError("A message has at most 100 attributes, and an ordering key of at most 1024 bytes.")
    for key, value in message.attributes.items():
        if not key or len(key.encode()) > 256 or len(value.encode()) > 1024 or key.startswith("goog"):
            raise InvalidArgumentError(
                "An attribute's key has from 1 to 256 bytes and doesn't start with goog; its value has at most 1024."
            )
