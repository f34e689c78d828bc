"""Publishes messages; the client honours PUBSUB_EMULATOR_HOST by itself."""

import functools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient

TIMEOUT_SECONDS = 30


@functools.cache
def client() -> "PublisherClient":
    from google.cloud.pubsub_v1 import PublisherClient

    return PublisherClient()


def publish(topic: str, body: dict[str, Any]) -> str:
    """Publishes a JSON message to a topic, by resource name, and returns its id once it is kept."""
    data = json.dumps(body, ensure_ascii=False).encode()
    published: str = client().publish(topic, data).result(timeout=TIMEOUT_SECONDS)
    return published
