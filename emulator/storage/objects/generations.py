"""Generations of objects as rows of the database: finds, inserts, updates and retires them."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from emulator.storage.buckets import Bucket, require_bucket
from emulator.storage.contents.checksums import Checksums
from emulator.storage.contents.files import Content
from emulator.storage.database import Transaction
from emulator.storage.errors import ForbiddenError, ObjectNotFoundError, RetentionError
from emulator.storage.outbox import record
from emulator.storage.permissions import require
from emulator.storage.preconditions import ALWAYS, Preconditions
from emulator.storage.resources import StoredObject, moment, timestamp


@dataclass(frozen=True)
class Source:
    """An object to read, copy, move or compose: its live generation unless another one is given."""

    bucket: str
    name: str
    generation: int | None = None
    preconditions: Preconditions = ALWAYS


def find_live(transaction: Transaction, bucket: str, name: str) -> StoredObject | None:
    row = transaction.row("SELECT * FROM objects WHERE bucket = ? AND name = ? AND live", bucket, name)
    return StoredObject.of(row) if row else None


def require_object(transaction: Transaction, source: Source) -> StoredObject:
    """The generation of a source.

    Raises:
        ObjectNotFoundError: it does not exist.
        DeniedError: it does not exist, and the caller may not list the bucket, so must not learn that.
    """
    require_bucket(transaction, source.bucket)
    if source.generation is None:
        stored = find_live(transaction, source.bucket, source.name)
    else:
        row = transaction.row(
            "SELECT * FROM objects WHERE bucket = ? AND name = ? AND generation = ?",
            *(source.bucket, source.name, source.generation),
        )
        stored = StoredObject.of(row) if row else None
    if stored is None:
        require(transaction, "storage.objects.list", source.bucket)
        raise ObjectNotFoundError(source.bucket, source.name, source.generation)
    return stored


def retire(
    transaction: Transaction, bucket: Bucket, stored: StoredObject, now: datetime, *, archive: bool, **attributes: str
) -> None:
    """Archive a generation as noncurrent, or delete it."""
    _check_holds(stored)
    if not archive:
        _check_retention(bucket, stored, now)
    retired = replace(stored, live=False, fields={**stored.fields, "timeDeleted": timestamp(now)})
    if archive:
        update_generation(transaction, retired)
    else:
        transaction.execute(
            "DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?",
            *(stored.bucket, stored.name, stored.generation),
        )
        transaction.garbage.append(stored.content)
    record(transaction, "archive" if archive else "delete", retired, now, **attributes)


def _check_holds(stored: StoredObject) -> None:
    for hold, name in (("temporaryHold", "Temporary"), ("eventBasedHold", "Event-Based")):
        if stored.fields.get(hold):
            raise ForbiddenError(
                f"Object '{stored.bucket}/{stored.name}' is under active {name} hold and cannot be deleted, "
                "overwritten or archived until hold is removed."
            )


def _check_retention(bucket: Bucket, stored: StoredObject, now: datetime) -> None:
    """Raise RetentionError before the bucket's retention period and the object's own retention have passed."""
    ends = []
    if period := bucket.fields.get("retentionPolicy", {}).get("retentionPeriod"):
        ends.append(moment(stored.fields["timeCreated"]) + timedelta(seconds=int(period)))
    if until := stored.fields.get("retention", {}).get("retainUntilTime"):
        ends.append(moment(until))
    if ends and now < max(ends):
        raise RetentionError(
            f"Object '{stored.bucket}/{stored.name}' is subject to bucket's retention policy or object "
            f"retention and cannot be deleted or overwritten until {timestamp(max(ends))}"
        )


def content_of(stored: StoredObject) -> Content:
    return Content(stored.content, stored.size, Checksums(stored.fields.get("crc32c"), stored.fields.get("md5Hash")))


def insert_generation(transaction: Transaction, stored: StoredObject) -> None:
    transaction.execute(
        "INSERT INTO objects (bucket, name, generation, metageneration, live, content, fields) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(stored.bucket, stored.name, stored.generation, stored.metageneration, stored.live, stored.content),
        json.dumps(stored.fields),
    )


def update_generation(transaction: Transaction, stored: StoredObject) -> None:
    transaction.execute(
        "UPDATE objects SET metageneration = ?, live = ?, fields = ? WHERE bucket = ? AND name = ? AND generation = ?",
        *(stored.metageneration, stored.live, json.dumps(stored.fields), stored.bucket, stored.name),
        stored.generation,
    )
