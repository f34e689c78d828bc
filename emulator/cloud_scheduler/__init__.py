"""Cloud Scheduler: publishes the messages of the stack file's schedules, and serves the API for them."""

from emulator.cloud_scheduler.service import Scheduler

__all__ = ["Scheduler"]
