"""Rules for the names of buckets and objects."""

import re
from ipaddress import IPv4Address

from emulator.storage.errors import InvalidError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*[a-z0-9]")
_GOOGLE = re.compile(r"g[o0]{2}g[l1]e")
_MAX_OBJECT_NAME = 1024


def check_bucket_name(name: str) -> None:
    """Raise InvalidError unless a bucket may have this name."""
    dotted = "." in name
    longest = 222 if dotted else 63
    if (
        not 3 <= len(name) <= longest
        or not _BUCKET.fullmatch(name)
        or any(not 1 <= len(part) <= 63 for part in name.split("."))
        or re.search(r"-\.|\.-", name)
        or _is_address(name)
        or name.startswith("goog")
        or _GOOGLE.search(name)
    ):
        raise InvalidError(f"Invalid bucket name: '{name}'", code="InvalidBucketName")


def _is_address(name: str) -> bool:
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True


def check_object_name(name: str) -> None:
    """Raise InvalidError unless an object may have this name."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidError("Object names must be valid Unicode.", code="InvalidObjectName") from error
    if length == 0:
        raise InvalidError("Required object name is missing.", code="InvalidObjectName")
    if length > _MAX_OBJECT_NAME:
        raise InvalidError(
            f"The maximum object length is {_MAX_OBJECT_NAME} characters, "
            f"but got a name with {length} characters: '{name[:64]}...'",
            code="KeyTooLongError",
        )
    if name in {".", ".."} or "\r" in name or "\n" in name or name.startswith(".well-known/acme-challenge/"):
        raise InvalidError(f"Disallowed unicode characters present in object name '{name!r}'", code="InvalidObjectName")
