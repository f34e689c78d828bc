"""Which pipeline a command talks to: the laptop's or one in a cloud."""

from event_inference.targets.request import Request
from event_inference.targets.resolution import resolve
from event_inference.targets.target import Target

__all__ = ["Request", "Target", "resolve"]
