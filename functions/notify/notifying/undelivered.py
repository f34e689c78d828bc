"""Keeps notifications that no attempt could deliver, in the output bucket, until someone sends them again."""

import contextlib
import json

from google.api_core.exceptions import PreconditionFailed

from notifying.notification import Notification
from notifying.webhooks import Failure
from pipeline import logs
from pipeline.deployment import Deployment
from pipeline.storage import put, stamp
from pipeline.times import timestamp

FOLDER = "undelivered/"


def keep(deployment: Deployment, endpoint: str, notification: Notification, since: str, failure: Failure) -> None:
    """Writes `undelivered/<endpoint>/<id>.json`, once."""
    record = {
        "schema": "undelivered/v1",
        "endpoint": endpoint,
        "id": notification.id,
        "body": notification.body,
        "error": {"code": failure.code, "message": failure.message},
        "first_attempt_at": since,
        "given_up_at": timestamp(),
    }
    blob = deployment.output.blob(f"{FOLDER}{endpoint}/{notification.id}.json")
    with contextlib.suppress(PreconditionFailed):
        put(blob, json.dumps(record, ensure_ascii=False, indent=2) + "\n", stamp(notification.job), generation=0)
    logs.warning("undelivered", endpoint=endpoint, notification=notification.id, code=failure.code)
