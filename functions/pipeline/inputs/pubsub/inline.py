"""Inline instances: texts, pairs of texts or images in a message itself, staged as an object for the workflow."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import RejectedError
from pipeline.formats import signatures
from pipeline.inputs import parameters, single
from pipeline.inputs.pubsub import kept_messages
from pipeline.jobs.job import Job, Model, Parameters

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

MAX_INSTANCES = 128
FIELDS = {"instances", "model", "version", "parameters"}


@dataclass(frozen=True, slots=True)
class Inline:
    """Checked instances of one kind, `text` or `image`, with the requested model and parameters."""

    kind: str
    instances: Sequence[dict[str, Any]]
    model: Model | None
    parameters: Parameters

    def body(self) -> dict[str, Any]:
        """The message that `parse` reads as the same instances."""
        model = {} if self.model is None else {"model": self.model["name"], "version": self.model["version"]}
        return {"instances": self.instances, **model, "parameters": self.parameters}


def parse(body: dict[str, Any]) -> Inline:
    """Checks `{"instances": [...], "model"?, "version"?, "parameters"?}`.

    Raises:
        RejectedError: `invalid_instances`, `too_many_instances`, `mixed_instances`, `invalid_base64` or
            `invalid_parameters`.
    """
    if unknown := body.keys() - FIELDS:
        raise RejectedError("invalid_parameters", f"Unknown field {sorted(unknown)[0]!r} next to instances.")
    kind = check(body["instances"])
    requested = body.get("parameters", {})
    if not isinstance(requested, dict):
        raise RejectedError("invalid_parameters", "parameters must be an object.", kind)
    model_fields = {key: body[key] for key in ("model", "version") if body.get(key) is not None}
    model, checked = parameters.check({**requested, **model_fields})
    parameters.check_kind(kind, model, checked)
    return Inline(kind, body["instances"], model, checked)


def check(instances: object) -> str:
    """The kind of all the instances, each `{"text": …, "text_pair"?}` or `{"image": {"b64": …}}`."""
    if not isinstance(instances, list) or not instances:
        raise RejectedError("invalid_instances", "instances must be a non-empty list.")
    if len(instances) > MAX_INSTANCES:
        raise RejectedError(
            "too_many_instances", f"The message has {len(instances)} instances; at most {MAX_INSTANCES} are accepted."
        )
    kinds = [_kind(instance, index) for index, instance in enumerate(instances)]
    if len(set(kinds)) > 1:
        raise RejectedError("mixed_instances", "The instances of one message must be all texts or all images.")
    return kinds[0]


def stage(work: "Bucket", job: Job, inline: Inline) -> Job:
    """Writes the instances to the work bucket and makes that object the job's input."""
    source = kept_messages.keep(work, job, inline.body())
    staged = replace(job, input=source, kind=inline.kind, model=inline.model, parameters=inline.parameters)
    return replace(staged, prepared=single.prepared(staged, inline.instances))


def _kind(instance: object, index: int) -> str:
    match instance:
        case {"text": str(text), **rest} if not rest:
            _check_text(text, "text", index)
            return "text"
        case {"text": str(text), "text_pair": str(second), **rest} if not rest:  # for models that read pairs
            _check_text(text, "text", index)
            _check_text(second, "text_pair", index)
            return "text"
        case {"image": {"b64": str(encoded), **more}, **rest} if not rest and not more:
            if not encoded:
                raise RejectedError("invalid_instances", f"Instance {index}: the image is empty.", "image")
            _check_image(encoded, index)
            return "image"
    raise RejectedError(
        "invalid_instances",
        f'Instance {index} must be {{"text": …}}, {{"text": …, "text_pair": …}} or {{"image": {{"b64": …}}}}, '
        "without other fields.",
    )


def _check_text(text: str, field: str, index: int) -> None:
    if not text.strip():
        raise RejectedError("invalid_instances", f"Instance {index}: {field} is empty.", "text")
    if not _is_unicode(text):
        raise RejectedError("invalid_instances", f"Instance {index}: {field} is not valid Unicode.", "text")


def _check_image(encoded: str, index: int) -> None:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RejectedError("invalid_base64", f"Instance {index}: the image is not valid base64.", "image") from error
    if signatures.recognise(data[:4096]) not in signatures.IMAGES:
        raise RejectedError("unknown_kind", f"Instance {index}: the content is not an image of a supported format.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
