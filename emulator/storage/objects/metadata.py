"""The fields of an object's resource after it is created, patched, copied or composed."""

from dataclasses import replace
from datetime import datetime, timedelta

from emulator.storage.buckets import Bucket
from emulator.storage.contents.checksums import Checksums
from emulator.storage.contents.files import Content
from emulator.storage.errors import InvalidError
from emulator.storage.patches import merge, object_fields
from emulator.storage.resources import Fields, StoredObject, timestamp

_NOT_COPIED = {
    "size", "md5Hash", "crc32c", "timeCreated", "updated", "timeFinalized", "timeStorageClassUpdated", "timeDeleted",
    "retentionExpirationTime", "temporaryHold", "eventBasedHold", "storageClass", "retention",
}  # fmt: skip


def new_fields(bucket: Bucket, content: Content, fields: Fields, now: datetime) -> Fields:
    created = timestamp(now)
    resource = {
        "size": str(content.size),
        "crc32c": content.checksums.crc32c,
        "storageClass": bucket.fields["storageClass"],
        "timeCreated": created,
        "updated": created,
        "timeStorageClassUpdated": created,
        "timeFinalized": created,
        **fields,
    }
    if content.checksums.md5:
        resource["md5Hash"] = content.checksums.md5
    if bucket.fields.get("defaultEventBasedHold"):
        resource.setdefault("eventBasedHold", True)
    period = bucket.fields.get("retentionPolicy", {}).get("retentionPeriod")
    if period and not resource.get("eventBasedHold"):
        resource["retentionExpirationTime"] = timestamp(now + timedelta(seconds=int(period)))
    return resource


def patched(stored: StoredObject, changes: Fields, now: datetime, *, replace_all: bool) -> StoredObject:
    changes = {key: value for key, value in changes.items() if key != "storageClass"}
    before = stored.fields.get("customTime")
    after = changes.get("customTime", None if replace_all else before)
    if before and (after is None or after < before):
        raise InvalidError("Custom time cannot be removed or set to an earlier time.")
    kept = {
        key: value
        for key, value in stored.fields.items()
        if not replace_all or key == "storageClass" or not object_fields({key: value})
    }
    fields = {**merge(kept, changes), "updated": timestamp(now)}
    if not fields.get("metadata"):
        fields.pop("metadata", None)
    return replace(stored, metageneration=stored.metageneration + 1, fields=fields)


def requested_fields(fields: Fields) -> Fields:
    """The fields that a request sets; null means the default."""
    return {key: value for key, value in object_fields(fields).items() if value is not None}


def copied_fields(stored: StoredObject, requested: Fields) -> Fields:
    """A copy's fields: those of the request, or the source's if the request has none."""
    inherited = {key: value for key, value in stored.fields.items() if key not in _NOT_COPIED}
    count = stored.fields.get("componentCount")
    return {**(requested or inherited), **({"componentCount": count} if count else {})}


def composed_fields(sources: list[StoredObject], requested: Fields) -> Fields:
    content_type = sources[0].fields.get("contentType", "application/octet-stream")
    count = sum(source.fields.get("componentCount", 1) for source in sources)
    return {"contentType": content_type, **requested, "componentCount": count}


def verify(content: Content, fields: Fields, expected: Checksums) -> None:
    """Raise InvalidError if the content lacks the checksums of the resource or those expected by the request."""
    content.checksums.verify(expected)
    content.checksums.verify(Checksums(_checksum(fields, "crc32c"), _checksum(fields, "md5Hash")))


def _checksum(fields: Fields, key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidError(f"Invalid value for: {key}: expected a string.")
    return value
