"""Takes messages in: Cloud Storage notifications, inline instances, manifests, sweeps and replays."""

import base64
from dataclasses import replace
from typing import Any

from pipeline import inline, intake, letters, manifests, publishing, replays, shapes, staged, sweeps
from pipeline.errors import MalformedError, RejectedError
from pipeline.events import Message, Receipt, Upload
from pipeline.intake import Verdict
from pipeline.jobs import Job, MessageInput, of_message
from pipeline.settings import Settings
from pipeline.stamps import hops, is_stamped


def take_in(settings: Settings, message: Message, receipt: Receipt) -> Verdict:
    """Does what a message asks for; one that nobody can act on ends in a rejection under its own name.

    Raises:
        InProgressError: another handler has just claimed the same job.
    """
    event_type = message.attributes.get("eventType")
    if event_type and "bucketId" in message.attributes and event_type != "OBJECT_FINALIZE":
        return Verdict("ignored", reason=event_type)
    job = _job(message, receipt)
    try:
        if event_type and "bucketId" in message.attributes:
            return _notification(settings, message, receipt)
        body = _body(settings, message)
        if body.keys() in ({"sweep"}, {"replay"}):
            return _order(settings, message, body, receipt)
        intake.check_hops(settings, job)
        manifest = manifests.parse(body) if {"id", "inputs"} <= body.keys() else None
        prepared = inline.parse(body) if "instances" in body else None
    except RejectedError as reason:
        return intake.refuse(settings, job, reason)
    if manifest:
        job = manifests.job_of(job, manifest.id)
        return intake.process(settings, job, lambda claimed: _kept(settings, claimed, body))
    if prepared:
        letters.note_redelivery(settings, message)
        return intake.process(settings, job, lambda claimed: inline.stage(settings, claimed, prepared))
    shapes_known = 'an object with "instances", a manifest\'s "id" and "inputs", "sweep" or "replay"'
    return intake.refuse(settings, job, RejectedError("unknown_message", f"The message must be {shapes_known}."))


def _kept(settings: Settings, job: Job, body: dict[str, Any]) -> Job:
    return replace(job, input=staged.keep(settings, job, body))


def _order(settings: Settings, message: Message, body: dict[str, Any], receipt: Receipt) -> Verdict:
    """A sweep or a replay; what it leaves goes on in a message to the same topic."""
    following: sweeps.Sweep | replays.Replay | None
    if "sweep" in body:
        verdict, following = sweeps.run(settings, sweeps.parse(body["sweep"]), receipt)
    else:
        verdict, following = replays.run(settings, replays.parse(body["replay"]), receipt)
    if following is None:
        return verdict
    goes_on: dict[str, Any] = {"continues": following.message()}
    if message.path:
        goes_on["continued_by"] = publishing.publish(message.path, following.message())
    return replace(verdict, counts=(verdict.counts or {}) | goes_on)


def _notification(settings: Settings, message: Message, receipt: Receipt) -> Verdict:
    """The same job as the direct event's, whatever the message's own id is."""
    try:
        named = Upload.parse(_resource(settings, message))
    except MalformedError as error:
        raise RejectedError("unknown_message", f"The notification names no object: {error}") from error
    if named.bucket != settings.input_bucket and not is_stamped(named.metadata):
        raise RejectedError("foreign_bucket", f"The bucket {named.bucket!r} is not the one that is processed.")
    return intake.upload(settings, named, receipt)


def _resource(settings: Settings, message: Message) -> Any:
    """The object resource; without a payload (payloadFormat NONE) the attributes name the object."""
    if message.attributes.get("payloadFormat") != "NONE":
        return _body(settings, message)
    named = message.attributes
    return {
        "bucket": named.get("bucketId"),
        "name": named.get("objectId"),
        "generation": named.get("objectGeneration"),
    }


def _body(settings: Settings, message: Message) -> dict[str, Any]:
    value = shapes.parse(_text(message.data, settings.max_bytes["message"]))
    if not isinstance(value, dict):
        raise RejectedError("unknown_message", "The message must be a JSON object.")
    return value


def _text(data: object, limit: int) -> str:
    if not data:
        raise RejectedError("empty_message", "The message has no data.")
    if not isinstance(data, str):
        raise RejectedError("invalid_base64", "The message's data must be base64.")
    if len(data) * 3 // 4 > limit:
        raise RejectedError("too_large", f"The message has more than {limit:,} bytes.")
    try:
        return base64.b64decode(data, validate=True).decode()
    except UnicodeDecodeError as error:
        raise RejectedError("invalid_json", "The message's data is not UTF-8.") from error
    except ValueError as error:  # binascii's own for most of it, a plain one for what is not ASCII
        raise RejectedError("invalid_base64", "The message's data is not valid base64.") from error


def _job(message: Message, receipt: Receipt) -> Job:
    size = len(message.data) * 3 // 4 if isinstance(message.data, str) else 0
    return Job(
        id=of_message(message.topic, message.id),
        document=f"messages/{message.topic}/{message.id}",
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=MessageInput(message.topic, message.id, size),
        trace=receipt.trace,
        hops=hops(message.attributes),
    )
