"""The whole store as one Python object, without HTTP: buckets, objects, uploads and the outbox of changes."""

import fcntl
import logging
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from emulator.storage.buckets import Buckets
from emulator.storage.configuration.lifecycle import expire
from emulator.storage.configuration.notifications import Notifications
from emulator.storage.configuration.policies import Policies
from emulator.storage.contents.files import Contents
from emulator.storage.database import Database, Transaction
from emulator.storage.objects.objects import Objects
from emulator.storage.outbox import Change, change_of
from emulator.storage.resources import Fields, StoredObject
from emulator.storage.uploads.multipart import MultipartUploads
from emulator.storage.uploads.resumable import ResumableUploads

logger = logging.getLogger(__name__)

ChangeHook = Callable[[str, Fields, Mapping[str, str]], None]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """All state of the emulated Cloud Storage; safe to use from several threads.

    Args:
        path: folder of the state, created if missing. None keeps the state in memory and in a temporary folder.
        on_change: called as (type, object resource, attributes) after each committed change, in the thread that made
            it. A call is lost if the process dies; the outbox is not.
        project: project of buckets that are created without one.
        base_url: start of the links in the outbox's resources.
        clock: returns the current time.

    Raises:
        BlockingIOError: another process uses the folder.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        on_change: ChangeHook | None = None,
        project: str = "local-project",
        base_url: str = "http://127.0.0.1",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.on_change = on_change
        self.project = project
        self.base_url = base_url
        self.clock = clock
        self._temporary = tempfile.TemporaryDirectory(prefix="storage-") if path is None else None
        folder = path or Path(self._temporary.name if self._temporary else "")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise
        self.contents = Contents(folder / "contents")
        self._database = Database(None if path is None else folder / "metadata.sqlite", self._committed)
        self.buckets = Buckets(self._database, clock, project)
        self.objects = Objects(self._database, self.contents, clock)
        self.resumable_uploads = ResumableUploads(self._database, self.contents, self.objects, clock)
        self.multipart_uploads = MultipartUploads(self._database, self.contents, self.objects, clock)
        self.notifications = Notifications(self._database)
        self.policies = Policies(self._database, project)
        self.buckets.on_delete = self.policies.forget

    def outbox(self, after: int = 0, limit: int = 100) -> list[Change]:
        """The oldest changes that are not acknowledged and whose id is greater than `after`."""
        with self._database.reading() as view:
            rows = view.execute("SELECT * FROM outbox WHERE id > ? ORDER BY id LIMIT ?", after, limit)
            return [change_of(row, self.base_url) for row in rows]

    def acknowledge(self, *ids: int) -> None:
        """Remove delivered changes from the outbox; unknown ids are ignored."""
        with self._database.transaction() as transaction:
            for change in ids:
                transaction.execute("DELETE FROM outbox WHERE id = ?", change)

    def expire(self, now: datetime) -> list[StoredObject]:
        """Apply lifecycle rules as of `now`; returns the objects that were deleted or archived."""
        self.resumable_uploads.expire(now)
        expired = expire(self._database, self.objects, self.multipart_uploads, now)
        self._database.shrink()
        return expired

    def sweep(self) -> None:
        """Remove the contents that a process left which died; takes seconds with many objects, beside other work."""
        statement = "SELECT content FROM uploads WHERE content != '' UNION SELECT content FROM parts"
        with self._database.reading() as view:
            uploads = {row["content"] for row in view.execute(statement)}

        def known(first: str, end: str) -> set[str]:
            """The contents in a range of ids; memory stays small whatever the number of objects."""
            with self._database.reading() as view:
                rows = view.execute("SELECT content FROM objects WHERE content >= ? AND content < ?", first, end)
                return uploads | {row["content"] for row in rows}

        self.contents.sweep(known)

    def close(self) -> None:
        """Release the folder; a temporary one is removed."""
        self._database.close()
        self._lock.close()
        if self._temporary:
            self._temporary.cleanup()

    def _committed(self, transaction: Transaction) -> None:
        self.contents.remove(transaction.garbage)
        if self.on_change is None:
            return
        for change in transaction.changes:
            for entry in self.outbox(change - 1, 1):
                self._announce(entry)

    def _announce(self, entry: Change) -> None:
        if self.on_change is None:
            return
        try:
            self.on_change(entry.type, entry.resource, entry.attributes)
        except Exception:
            # The write is committed whatever its listener does, and the outbox still has the change.
            logger.exception("change hook failed", extra={"change": entry.id})
