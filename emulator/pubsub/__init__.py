"""Pub/Sub over gRPC and REST: topics, pull and push subscriptions, with messages persisted in SQLite."""

from emulator.pubsub.push import CloudEventMode
from emulator.pubsub.service import PubSub

__all__ = ["CloudEventMode", "PubSub"]
