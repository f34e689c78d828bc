"""The permissions that a caller needs on buckets and objects, and what a caller without them may learn."""

from emulator import access
from emulator.storage.database import Transaction
from emulator.storage.errors import BucketNotFoundError


def full_name(bucket: str, name: str | None = None) -> str:
    """The name of a bucket or an object as policies have it."""
    return f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name is not None else "")


def require(view: Transaction, permission: str, bucket: str, name: str | None = None) -> None:
    """Check a permission on a bucket or on an object, which need not exist.

    Raises:
        BucketNotFoundError: there is no such bucket, which everyone may learn.
        DeniedError: the caller lacks the permission.
    """
    if not access.may(permission, full_name(bucket, name)):
        if view.row("SELECT 1 FROM buckets WHERE name = ?", bucket) is None:
            raise BucketNotFoundError(bucket)
        access.require(permission, full_name(bucket, name))
