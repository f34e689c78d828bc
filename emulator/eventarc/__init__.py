"""Eventarc: triggers as topics and push subscriptions, and object changes on their way to them."""

from emulator.eventarc.outbox import OutboxRelay
from emulator.eventarc.triggers import Triggers

__all__ = ["OutboxRelay", "Triggers"]
