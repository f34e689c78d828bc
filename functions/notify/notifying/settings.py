"""The function's own settings, read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the endpoints are configured, and how they are tried.

    Attributes:
        endpoints: file that configures them; None where no notification is wanted.
        retries_topic: resource name of the topic whose messages repeat what an endpoint did not take.
        allow_loopback: whether an endpoint may be on this machine, over HTTP and on any port.
        timeout: seconds for one attempt as a whole.
        retry_for: how long an endpoint is tried.
    """

    endpoints: Path | None
    retries_topic: str
    allow_loopback: bool = False
    timeout: float = 15.0
    retry_for: timedelta = timedelta(days=3)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    env = os.environ if environ is None else environ
    file = env.get("NOTIFICATIONS", "").strip()
    return Settings(
        endpoints=Path(file) if file else None,
        retries_topic=env.get("NOTIFICATION_RETRIES_TOPIC", "").strip(),
        allow_loopback=env.get("NOTIFICATIONS_ALLOW_LOOPBACK", "") == "1",
    )
