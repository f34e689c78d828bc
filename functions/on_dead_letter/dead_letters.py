"""Dead letters: events that were delivered in vain too often end in a failed document.

A dead letter has an id of its own. Which object it is about, its payload says; which message, only a note that its
later deliveries left under what stays the same: when it was published, and what it says.
"""

import base64
import binascii
import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline import intake, logs, storage
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.formats import json_text
from pipeline.inputs import inline, kept_messages, manifests, messages, redeliveries
from pipeline.inputs.events import Message, Receipt, Upload
from pipeline.inputs.redeliveries import DEAD_LETTER_SOURCE
from pipeline.intake import Finished, Verdict
from pipeline.jobs import documents, outcomes
from pipeline.jobs.job import Job
from pipeline.storage import put, stamp

OBJECT_FIELDS = {"bucket", "name", "generation"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the message, and what Pub/Sub says of its deliveries."""

    message: Message
    body: object
    deliveries: int | None
    subscription: str
    published: str | None

    @classmethod
    def of(cls, message: Message) -> "Letter":
        said = message.attributes
        count = said.get(f"{DEAD_LETTER_SOURCE}DeliveryCount", "")
        return cls(
            message,
            _body(message.data),
            int(count) if count.isascii() and count.isdecimal() and len(count) < 10 else None,
            said.get(f"{DEAD_LETTER_SOURCE}Subscription", "unknown"),
            said.get(f"{DEAD_LETTER_SOURCE}TopicPublishTime"),
        )


def bury(deployment: Deployment, message: Message, receipt: Receipt) -> Verdict:
    """Writes the failed document of a dead letter, unless its job came or comes to an end otherwise.

    Raises:
        InProgressError: another handler has just claimed the job.
    """
    letter = Letter.of(message)
    found = _uploaded(deployment, letter, receipt)
    if isinstance(found, Verdict):
        return found
    if isinstance(letter.body, dict) and letter.body.keys() in ({"sweep"}, {"collect"}):
        (order,) = letter.body
        logs.log(logging.ERROR, "dead letter", reason=order, deliveries=letter.deliveries)
        return Verdict("ignored", reason=order)  # the scheduler's next one does its work
    job, resend = (found, None) if found else _sent(deployment, letter, receipt)
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
    error = {
        "code": "undeliverable",
        "message": f"The event was delivered {letter.deliveries or 'several'} times to {letter.subscription} and "
        "never accepted; the last error is unknown here, the function's log has it.",
        "step": "deliver",
        "deliveries": letter.deliveries,
    }
    replay = resend or documents.replay(deployment.settings.messages_topic, job.document)
    failed = documents.failed(job, error, replay=replay)
    return intake.process(deployment, job, lambda claimed: Finished(claimed, failed))


def _uploaded(deployment: Deployment, letter: Letter, receipt: Receipt) -> Job | Verdict | None:
    """The job of an object's event or notification; a verdict when it asks for none."""
    event_type = letter.message.attributes.get("eventType", messages.FINALIZE)
    resource = letter.body
    if not (isinstance(resource, dict) and resource.keys() >= OBJECT_FIELDS):
        resource = messages.named(letter.message)
    try:
        named = Upload.parse(resource)
    except MalformedError:
        return None
    if named.bucket != deployment.settings.input_bucket and not storage.is_stamped(named.metadata):
        return None
    if event_type != messages.FINALIZE or storage.is_stamped(named.metadata) or not named.is_input:
        return Verdict("ignored", reason="asks for nothing")
    return intake.job_of(intake.describe(named) if named.size is None else named, receipt)


def _sent(deployment: Deployment, letter: Letter, receipt: Receipt) -> tuple[Job, str | None]:
    """The job of a message, kept so that it can be replayed; for any other data the command that sends them again."""
    job = _message_job(deployment, letter, receipt)
    body = letter.body if isinstance(letter.body, dict) else {}
    try:
        if {"id", "inputs"} <= body.keys():
            job = manifests.job_of(job, manifests.parse(body).id)
            return replace(job, input=kept_messages.keep(deployment.work, job, body)), None
        if "instances" in body:
            return inline.stage(deployment.work, job, inline.parse(body)), None
    except RejectedError as reason:
        logs.warning("dead letter cannot be read", code=reason.code)
    return job, _kept_as_it_is(deployment, job, letter.message)


def _message_job(deployment: Deployment, letter: Letter, receipt: Receipt) -> Job:
    message = letter.message
    noted = redeliveries.original(deployment.work, message, letter.published) if letter.published else None
    topic, message_id = noted or (message.topic, message.id)
    return messages.job_of(replace(message, topic=topic, id=message_id), receipt)


def _kept_as_it_is(deployment: Deployment, job: Job, message: Message) -> str:
    """Writes the data to the work bucket; the command that publishes them again."""
    blob = deployment.work.blob(f"dead-letters/{job.id}")
    put(blob, _bytes(message.data), stamp(job.id), generation=None)
    read = f"gcloud storage cat {shlex.quote(f'gs://{deployment.settings.work_bucket}/{blob.name}')}"
    return f'gcloud pubsub topics publish {shlex.quote(deployment.settings.messages_topic)} --message="$({read})"'


def _body(data: object) -> object:
    """The data as JSON, out of the envelope if it is a whole CloudEvent; None when it is none."""
    try:
        body = json_text.parse(_bytes(data).decode())
    except (RejectedError, UnicodeDecodeError):
        return None
    if isinstance(body, Mapping) and "specversion" in body and isinstance(body.get("data"), dict):
        inner: dict[str, Any] = body["data"]
        return inner
    return body


def _bytes(data: object) -> bytes:
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except (binascii.Error, ValueError):
        return str(data).encode(errors="replace")
