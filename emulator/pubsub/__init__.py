"""Pub/Sub: topics, pull and push subscriptions over gRPC and REST, with everything published kept in SQLite."""

from emulator.pubsub.push import CloudEventMode
from emulator.pubsub.service import PubSub

__all__ = ["CloudEventMode", "PubSub"]
