"""Applies the lifecycle rules of buckets as of a point in time."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from emulator.storage.buckets import Bucket
from emulator.storage.database import Database
from emulator.storage.errors import ForbiddenError, ObjectNotFoundError, PreconditionError
from emulator.storage.objects.objects import Objects
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import Fields, StoredObject, moment
from emulator.storage.uploads.multipart import MultipartUploads

_PAGE = 1000


def expire(
    database: Database, objects: Objects, multipart_uploads: MultipartUploads, now: datetime
) -> list[StoredObject]:
    """Apply every bucket's rules as of `now`; returns the objects that were deleted or archived."""
    with database.reading() as view:
        rows = list(view.execute("SELECT * FROM buckets WHERE json_extract(fields, '$.lifecycle') IS NOT NULL"))
    expired = []
    for bucket in map(Bucket.of, rows):
        rules = bucket.fields.get("lifecycle", {}).get("rule", [])
        _abort_uploads(multipart_uploads, bucket, rules, now)
        for stored, newer in _generations(database, bucket):
            if any(_meets(rule["condition"], stored, newer, now) for rule in rules if _deletes(rule)):
                expired += _delete(objects, bucket, stored)
            else:
                _set_class(objects, stored, rules, newer, now)
    return expired


def _generations(database: Database, bucket: Bucket) -> Iterator[tuple[StoredObject, int]]:
    """Each object of the bucket with the number of its newer generations; a page of names at a time."""
    after = ""
    while True:
        with database.reading() as view:
            last = view.row(
                "SELECT max(name) AS name FROM (SELECT DISTINCT name FROM objects WHERE bucket = ? AND name > ?"
                " ORDER BY name LIMIT ?)",
                *(bucket.name, after, _PAGE),
            )
            if last is None or last["name"] is None:
                return
            rows = view.execute(
                "SELECT *, row_number() OVER (PARTITION BY name ORDER BY generation DESC) - 1 AS newer "
                "FROM objects WHERE bucket = ? AND name > ? AND name <= ?",
                *(bucket.name, after, last["name"]),
            )
            page = [(StoredObject.of(row), row["newer"]) for row in rows]
        yield from page
        after = last["name"]


def _deletes(rule: Fields) -> bool:
    return bool(rule["action"]["type"] == "Delete")


def _delete(objects: Objects, bucket: Bucket, stored: StoredObject) -> list[StoredObject]:
    archives = bucket.versioned and stored.live
    conditions = Preconditions(generation=stored.generation, metageneration=stored.metageneration)
    try:
        objects.delete(stored.bucket, stored.name, None if archives else stored.generation, conditions)
    except (ObjectNotFoundError, PreconditionError, ForbiddenError):
        # Changed meanwhile, or held: the next run decides again.
        return []
    return [stored]


def _set_class(objects: Objects, stored: StoredObject, rules: list[Fields], newer: int, now: datetime) -> None:
    for rule in rules:
        storage_class = rule["action"].get("storageClass")
        applies = rule["action"]["type"] == "SetStorageClass" and storage_class != stored.fields["storageClass"]
        if applies and _meets(rule["condition"], stored, newer, now):
            objects.set_storage_class(stored, storage_class)
            return


def _abort_uploads(multipart_uploads: MultipartUploads, bucket: Bucket, rules: list[Fields], now: datetime) -> None:
    for rule in rules:
        if rule["action"]["type"] == "AbortIncompleteMultipartUpload" and "age" in rule["condition"]:
            multipart_uploads.abort_older(bucket.name, now - timedelta(days=rule["condition"]["age"]))


def _meets(condition: Fields, stored: StoredObject, newer: int, now: datetime) -> bool:
    return all(_holds(name, value, stored, newer, now) for name, value in condition.items())


def _holds(name: str, value: object, stored: StoredObject, newer: int, now: datetime) -> bool:
    fields = stored.fields
    match name:
        case "age":
            return _days_since(fields["timeCreated"], now) >= _number(value)
        case "createdBefore":
            return _before(fields["timeCreated"], value)
        case "customTimeBefore":
            return _before(fields.get("customTime"), value)
        case "daysSinceCustomTime":
            return "customTime" in fields and _days_since(fields["customTime"], now) >= _number(value)
        case "daysSinceNoncurrentTime":
            return not stored.live and _days_since(fields["timeDeleted"], now) >= _number(value)
        case "noncurrentTimeBefore":
            return not stored.live and _before(fields["timeDeleted"], value)
        case "isLive":
            return stored.live == value
        case "matchesPrefix":
            return isinstance(value, list) and stored.name.startswith(tuple(value))
        case "matchesSuffix":
            return isinstance(value, list) and stored.name.endswith(tuple(value))
        case "matchesStorageClass":
            return isinstance(value, list) and fields["storageClass"] in value
        case "numNewerVersions":
            return newer >= _number(value)
    return False


def _days_since(time: str, now: datetime) -> float:
    return (now - moment(time)) / timedelta(days=1)


def _before(time: str | None, day: object) -> bool:
    return time is not None and moment(time).date() < date.fromisoformat(str(day))


def _number(value: object) -> float:
    return float(str(value))
