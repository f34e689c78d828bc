"""The HTTP request for a delivery: wrapped, unwrapped, or a CloudEvent as Eventarc sends it."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from emulator.identity.token_sources import TokenRequest
from emulator.pubsub import protos
from emulator.pubsub.protos import Proto
from emulator.pubsub.store import Delivery

MODE = "__GCP_CloudEventsMode"

_STORAGE_EVENTS = {
    "OBJECT_FINALIZE": "finalized",
    "OBJECT_DELETE": "deleted",
    "OBJECT_ARCHIVE": "archived",
    "OBJECT_METADATA_UPDATE": "metadataUpdated",
}


class CloudEventMode(StrEnum):
    """Value of the query parameter with which Eventarc's push endpoints ask for CloudEvents."""

    STORAGE = "GCS_NOTIFICATION"
    PUBSUB = "CUSTOM_PUBSUB"


class EncodingError(ValueError):
    """The message has no form that its subscription asks for."""


@dataclass(frozen=True)
class PushRequest:
    url: str
    headers: Mapping[str, str]
    body: bytes


def encode(subscription: Proto, delivery: Delivery) -> PushRequest:
    """The request for a delivery, in the form that the push configuration asks for.

    Raises:
        EncodingError: the trigger expects Storage notifications, and the message is not one.
    """
    config, message = subscription.push_config, protos.Message.FromString(delivery.body)
    url, mode = _split_mode(config.push_endpoint)
    if mode == CloudEventMode.STORAGE:
        headers, body = _storage_event(message), message.data
    elif mode == CloudEventMode.PUBSUB:
        headers, body = _pubsub_event(message, delivery.topic), _wrapped(subscription, delivery, message)
    elif config.HasField("no_wrapper"):
        headers, body = _unwrapped_headers(subscription, message), message.data
    else:
        headers, body = {"Content-Type": "application/json"}, _wrapped(subscription, delivery, message)
    trace = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
    return PushRequest(url, {"User-Agent": "APIs-Google; (+emulator)", **trace, **headers}, body)


def token_request(subscription: Proto) -> TokenRequest | None:
    """The request for the identity token of a subscription's pushes, None if they carry no token."""
    config = subscription.push_config
    if not config.HasField("oidc_token"):
        return None
    audience = config.oidc_token.audience or config.push_endpoint
    return TokenRequest("OIDC", audience, (), config.oidc_token.service_account_email)


def _split_mode(endpoint: str) -> tuple[str, str]:
    parts = urlsplit(endpoint)
    query = parse_qsl(parts.query, keep_blank_values=True)
    mode = dict(query).get(MODE, "")
    rest = urlencode([pair for pair in query if pair[0] != MODE])
    return urlunsplit(parts._replace(query=rest)), mode


def _wrapped(subscription: Proto, delivery: Delivery, message: Proto) -> bytes:
    published = message.publish_time.ToJsonString()
    envelope: dict[str, object] = {
        "data": base64.b64encode(message.data).decode(),
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published,
        "publish_time": published,
    }
    if message.attributes:
        envelope["attributes"] = dict(message.attributes)
    if message.ordering_key:
        envelope["orderingKey"] = message.ordering_key
    body: dict[str, object] = {"message": envelope, "subscription": subscription.name}
    if subscription.HasField("dead_letter_policy"):
        body["deliveryAttempt"] = delivery.attempts
    return json.dumps(body).encode()


def _unwrapped_headers(subscription: Proto, message: Proto) -> dict[str, str]:
    if not subscription.push_config.no_wrapper.write_metadata:
        return {}
    headers = {key: _header(value) for key, value in message.attributes.items() if _is_header(key)}
    headers["x-goog-pubsub-subscription-name"] = subscription.name
    headers["x-goog-pubsub-message-id"] = message.message_id
    headers["x-goog-pubsub-publish-time"] = message.publish_time.ToJsonString()
    if message.ordering_key:
        headers["x-goog-pubsub-ordering-key"] = _header(message.ordering_key)
    return headers


def _event(message: Proto, kind: str, source: str, **extensions: str) -> dict[str, str]:
    attributes = {"id": message.message_id, "source": source, "specversion": "1.0", "type": kind, **extensions}
    attributes.setdefault("time", message.publish_time.ToJsonString())
    return {"Content-Type": "application/json", **{f"ce-{key}": _header(value) for key, value in attributes.items()}}


def _storage_event(message: Proto) -> dict[str, str]:
    bucket, name = message.attributes.get("bucketId"), message.attributes.get("objectId")
    change = _STORAGE_EVENTS.get(message.attributes.get("eventType", ""))
    if not (bucket and name and change):
        raise EncodingError("the message is not a Cloud Storage notification")
    return _event(
        message,
        f"google.cloud.storage.object.v1.{change}",
        f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        subject=f"objects/{name}",
        bucket=bucket,
        time=message.attributes.get("eventTime") or message.publish_time.ToJsonString(),
    )


def _pubsub_event(message: Proto, topic: str) -> dict[str, str]:
    return _event(message, "google.cloud.pubsub.topic.v1.messagePublished", f"//pubsub.googleapis.com/{topic}")


def _header(value: str) -> str:
    """The value with spaces, quotes, percent signs and non-ASCII encoded, as the CloudEvents binding requires."""
    return quote(value, safe="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")


def _is_header(key: str) -> bool:
    return all(character.isalnum() or character in "!#$%&'*+-.^_`|~" for character in key) and key.isascii()
