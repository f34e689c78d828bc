"""IAM policies of buckets and objects, which are stored but not enforced."""

import json

from emulator.storage.buckets import require_bucket
from emulator.storage.database import Database
from emulator.storage.errors import InvalidError, PreconditionError
from emulator.storage.objects.generations import Source, require_object
from emulator.storage.resources import Fields, version_etag


class Policies:
    """The policies of one store; `name` is None for a bucket's own policy."""

    def __init__(self, database: Database, project: str) -> None:
        self._database = database
        self._project = project

    def get(self, bucket: str, name: str | None = None) -> Fields:
        with self._database.reading() as view:
            project = require_bucket(view, bucket).project
            if name is not None:
                require_object(view, Source(bucket, name))
            row = view.row("SELECT * FROM policies WHERE resource = ?", _resource(bucket, name))
        if row is None:
            return _policy(bucket, name, 1, {"version": 1, "bindings": [] if name else _legacy(project)})
        return _policy(bucket, name, row["version"], json.loads(row["policy"]))

    def set(self, bucket: str, policy: Fields, name: str | None = None) -> Fields:
        """Replace a policy; raises PreconditionError if its etag is not the current one."""
        bindings = policy.get("bindings", [])
        if not isinstance(bindings, list) or not all(_is_binding(each) for each in bindings):
            raise InvalidError("Invalid IAM policy: each binding needs a role and a list of members.")
        kept = {"version": policy.get("version", 1), "bindings": bindings}
        with self._database.transaction() as transaction:
            require_bucket(transaction, bucket)
            if name is not None:
                require_object(transaction, Source(bucket, name))
            resource = _resource(bucket, name)
            row = transaction.row("SELECT version FROM policies WHERE resource = ?", resource)
            version = row["version"] if row else 1
            if policy.get("etag") not in (None, "", version_etag(version)):
                raise PreconditionError
            transaction.execute(
                "INSERT OR REPLACE INTO policies (resource, version, policy) VALUES (?, ?, ?)",
                *(resource, version + 1, json.dumps(kept)),
            )
        return _policy(bucket, name, version + 1, kept)


def _is_binding(binding: object) -> bool:
    return (
        isinstance(binding, dict)
        and isinstance(binding.get("role"), str)
        and isinstance(binding.get("members", []), list)
    )


def _resource(bucket: str, name: str | None) -> str:
    return f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name is not None else "")


def _policy(bucket: str, name: str | None, version: int, policy: Fields) -> Fields:
    return {"kind": "storage#policy", "resourceId": _resource(bucket, name), "etag": version_etag(version), **policy}


def _legacy(project: str) -> list[Fields]:
    owners = [f"projectEditor:{project}", f"projectOwner:{project}"]
    return [
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{project}"]},
    ]
