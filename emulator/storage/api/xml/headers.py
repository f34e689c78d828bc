"""Headers of the XML API: preconditions, an object's fields, and what responses say about an object."""

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.requests import Request

from emulator.storage.api.downloads import object_headers
from emulator.storage.api.requests import tags, whole_number
from emulator.storage.errors import UnsupportedError
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import Fields, StoredObject

_FIELDS = {
    "content-type": "contentType",
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "x-goog-storage-class": "storageClass",
    "x-goog-custom-time": "customTime",
}

# What a parameter such as `?acl` selects, in place of the bucket or object itself.
_PROPERTIES = {
    "acl", "attributes", "billing", "compose", "cors", "delete", "encryption", "encryptionConfig", "legal-hold",
    "lifecycle", "location", "logging", "notification", "object-lock", "policy", "restore", "retention", "select",
    "storageClass", "tagging", "versioning", "versions", "website",
}  # fmt: skip


def require_emulated(request: Request) -> None:
    """Raise UnsupportedError for a property of a bucket or object, such as `?acl`, which a parameter selects."""
    for name in request.query_params:
        if name in _PROPERTIES:
            raise UnsupportedError(f"The XML API's ?{name} is not emulated; use the JSON API.")


def conditions(request: Request) -> Preconditions:
    headers = request.headers
    return Preconditions(
        generation=whole_number(headers, "x-goog-if-generation-match"),
        metageneration=whole_number(headers, "x-goog-if-metageneration-match"),
    )


def reading_conditions(request: Request) -> Preconditions:
    """Those of a GET or HEAD, which may also depend on the entity tag and on the time of the last change."""
    headers = request.headers
    return replace(
        conditions(request),
        etags=tags(request, "if-match"),
        not_etags=tags(request, "if-none-match"),
        unmodified_since=_time(headers.get("if-unmodified-since")),
        modified_since=_time(headers.get("if-modified-since")),
    )


def _time(header: str | None) -> datetime | None:
    """The time in an HTTP date; a header that is not one is ignored, as HTTP requires."""
    try:
        parsed = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return parsed.replace(tzinfo=parsed.tzinfo or UTC) if parsed else None


def requested_fields(request: Request) -> Fields:
    headers = {key: value.encode("latin-1").decode("utf-8", "replace") for key, value in request.headers.items()}
    fields: Fields = {field: headers[header] for header, field in _FIELDS.items() if header in headers}
    prefix = "x-goog-meta-"
    metadata = {key[len(prefix) :]: value for key, value in headers.items() if key.startswith(prefix)}
    return {**fields, **({"metadata": metadata} if metadata else {})}


def state_headers(stored: StoredObject) -> dict[str, str]:
    return {name: value for name, value in object_headers(stored).items() if name.startswith("x-goog-")}
