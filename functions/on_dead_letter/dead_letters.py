"""Dead letters: events that Pub/Sub gave up delivering end in a failed document.

A dead letter has an id of its own. Its payload identifies an object; the original message is found by a note that its
redeliveries left.
"""

import base64
import binascii
import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pipeline import intake, logs
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.formats import json_text
from pipeline.inputs.events import Message, Receipt
from pipeline.inputs.pubsub import inline, kept_messages, manifests, messages, redeliveries
from pipeline.inputs.pubsub.redeliveries import DEAD_LETTER_SOURCE
from pipeline.inputs.uploads import Upload
from pipeline.jobs import documents, outcomes
from pipeline.jobs.documents import Failure
from pipeline.jobs.job import Job
from pipeline.storage import put, stamp
from pipeline.verdicts import Verdict

OBJECT_FIELDS = {"bucket", "name", "generation"}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter: the message, its decoded data, and Pub/Sub's record of its deliveries."""

    message: Message
    body: object
    deliveries: int | None
    subscription: str
    published: str | None

    @classmethod
    def of(cls, message: Message) -> Self:
        attributes = message.attributes
        count = attributes.get(f"{DEAD_LETTER_SOURCE}DeliveryCount", "")
        return cls(
            message,
            _body(message.data),
            int(count) if count.isascii() and count.isdecimal() and len(count) < 10 else None,
            attributes.get(f"{DEAD_LETTER_SOURCE}Subscription", "unknown"),
            attributes.get(f"{DEAD_LETTER_SOURCE}TopicPublishTime"),
        )

    def failure(self) -> Failure:
        return {
            "code": "undeliverable",
            "message": f"The event was delivered {self.deliveries or 'several'} times to {self.subscription} without "
            "success; see the function's log for the last error.",
            "step": "deliver",
            "deliveries": self.deliveries,
        }


def conclude(deployment: Deployment, message: Message, receipt: Receipt) -> Verdict:
    """Writes the failed document of a dead letter, unless the job has ended or is running.

    Raises:
        InProgressError: another handler has just claimed the job.
    """
    letter = DeadLetter.of(message)
    identified = _of_object(deployment, letter, receipt)
    if isinstance(identified, Verdict):
        return identified
    if isinstance(letter.body, dict) and letter.body.keys() in ({"sweep"}, {"collect"}, {"recommend"}, {"promote"}):
        ((command, order),) = letter.body.items()
        logs.log(logging.ERROR, "dead letter", reason=command, order=order, deliveries=letter.deliveries)
        return Verdict("ignored", reason=command)  # the next command does its work; a person repeats an order
    job, resend = (identified, None) if identified else _of_message(deployment, letter, receipt)
    logs.bind(job=job.id)
    logs.log(
        logging.ERROR,
        "dead letter",
        document=job.document,
        subscription=letter.subscription,
        deliveries=letter.deliveries,
    )
    if outcomes.read(deployment.work, job.id):
        decided = outcomes.resume(deployment, job)
        return Verdict("ignored", job.id, decided.document if decided else None, reason="duplicate")
    replay = resend or documents.replay(deployment.settings.messages_topic, job.document)
    failed = documents.failed(job, letter.failure(), replay=replay)
    return intake.take_in(deployment, job, lambda _: failed)


def _of_object(deployment: Deployment, letter: DeadLetter, receipt: Receipt) -> Job | Verdict | None:
    """The job of an object's event or notification; a verdict if the object is not an input."""
    event_type = letter.message.attributes.get("eventType", messages.FINALIZE)
    resource = letter.body
    if not (isinstance(resource, dict) and resource.keys() >= OBJECT_FIELDS):
        resource = messages.identity(letter.message)
    try:
        upload = Upload.parse(resource)
    except MalformedError:
        return None
    if upload.bucket != deployment.settings.input_bucket and not upload.is_stamped:
        return None
    if event_type != messages.FINALIZE or upload.is_stamped or not upload.is_input:
        return Verdict("ignored", reason="not an input")
    return upload.described().job(receipt)


def _of_message(deployment: Deployment, letter: DeadLetter, receipt: Receipt) -> tuple[Job, str | None]:
    """The job of a message, kept for a replay; for unreadable data, also the command that publishes them again."""
    job = _message_job(deployment, letter, receipt)
    body = letter.body if isinstance(letter.body, dict) else {}
    try:
        if {"id", "inputs"} <= body.keys():
            job = manifests.job_of(job, manifests.parse(body).id)
            kept = replace(job, input=kept_messages.keep(deployment.work, job, body))
            return intake.of_manifest(deployment, kept), None
        if "instances" in body:
            return intake.of_instances(deployment, job, inline.parse(body)), None
    except RejectedError as reason:
        logs.warning("dead letter cannot be read", code=reason.code)
    return job, _keep_data(deployment, job, letter.message)


def _message_job(deployment: Deployment, letter: DeadLetter, receipt: Receipt) -> Job:
    message = letter.message
    original = redeliveries.original(deployment, message, letter.published) if letter.published else None
    topic, message_id = original or (message.topic, message.id)
    return messages.job(replace(message, topic=topic, id=message_id, published=letter.published), receipt)


def _keep_data(deployment: Deployment, job: Job, message: Message) -> str:
    """Writes the data to the work bucket, and returns the command that publishes them again."""
    blob = deployment.work.blob(f"dead-letters/{job.id}")
    put(blob, _bytes(message.data), stamp(job.id), generation=None)
    read = f"gcloud storage cat {shlex.quote(f'gs://{deployment.work.name}/{blob.name}')}"
    return f'gcloud pubsub topics publish {shlex.quote(deployment.settings.messages_topic)} --message="$({read})"'


def _body(data: object) -> object:
    """The data as JSON, without the envelope if it is a whole CloudEvent; None if it is not JSON."""
    try:
        body = json_text.parse(_bytes(data).decode())
    except (RejectedError, UnicodeDecodeError):
        return None
    if isinstance(body, Mapping) and "specversion" in body and isinstance(body.get("data"), dict):
        event_data: dict[str, Any] = body["data"]
        return event_data
    return body


def _bytes(data: object) -> bytes:
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except (binascii.Error, ValueError):
        return str(data).encode(errors="replace")
