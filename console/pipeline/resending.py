"""Sends inputs once more with other parameters: as a new generation, whose bytes never leave Cloud Storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from event_inference import Client, InputError, names
from event_inference.access.clients import translated
from event_inference.inputs import parameters as known

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket


@dataclass(frozen=True, slots=True)
class Resent:
    """A new generation of an input, with the metadata that it was sent with."""

    document: str
    metadata: Mapping[str, str]
    content_type: str


def resend(client: Client, name: str, parameters: Mapping[str, str]) -> Resent:
    """Create a new generation of an object, with its metadata but for the parameters that are given.

    Parameters in its sidecar still count, but for those that are given.

    Raises:
        InputError: the object or a parameter does not exist, or the object is replaced meanwhile.
        CloudConfirmationError: the cloud was not named, nor confirmed.
        UnreachableError: the pipeline does not answer, or refuses.
    """
    changes = known.metadata(parameters)
    client.confirm_change()
    with translated(client.target):
        bucket = client.connection.input
        present = bucket.get_blob(name) if name else None
        if present is None:
            raise InputError(f"The input {name} is not there any more, so it cannot be sent again.")
        copied = _copy(bucket, present, dict(present.metadata or {}) | changes)
    generation = int(copied.generation)
    return Resent(names.document(name, generation), copied.metadata or {}, copied.content_type or "")


def _copy(bucket: "Bucket", present: "Blob", metadata: Mapping[str, str]) -> "Blob":
    copied: Blob = bucket.blob(present.name)
    copied.metadata, copied.content_type = metadata, present.content_type
    copied.content_encoding = present.content_encoding
    token = None
    try:
        while True:
            token, _, _ = copied.rewrite(present, token=token, if_generation_match=present.generation)
            if token is None:
                return copied
    except (NotFound, PreconditionFailed) as error:
        raise InputError(f"Somebody replaced or deleted {present.name} meanwhile.") from error
