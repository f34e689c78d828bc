"""Objects: created, read, changed, deleted, copied and composed, each in one transaction with its preconditions."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import BinaryIO

from .buckets import Bucket, require_bucket
from .checksums import Checksums
from .contents import Content, Contents, Writer, blocks
from .database import Database, Transaction
from .errors import ForbiddenError, InvalidError, ObjectNotFoundError, RetentionError
from .listing import Listing, Query, page
from .names import check_object_name
from .outbox import record
from .patches import merge, object_fields
from .preconditions import ALWAYS, Preconditions
from .resources import Fields, StoredObject, moment, timestamp

MAX_SOURCES = 32


@dataclass(frozen=True)
class Source:
    """An object to copy, move or compose from: the live one, or the given generation."""

    bucket: str
    name: str
    generation: int | None = None
    preconditions: Preconditions = ALWAYS


class Objects:
    """The objects of one store.

    A failed condition raises PreconditionError, a missing bucket or object NotFoundError, a value that is not
    allowed InvalidError, and a hold or retention policy in the way ForbiddenError.
    """

    def __init__(self, database: Database, contents: Contents, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._contents = contents
        self._clock = clock

    def create(
        self,
        bucket: str,
        name: str,
        data: bytes | Iterable[bytes],
        fields: Fields | None = None,
        preconditions: Preconditions = ALWAYS,
        promised: Checksums | None = None,
    ) -> StoredObject:
        """Stores `data` as a new generation; `fields` is the resource, as in a request to the JSON API."""
        with self.receiving() as writer:
            for block in [data] if isinstance(data, bytes) else data:
                writer.write(block)
            return self.insert(bucket, name, writer.finish(), fields, preconditions, promised)

    @contextmanager
    def receiving(self) -> Iterator[Writer]:
        """A writer for new content, whose bytes are dropped when the block raises before they are an object's."""
        writer = self._contents.create()
        try:
            yield writer
        except BaseException:
            self.drop(writer)
            raise

    def drop(self, writer: Writer) -> None:
        """Closes a writer, and removes its bytes unless something has them as its content."""
        writer.close()
        with self._database.transaction() as transaction:
            transaction.garbage.append(writer.id)

    def insert(
        self,
        bucket: str,
        name: str,
        content: Content,
        fields: Fields | None = None,
        preconditions: Preconditions = ALWAYS,
        promised: Checksums | None = None,
    ) -> StoredObject:
        """Makes a finished content an object."""
        with self._database.transaction() as transaction:
            return self.put(transaction, bucket, name, content, fields or {}, preconditions, promised or Checksums())

    def put(
        self,
        transaction: Transaction,
        bucket: str,
        name: str,
        content: Content,
        fields: Fields,
        preconditions: Preconditions,
        promised: Checksums,
    ) -> StoredObject:
        """`insert` as a part of a larger transaction."""
        content.checksums.verify(promised)
        content.checksums.verify(Checksums(fields.get("crc32c"), fields.get("md5Hash")))
        return self.write(transaction, bucket, name, content, _given(fields), preconditions)

    def get(
        self, bucket: str, name: str, generation: int | None = None, preconditions: Preconditions = ALWAYS
    ) -> StoredObject:
        """The live object, or the given generation be it live or not."""
        with self._database.reading() as view:
            stored = require_object(view, Source(bucket, name, generation))
        preconditions.check_read(stored)
        return stored

    def open(
        self, bucket: str, name: str, generation: int | None = None, preconditions: Preconditions = ALWAYS
    ) -> tuple[StoredObject, BinaryIO]:
        """An object with its bytes, which stay readable whatever happens to the object; the caller closes the file."""
        with self._database.reading() as view:
            stored = require_object(view, Source(bucket, name, generation))
            preconditions.check_read(stored)
            return stored, self._contents.open(stored.content)

    def read(self, bucket: str, name: str, generation: int | None = None) -> bytes:
        """All bytes of a small object."""
        _, file = self.open(bucket, name, generation)
        with file:
            return file.read()

    def listing(self, bucket: str, query: Query | None = None) -> Listing:
        """One page of the bucket's objects and common prefixes."""
        with self._database.reading() as view:
            require_bucket(view, bucket)
            return page(view, bucket, query or Query())

    def check(self, bucket: str, name: str, preconditions: Preconditions) -> None:
        """Raises what creating the object would raise now, before its bytes are sent."""
        check_object_name(name)
        with self._database.reading() as view:
            require_bucket(view, bucket)
            preconditions.check(find_live(view, bucket, name))

    def patch(
        self,
        bucket: str,
        name: str,
        changes: Fields,
        generation: int | None = None,
        preconditions: Preconditions = ALWAYS,
        *,
        replace_all: bool = False,
    ) -> StoredObject:
        """Merges `changes` into the resource, or with `replace_all` sets every field that can be set."""
        now = self._clock()
        with self._database.transaction() as transaction:
            stored = require_object(transaction, Source(bucket, name, generation))
            preconditions.check(stored)
            changed = _patched(stored, object_fields(changes), now, replace_all=replace_all)
            _update(transaction, changed)
            record(transaction, "metadataUpdate", changed, now)
        return changed

    def delete(
        self, bucket: str, name: str, generation: int | None = None, preconditions: Preconditions = ALWAYS
    ) -> None:
        """Deletes for good, except that a versioned bucket keeps a live object deleted without its generation."""
        now = self._clock()
        with self._database.transaction() as transaction:
            holder = require_bucket(transaction, bucket)
            stored = require_object(transaction, Source(bucket, name, generation))
            preconditions.check(stored)
            _retire(transaction, holder, stored, now, archive=holder.versioned and generation is None)

    def set_storage_class(self, stored: StoredObject, name: str) -> None:
        """Moves one generation to another storage class, if it is still as it was."""
        now = self._clock()
        with self._database.transaction() as transaction:
            current = require_object(transaction, Source(stored.bucket, stored.name, stored.generation))
            if current.metageneration == stored.metageneration:
                fields = {**stored.fields, "storageClass": name, "timeStorageClassUpdated": timestamp(now)}
                _update(transaction, replace(stored, fields=fields))

    def copy(
        self,
        source: Source,
        bucket: str,
        name: str,
        fields: Fields | None = None,
        preconditions: Preconditions = ALWAYS,
    ) -> StoredObject:
        """Copies an object; `fields`, where they set anything, replace all of its metadata."""
        with self._database.transaction() as transaction:
            stored = require_object(transaction, source)
            source.preconditions.check(stored)
            copied = _copied(stored, _given(fields or {}))
            return self.write(transaction, bucket, name, _content(stored), copied, preconditions)

    def move(self, source: Source, name: str, preconditions: Preconditions = ALWAYS) -> StoredObject:
        """Gives an object another name in its bucket, in one step."""
        if source.name == name:
            raise InvalidError("The source and destination object names must differ.")
        now = self._clock()
        with self._database.transaction() as transaction:
            holder = require_bucket(transaction, source.bucket)
            stored = require_object(transaction, source)
            source.preconditions.check(stored)
            moved = self.write(transaction, source.bucket, name, _content(stored), _copied(stored, {}), preconditions)
            _retire(transaction, holder, stored, now, archive=holder.versioned)
        return moved

    def compose(
        self,
        bucket: str,
        name: str,
        sources: list[Source],
        fields: Fields | None = None,
        preconditions: Preconditions = ALWAYS,
    ) -> StoredObject:
        """Joins up to 32 objects of the bucket; the result counts its components and has no MD5.

        The bytes are joined before the transaction, in which the sources are looked up again.
        """
        if not sources:
            raise InvalidError("You must provide at least one source component.")
        if len(sources) > MAX_SOURCES:
            raise InvalidError(
                f"The number of source components provided ({len(sources)}) exceeds the maximum ({MAX_SOURCES})"
            )
        self.check(bucket, name, preconditions)
        with self.receiving() as writer:
            joined = self._join(sources, writer)
            content = writer.finish().without_md5()
            with self._database.transaction() as transaction:
                found = [require_object(transaction, source) for source in sources]
                for source, stored in zip(sources, found, strict=True):
                    source.preconditions.check(stored)
                if [each.generation for each in found] == [each.generation for each in joined]:
                    composed = _composed(found, _given(fields or {}))
                    return self.write(transaction, bucket, name, content, composed, preconditions)
            # A source was overwritten while its bytes were joined.
            self.drop(writer)
        return self.compose(bucket, name, sources, fields, preconditions)

    def _join(self, sources: list[Source], writer: Writer) -> list[StoredObject]:
        found = []
        for source in sources:
            with self._database.reading() as view:
                stored = require_object(view, source)
                source.preconditions.check(stored)
                file = self._contents.open(stored.content)
            found.append(stored)
            with file:
                for block in blocks(file):
                    writer.write(block)
        return found

    def write(
        self,
        transaction: Transaction,
        bucket: str,
        name: str,
        content: Content,
        fields: Fields,
        preconditions: Preconditions,
    ) -> StoredObject:
        """Makes `content` the live generation, in place of one that may be there."""
        check_object_name(name)
        now = self._clock()
        holder = require_bucket(transaction, bucket)
        current = find_live(transaction, bucket, name)
        preconditions.check(current)
        generation = transaction.next_generation(now)
        attributes = {}
        if current:
            attributes["overwroteGeneration"] = str(current.generation)
            by = {"overwrittenByGeneration": str(generation)}
            _retire(transaction, holder, current, now, archive=holder.versioned, **by)
        stored = StoredObject(bucket, name, generation, 1, True, content.id, _new_fields(holder, content, fields, now))
        _insert(transaction, stored)
        record(transaction, "finalize", stored, now, **attributes)
        return stored


_NOT_COPIED = {
    "size", "md5Hash", "crc32c", "timeCreated", "updated", "timeFinalized", "timeStorageClassUpdated", "timeDeleted",
    "retentionExpirationTime", "temporaryHold", "eventBasedHold", "storageClass", "retention",
}  # fmt: skip


def find_live(transaction: Transaction, bucket: str, name: str) -> StoredObject | None:
    row = transaction.row("SELECT * FROM objects WHERE bucket = ? AND name = ? AND live", bucket, name)
    return StoredObject.of(row) if row else None


def require_object(transaction: Transaction, source: Source) -> StoredObject:
    """The live object or the named generation."""
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
        raise ObjectNotFoundError(source.bucket, source.name, source.generation)
    return stored


def _new_fields(bucket: Bucket, content: Content, fields: Fields, now: datetime) -> Fields:
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


def _patched(stored: StoredObject, changes: Fields, now: datetime, *, replace_all: bool) -> StoredObject:
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


def _given(fields: Fields) -> Fields:
    return {key: value for key, value in object_fields(fields).items() if value is not None}


def _copied(stored: StoredObject, given: Fields) -> Fields:
    """A copy's fields: those given, or else the source's."""
    inherited = {key: value for key, value in stored.fields.items() if key not in _NOT_COPIED}
    count = stored.fields.get("componentCount")
    return {**(given or inherited), **({"componentCount": count} if count else {})}


def _composed(sources: list[StoredObject], given: Fields) -> Fields:
    content_type = sources[0].fields.get("contentType", "application/octet-stream")
    count = sum(source.fields.get("componentCount", 1) for source in sources)
    return {"contentType": content_type, **given, "componentCount": count}


def _retire(
    transaction: Transaction, bucket: Bucket, stored: StoredObject, now: datetime, *, archive: bool, **attributes: str
) -> None:
    """Takes a generation out of use: archived as a noncurrent one, or removed for good."""
    _check_holds(stored)
    if not archive:
        _check_retention(bucket, stored, now)
    retired = replace(stored, live=False, fields={**stored.fields, "timeDeleted": timestamp(now)})
    if archive:
        _update(transaction, retired)
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
    period = bucket.fields.get("retentionPolicy", {}).get("retentionPeriod")
    if period:
        until = moment(stored.fields["timeCreated"]) + timedelta(seconds=int(period))
        if now < until:
            raise RetentionError(
                f"Object '{stored.bucket}/{stored.name}' is subject to bucket's retention policy or object "
                f"retention and cannot be deleted or overwritten until {timestamp(until)}"
            )


def _content(stored: StoredObject) -> Content:
    return Content(stored.content, stored.size, Checksums(stored.fields.get("crc32c"), stored.fields.get("md5Hash")))


def _insert(transaction: Transaction, stored: StoredObject) -> None:
    transaction.execute(
        "INSERT INTO objects (bucket, name, generation, metageneration, live, content, fields) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(stored.bucket, stored.name, stored.generation, stored.metageneration, stored.live, stored.content),
        json.dumps(stored.fields),
    )


def _update(transaction: Transaction, stored: StoredObject) -> None:
    transaction.execute(
        "UPDATE objects SET metageneration = ?, live = ?, fields = ? WHERE bucket = ? AND name = ? AND generation = ?",
        *(stored.metageneration, stored.live, json.dumps(stored.fields), stored.bucket, stored.name),
        stored.generation,
    )
