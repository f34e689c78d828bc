"""IAM policies of buckets and objects; those of buckets decide about their objects, as with uniform access."""

import json
from collections.abc import Callable, Sequence

from emulator.storage.buckets import require_bucket
from emulator.storage.database import Database
from emulator.storage.errors import InvalidError, PreconditionError
from emulator.storage.objects.generations import Source, require_object
from emulator.storage.permissions import full_name, require
from emulator.storage.resources import Fields, version_etag


class Policies:
    """The policies of one store; `name` is None for a bucket's own policy.

    Attributes:
        on_change: called with a bucket's full name and the new bindings of its policy.
    """

    def __init__(self, database: Database, project: str) -> None:
        self._database = database
        self._project = project
        self.on_change: Callable[[str, Sequence[Fields]], None] = lambda _, __: None

    def get(self, bucket: str, name: str | None = None) -> Fields:
        with self._database.reading() as view:
            require(view, f"storage.{_kind(name)}.getIamPolicy", bucket, name)
            project = require_bucket(view, bucket).project
            if name is not None:
                require_object(view, Source(bucket, name))
            row = view.row("SELECT * FROM policies WHERE resource = ?", full_name(bucket, name))
        if row is None:
            return _policy(bucket, name, 1, {"version": 1, "bindings": [] if name else _legacy(project)})
        return _policy(bucket, name, row["version"], json.loads(row["policy"]))

    def forget(self, bucket: str) -> None:
        """Announce that a bucket, and its policy with it, was deleted."""
        self.on_change(full_name(bucket), [])

    def check(self, bucket: str, name: str | None = None) -> None:
        """Raise NotFoundError unless the bucket or object exists."""
        with self._database.reading() as view:
            require_bucket(view, bucket)
            if name is not None:
                require_object(view, Source(bucket, name))

    def set(self, bucket: str, policy: Fields, name: str | None = None) -> Fields:
        """Replace a policy; raises PreconditionError if its etag is not the current one."""
        bindings = policy.get("bindings", [])
        if not isinstance(bindings, list) or not all(_is_binding(each) for each in bindings):
            raise InvalidError("Invalid IAM policy: each binding needs a role and a list of members.")
        kept = {"version": policy.get("version", 1), "bindings": bindings}
        with self._database.transaction() as transaction:
            require(transaction, f"storage.{_kind(name)}.setIamPolicy", bucket, name)
            require_bucket(transaction, bucket)
            if name is not None:
                require_object(transaction, Source(bucket, name))
            resource = full_name(bucket, name)
            row = transaction.row("SELECT version FROM policies WHERE resource = ?", resource)
            version = row["version"] if row else 1
            if policy.get("etag") not in (None, "", version_etag(version)):
                raise PreconditionError
            transaction.execute(
                "INSERT OR REPLACE INTO policies (resource, version, policy) VALUES (?, ?, ?)",
                *(resource, version + 1, json.dumps(kept)),
            )
        if name is None:
            self.on_change(full_name(bucket), bindings)
        return _policy(bucket, name, version + 1, kept)


def _is_binding(binding: object) -> bool:
    return (
        isinstance(binding, dict)
        and isinstance(binding.get("role"), str)
        and isinstance(binding.get("members", []), list)
    )


def _kind(name: str | None) -> str:
    return "buckets" if name is None else "objects"


def _policy(bucket: str, name: str | None, version: int, policy: Fields) -> Fields:
    return {"kind": "storage#policy", "resourceId": full_name(bucket, name), "etag": version_etag(version), **policy}


def _legacy(project: str) -> list[Fields]:
    owners = [f"projectEditor:{project}", f"projectOwner:{project}"]
    return [
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{project}"]},
    ]
