"""Resumable upload sessions: their bytes arrive in chunks, and survive a broken connection and a restart."""

import json
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from emulator.disk import DiskFullError
from emulator.storage.contents.checksums import Checksums
from emulator.storage.contents.files import Contents
from emulator.storage.database import Database
from emulator.storage.errors import CancelledError, DroppedError, InvalidError, NotFoundError
from emulator.storage.objects.generations import Source, require_object
from emulator.storage.objects.metadata import requested_fields, verify
from emulator.storage.objects.objects import Objects
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import Fields, StoredObject, timestamp

QUANTUM = 256 * 1024
_LIFETIME = timedelta(days=7)


@dataclass(frozen=True)
class Upload:
    """A session: the object that it will create, and the progress of the upload.

    `size` is the number of bytes kept so far; `stored` is the object once the upload is complete.
    """

    id: str
    bucket: str
    name: str
    content: str
    fields: Fields
    preconditions: Preconditions
    total: int | None
    size: int
    stored: StoredObject | None = None


class ResumableUploads:
    """The resumable uploads of one store."""

    def __init__(self, database: Database, contents: Contents, objects: Objects, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._contents = contents
        self._objects = objects
        self._clock = clock
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def start(
        self,
        bucket: str,
        name: str,
        fields: Fields,
        preconditions: Preconditions,
        total: int | None = None,
    ) -> str:
        """Start a session and return its id; raises the error that finishing the upload would raise now."""
        self._objects.check(bucket, name, preconditions)
        id = secrets.token_urlsafe(48)
        content = self._contents.create().finish()
        request = {"fields": fields, "preconditions": _encoded(preconditions), "total": total}
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO uploads (id, kind, bucket, name, state, content, created, request) "
                "VALUES (?, 'resumable', ?, ?, 'active', ?, ?, ?)",
                *(id, bucket, name, content.id, timestamp(self._clock()), json.dumps(request)),
            )
        return id

    def get(self, id: str) -> Upload:
        """The session.

        Raises:
            NotFoundError: it does not exist.
            CancelledError: it was cancelled.
            DroppedError: the disk was full. Its client is told once; then the session begins anew.
        """
        with self._database.reading() as view:
            row = view.row("SELECT * FROM uploads WHERE id = ? AND kind = 'resumable'", id)
            if row is None:
                raise NotFoundError("The upload session does not exist or has expired.")
            if row["state"] == "cancelled":
                raise CancelledError("The upload session was cancelled.")
        if row["state"] == "dropped":
            self._restart(id)
            raise DroppedError("The disk is full, so the upload was dropped; free some space and start it again.")
        with self._database.reading() as view:
            stored = None
            if row["state"] == "done":
                stored = require_object(view, Source(row["bucket"], row["name"], row["generation"]))
        request = json.loads(row["request"])
        return Upload(
            id,
            row["bucket"],
            row["name"],
            row["content"],
            request["fields"],
            _decoded(request["preconditions"]),
            request["total"],
            stored.size if stored else self._contents.size(row["content"]),
            stored,
        )

    def resume(self, id: str) -> Upload:
        """The session, truncated to a multiple of 256 KiB, as the service does after a broken request."""
        with self._locks[id]:
            upload = self.get(id)
            if upload.stored is None and upload.size % QUANTUM:
                self._contents.truncate(upload.content, upload.size - upload.size % QUANTUM)
                return self.get(id)
        return upload

    def append(self, id: str, offset: int, data: bytes) -> None:
        """Append bytes that begin at `offset`; InvalidError if another request has appended meanwhile."""
        with self._locks[id]:
            upload = self.get(id)
            if upload.stored or upload.size != offset:
                raise InvalidError("The upload session is in use by another request.")
            try:
                self._contents.append(upload.content, data)
            except DiskFullError:
                # The session would take the space that its client tries to use again and again.
                self._drop(id, upload.content)
                raise

    def _restart(self, id: str) -> None:
        """Clients that kept the session's id continue it in their next run."""
        content = self._contents.create().finish()
        with self._database.transaction() as transaction:
            transaction.execute(
                "UPDATE uploads SET state = 'active', content = ? WHERE id = ? AND state = 'dropped'", content.id, id
            )

    def _drop(self, id: str, content: str) -> None:
        with self._database.transaction() as transaction:
            self._contents.truncate(content, 0)
            transaction.execute("UPDATE uploads SET state = 'dropped', content = '' WHERE id = ?", id)
            transaction.garbage.append(content)

    def finish(self, id: str, total: int, expected: Checksums | None = None) -> StoredObject:
        """Create the object from the session's bytes, or return it if it exists already."""
        with self._locks[id]:
            upload = self.get(id)
            if upload.stored:
                return upload.stored
            if upload.size != total:
                raise InvalidError(f"The upload has {upload.size} bytes, not the {total} that were announced.")
            content = self._contents.measure(upload.content)
            verify(content, upload.fields, expected or Checksums())
            fields = requested_fields(upload.fields)
            with self._database.transaction() as transaction:
                stored = self._objects.write(
                    transaction, upload.bucket, upload.name, content, fields, upload.preconditions
                )
                transaction.execute(
                    "UPDATE uploads SET state = 'done', content = '', generation = ? WHERE id = ?",
                    *(stored.generation, id),
                )
        self._locks.pop(id, None)
        return stored

    def cancel(self, id: str) -> None:
        """Cancel an unfinished session and drop its bytes."""
        with self._locks[id]:
            upload = self.get(id)
            if upload.stored:
                raise InvalidError("The upload is complete already.")
            with self._database.transaction() as transaction:
                transaction.execute("UPDATE uploads SET state = 'cancelled', content = '' WHERE id = ?", id)
                transaction.garbage.append(upload.content)
        self._locks.pop(id, None)

    def expire(self, now: datetime) -> None:
        """Remove sessions that were started more than a week before `now`."""
        with self._database.transaction() as transaction:
            condition, limit = "kind = 'resumable' AND created < ?", timestamp(now - _LIFETIME)
            rows = transaction.execute(f"SELECT content FROM uploads WHERE {condition}", limit)  # noqa: S608
            transaction.garbage.extend(row["content"] for row in rows)
            transaction.execute(f"DELETE FROM uploads WHERE {condition}", limit)  # noqa: S608


def _encoded(preconditions: Preconditions) -> dict[str, Any]:
    return {
        key: sorted(value) if isinstance(value, frozenset) else value for key, value in asdict(preconditions).items()
    }


def _decoded(values: dict[str, Any]) -> Preconditions:
    restored: dict[str, Any] = {
        key: frozenset(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return Preconditions(**restored)
