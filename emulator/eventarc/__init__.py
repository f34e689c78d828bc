"""Eventarc: triggers as topics and push subscriptions, and the relay of object changes to them."""

from emulator.eventarc.outbox import OutboxRelay
from emulator.eventarc.triggers import Triggers

__all__ = ["OutboxRelay", "Triggers"]
