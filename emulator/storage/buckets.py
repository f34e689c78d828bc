"""Buckets: creates, lists, changes and deletes them."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from emulator import access
from emulator.storage.database import Database, Transaction
from emulator.storage.errors import BucketNotFoundError, ConflictError, ForbiddenError, InvalidError
from emulator.storage.names import check_bucket_name
from emulator.storage.patches import bucket_fields, merge, without_empty
from emulator.storage.permissions import full_name, require
from emulator.storage.preconditions import ALWAYS, Preconditions
from emulator.storage.resources import Fields, timestamp, version_etag

_MULTI_REGIONS = {"US", "EU", "ASIA"}
_DEFAULT_FIELDS: Fields = {
    "location": "US",
    "storageClass": "STANDARD",
    "rpo": "DEFAULT",
    "projectNumber": "0",
    "softDeletePolicy": {"retentionDurationSeconds": "0"},
    "iamConfiguration": {
        "publicAccessPrevention": "inherited",
        "uniformBucketLevelAccess": {"enabled": False},
        "bucketPolicyOnly": {"enabled": False},
    },
}


@dataclass(frozen=True)
class Bucket:
    """A bucket; `fields` are its resource without what follows from the other attributes."""

    name: str
    project: str
    metageneration: int
    fields: Fields

    @property
    def versioned(self) -> bool:
        return bool(self.fields.get("versioning", {}).get("enabled"))

    def resource(self, base_url: str) -> Fields:
        """The bucket resource of the JSON API."""
        return {
            "kind": "storage#bucket",
            "id": self.name,
            "selfLink": f"{base_url}/storage/v1/b/{self.name}",
            "name": self.name,
            "metageneration": str(self.metageneration),
            "etag": version_etag(self.metageneration),
            **self.fields,
        }

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Bucket":
        return cls(row["name"], row["project"], row["metageneration"], json.loads(row["fields"]))


def require_bucket(transaction: Transaction, name: str) -> Bucket:
    row = transaction.row("SELECT * FROM buckets WHERE name = ?", name)
    if row is None:
        raise BucketNotFoundError(name)
    return Bucket.of(row)


class Buckets:
    """The buckets of one store.

    Attributes:
        on_delete: called with the name of a bucket that was deleted.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime], project: str) -> None:
        self._database = database
        self._clock = clock
        self._project = project
        self.on_delete: Callable[[str], None] = lambda _: None

    def create(self, name: str, fields: Fields | None = None, project: str | None = None) -> Bucket:
        """Create a bucket; `fields` is its resource, as in a request to the JSON API.

        Raises:
            InvalidError: the name or a field is not allowed.
            ConflictError: the bucket exists.
        """
        access.require("storage.buckets.create", f"projects/{project or self._project}")
        check_bucket_name(name)
        now = timestamp(self._clock())
        merged = without_empty(merge(_DEFAULT_FIELDS, bucket_fields(fields or {})))
        if "retentionPolicy" in merged:
            merged["retentionPolicy"]["effectiveTime"] = now
        location = str(merged["location"]).upper()
        merged["location"] = location
        merged["locationType"] = "multi-region" if location in _MULTI_REGIONS else "region"
        bucket = Bucket(name, project or self._project, 1, {**merged, "timeCreated": now, "updated": now})
        with self._database.transaction() as transaction:
            if transaction.row("SELECT 1 FROM buckets WHERE name = ?", name):
                raise ConflictError(
                    "Your previous request to create the named bucket succeeded and you already own it."
                )
            transaction.execute(
                "INSERT INTO buckets (name, project, metageneration, fields) VALUES (?, ?, 1, ?)",
                name,
                bucket.project,
                json.dumps(bucket.fields),
            )
        return bucket

    def get(
        self, name: str, preconditions: Preconditions = ALWAYS, *, permission: str = "storage.buckets.get"
    ) -> Bucket:
        """A bucket; `permission` is what the caller needs to see the part of it that the request is about."""
        with self._database.reading() as view:
            require(view, permission, name)
            bucket = require_bucket(view, name)
        preconditions.check_bucket(bucket.metageneration, reading=True)
        return bucket

    def listing(self, project: str | None = None, prefix: str = "", after: str = "", limit: int = 1000) -> list[Bucket]:
        """Buckets in the order of their names, which are greater than `after`; None lists all projects."""
        access.require("storage.buckets.list", f"projects/{project or self._project}")
        with self._database.reading() as view:
            rows = view.execute(
                "SELECT * FROM buckets WHERE name > ? AND substr(name, 1, ?) = ? AND (? IS NULL OR project = ?) "
                "ORDER BY name LIMIT ?",
                *(after, len(prefix), prefix, project, project, limit),
            )
            return [Bucket.of(row) for row in rows]

    def patch(
        self, name: str, changes: Fields, preconditions: Preconditions = ALWAYS, *, replace: bool = False
    ) -> Bucket:
        """Merge `changes` into the bucket's resource, or with `replace` set every settable field."""
        now = self._clock()
        with self._database.transaction() as transaction:
            require(transaction, "storage.buckets.update", name)
            bucket = require_bucket(transaction, name)
            preconditions.check_bucket(bucket.metageneration)
            requested = bucket_fields(changes)
            _check_location(bucket, requested)
            kept = {
                key: value for key, value in bucket.fields.items() if not replace or not bucket_fields({key: value})
            }
            fields = without_empty(merge({**_DEFAULT_FIELDS, **kept} if replace else kept, requested))
            fields["location"] = bucket.fields["location"]
            _retain(bucket, fields, now)
            return _updated(transaction, bucket, fields, now)

    def lock_retention(self, name: str, preconditions: Preconditions) -> Bucket:
        """Lock the retention policy: from now on it can only be extended.

        Raises:
            InvalidError: the bucket has no retention policy.
        """
        with self._database.transaction() as transaction:
            require(transaction, "storage.buckets.update", name)
            bucket = require_bucket(transaction, name)
            preconditions.check_bucket(bucket.metageneration)
            policy = bucket.fields.get("retentionPolicy")
            if policy is None:
                raise InvalidError(f"Bucket '{name}' has no retention policy to lock.")
            fields = {**bucket.fields, "retentionPolicy": {**policy, "isLocked": True}}
            return _updated(transaction, bucket, fields, self._clock())

    def delete(self, name: str, preconditions: Preconditions = ALWAYS) -> None:
        """Delete an empty bucket with its notifications and its policy.

        Raises:
            ConflictError: it contains an object, live or noncurrent.
        """
        with self._database.transaction() as transaction:
            require(transaction, "storage.buckets.delete", name)
            bucket = require_bucket(transaction, name)
            preconditions.check_bucket(bucket.metageneration)
            if transaction.row("SELECT 1 FROM objects WHERE bucket = ?", name):
                raise ConflictError("The bucket you tried to delete is not empty.", code="BucketNotEmpty")
            for content in transaction.execute(
                "SELECT content FROM uploads WHERE bucket = ? AND state != 'done' UNION "
                "SELECT parts.content FROM parts JOIN uploads ON uploads.id = upload WHERE bucket = ?",
                *(name, name),
            ):
                transaction.garbage.append(content["content"])
            transaction.execute("DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE bucket = ?)", name)
            for table in ("uploads", "notifications"):
                transaction.execute(f"DELETE FROM {table} WHERE bucket = ?", name)  # noqa: S608 - fixed names
            transaction.execute("DELETE FROM policies WHERE resource = ?", full_name(name))
            transaction.execute("DELETE FROM buckets WHERE name = ?", name)
        self.on_delete(name)


def _updated(transaction: Transaction, bucket: Bucket, fields: Fields, now: datetime) -> Bucket:
    """The bucket with these fields, written."""
    fields = {**fields, "updated": timestamp(now)}
    changed = Bucket(bucket.name, bucket.project, bucket.metageneration + 1, fields)
    transaction.execute(
        "UPDATE buckets SET metageneration = ?, fields = ? WHERE name = ?",
        *(changed.metageneration, json.dumps(fields), bucket.name),
    )
    return changed


def _retain(bucket: Bucket, fields: Fields, now: datetime) -> None:
    """Complete a changed retention policy; a locked one stays locked and cannot become shorter.

    Raises:
        ForbiddenError: the change would remove or shorten a locked policy.
    """
    before, after = bucket.fields.get("retentionPolicy", {}), fields.get("retentionPolicy", {})
    was, will = int(before.get("retentionPeriod", 0)), int(after.get("retentionPeriod", 0))
    if before.get("isLocked") and will < was:
        raise ForbiddenError(
            f"Cannot remove or reduce the retention duration of the locked retention policy of bucket '{bucket.name}'."
        )
    if after:
        effective = before["effectiveTime"] if was == will and "effectiveTime" in before else timestamp(now)
        locked = {"isLocked": True} if before.get("isLocked") else {}
        fields["retentionPolicy"] = {"retentionPeriod": str(will), "effectiveTime": effective, **locked}


def _check_location(bucket: Bucket, requested: Fields) -> None:
    location = requested.get("location")
    if location is not None and str(location).upper() != bucket.fields["location"]:
        raise InvalidError("Bucket location cannot be changed after creation.")
