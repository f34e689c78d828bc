"""Tells what an instance of a request or a shard is: a text, an image, or an object in Cloud Storage."""

import base64
import binascii
import re
from typing import Any, Literal

import msgspec

from gpu_service.errors import InstanceError, InvalidRequest
from gpu_service.parameters import OF_INSTANCES, Requested
from gpu_service.parameters import parse as parse_parameters

Kind = Literal["text", "image"]
GENERATION = re.compile(r"[0-9]{1,19}")


class Inline(msgspec.Struct, frozen=True):
    """A text or a pair of texts, still unchecked, or an image's bytes."""

    kind: Kind
    content: Any


class Pair(msgspec.Struct, frozen=True):
    """Two texts that a model reads together, still unchecked."""

    text: Any
    text_pair: Any


class Address(msgspec.Struct, frozen=True):
    """An object; without a generation, its live one."""

    uri: str
    generation: int | None = None


def parse(value: object) -> Inline | Address:
    """Raises InstanceError: `invalid_instance` or `invalid_base64`, or `value` itself when it already is an error."""
    if isinstance(value, str):
        return Inline("text", value)
    if isinstance(value, InstanceError):
        raise value
    if isinstance(value, dict):
        pair = value.get("text_pair")
        if "text" in value:
            return Inline("text", value["text"] if pair is None else Pair(value["text"], pair))
        if pair is not None:
            raise InstanceError("text_pair requires text, the first of the two.")
        if "image" in value:
            return Inline("image", _image(value["image"]))
        if isinstance(value.get("uri"), str):
            return Address(value["uri"], _generation(value.get("generation")))
    raise InstanceError('An instance must be {"text": …}, {"image": {"b64": …}} or {"uri": "gs://…"}.')


def parameters(value: object) -> Requested:
    """An instance's own parameters. Raises InstanceError: `invalid_parameters`."""
    own = value.get("parameters") if isinstance(value, dict) else None
    if own is None:
        return {}
    if not isinstance(own, dict):
        raise InstanceError("parameters must be an object.", "invalid_parameters")
    try:
        return parse_parameters(own, OF_INSTANCES)
    except InvalidRequest as error:
        raise InstanceError(error.message, error.code) from error


def kind(value: object) -> Literal["text", "image", "uri"]:
    """What `parse` will return, without its checks; text when it will fail."""
    if not isinstance(value, dict) or "text" in value:
        return "text"
    return "image" if "image" in value else "uri" if "uri" in value else "text"


def _generation(value: object) -> int | None:
    """A whole number (a double from clients that know no other, such as Vertex AI's), or its digits."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    digits = value if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not GENERATION.fullmatch(digits):
        raise InstanceError("generation must be the number of an object's generation.")
    return int(digits)


def _image(value: object) -> bytes:
    encoded = value.get("b64") if isinstance(value, dict) else None
    if not isinstance(encoded, str):
        raise InstanceError('image must be {"b64": "…"}.')
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InstanceError("The image is not valid base64.", "invalid_base64") from error
