"""Inline instances: texts or images that a message carries itself, staged as an object for the workflow."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import RejectedError
from pipeline.formats import signatures
from pipeline.inputs import kept_messages, parameters
from pipeline.jobs.job import Job

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

MAX_INSTANCES = 128
BESIDE = {"instances", "model", "version", "parameters"}


@dataclass(frozen=True, slots=True)
class Inline:
    """Checked instances of one kind, `text` or `image`, and what was asked for them."""

    kind: str
    instances: Sequence[dict[str, Any]]
    model: parameters.Model | None
    parameters: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """What `parse` reads as the same."""
        beside = {} if self.model is None else {"model": self.model["name"], "version": self.model["version"]}
        return {"instances": self.instances, **beside, "parameters": self.parameters}


def parse(body: dict[str, Any]) -> Inline:
    """Checks `{"instances": [...], "model"?, "version"?, "parameters"?}`.

    Raises:
        RejectedError: `invalid_instances`, `too_many_instances`, `mixed_instances`, `invalid_base64` or
            `invalid_parameters`.
    """
    if unknown := body.keys() - BESIDE:
        raise RejectedError("invalid_parameters", f"{sorted(unknown)[0]!r} is unknown beside instances.")
    kind = check(body["instances"])
    asked = body.get("parameters", {})
    if not isinstance(asked, dict):
        raise RejectedError("invalid_parameters", "parameters must be an object.", kind)
    named = {key: body[key] for key in ("model", "version") if body.get(key) is not None}
    model, checked = parameters.check({**asked, **named})
    return Inline(kind, body["instances"], model, checked)


def check(instances: Any) -> str:
    """The kind that all the instances are of, `{"text": …}` or `{"image": {"b64": …}}`."""
    if not isinstance(instances, list) or not instances:
        raise RejectedError("invalid_instances", "instances must be a list, and not empty.")
    if len(instances) > MAX_INSTANCES:
        raise RejectedError(
            "too_many_instances", f"The message has {len(instances)} instances; at most {MAX_INSTANCES} are accepted."
        )
    found = [_kind(instance, index) for index, instance in enumerate(instances)]
    if len(set(found)) > 1:
        raise RejectedError("mixed_instances", "The instances of one message must all be texts, or all images.")
    return found[0]


def stage(work: "Bucket", job: Job, inline: Inline) -> Job:
    """Writes the instances to the work bucket and makes that object the job's input."""
    source = kept_messages.keep(work, job, inline.body())
    return replace(job, input=source, kind=inline.kind, model=inline.model, parameters=inline.parameters)


def _kind(instance: Any, index: int) -> str:
    match instance:
        case {"text": str(text), **rest} if not rest:
            if not text.strip():
                raise RejectedError("invalid_instances", f"Instance {index}: the text is empty.", "text")
            if not _is_unicode(text):
                raise RejectedError("invalid_instances", f"Instance {index}: the text is not valid Unicode.", "text")
            return "text"
        case {"image": {"b64": str(encoded), **more}, **rest} if not rest and not more:
            if not encoded:
                raise RejectedError("invalid_instances", f"Instance {index}: the image is empty.", "image")
            _check_image(encoded, index)
            return "image"
    raise RejectedError(
        "invalid_instances", f'Instance {index} must be {{"text": …}} or {{"image": {{"b64": …}}}}, and no more.'
    )


def _check_image(encoded: str, index: int) -> None:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RejectedError("invalid_base64", f"Instance {index}: the image is not valid base64.", "image") from error
    if signatures.recognise(data[:4096]) not in signatures.IMAGES:
        raise RejectedError("unknown_kind", f"Instance {index}: the content is no image of an accepted format.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
