"""Publishes messages; the client honours PUBSUB_EMULATOR_HOST by itself."""

import functools
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient

TIMEOUT_SECONDS = 30


@functools.cache
def publisher() -> "PublisherClient":
    from google.cloud.pubsub_v1 import PublisherClient

    return PublisherClient()


def publish(topic: str, data: str, attributes: Mapping[str, str] = MappingProxyType({})) -> None:
    """Publishes to a topic, by resource name, and returns once the message is stored."""
    keywords: dict[str, Any] = dict(attributes)
    publisher().publish(topic, data.encode(), **keywords).result(timeout=TIMEOUT_SECONDS)


def publish_json(topic: str, content: dict[str, Any]) -> None:
    publish(topic, json.dumps(content, ensure_ascii=False))
