"""Cloud Run jobs behind the Cloud Run Admin API v2, with tasks as processes of this machine."""

from emulator.cloud_run_jobs.runner import Attempt, StartTask, TaskProcess
from emulator.cloud_run_jobs.service import Jobs

__all__ = ["Attempt", "Jobs", "StartTask", "TaskProcess"]
