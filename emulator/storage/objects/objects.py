"""Objects: creates, reads, changes, deletes, copies and composes them, each in one transaction."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import BinaryIO

from emulator.storage.buckets import require_bucket
from emulator.storage.contents.checksums import Checksums
from emulator.storage.contents.files import Content, Contents, Writer, blocks
from emulator.storage.database import Database, Transaction
from emulator.storage.errors import InvalidError
from emulator.storage.names import check_object_name
from emulator.storage.objects.generations import (
    Source,
    content_of,
    find_live,
    insert_generation,
    require_object,
    retire,
    update_generation,
)
from emulator.storage.objects.listing import Listing, Query, page
from emulator.storage.objects.metadata import (
    composed_fields,
    copied_fields,
    new_fields,
    patched,
    requested_fields,
    verify,
)
from emulator.storage.outbox import record
from emulator.storage.patches import object_fields
from emulator.storage.permissions import require
from emulator.storage.preconditions import ALWAYS, Preconditions
from emulator.storage.resources import Fields, StoredObject, timestamp

_MAX_SOURCES = 32


class Objects:
    """The objects of one store.

    A failed precondition raises PreconditionError, a missing bucket or object NotFoundError, an invalid value
    InvalidError, a hold or retention policy that forbids the change ForbiddenError, and a caller without the
    permission DeniedError.
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
        expected: Checksums | None = None,
    ) -> StoredObject:
        """Create a generation from `data`; `fields` is the resource, as in a request to the JSON API."""
        with self.receiving() as writer:
            for block in [data] if isinstance(data, bytes) else data:
                writer.write(block)
            return self.insert(bucket, name, writer.finish(), fields, preconditions, expected)

    @contextmanager
    def receiving(self) -> Iterator[Writer]:
        """A writer for new content, which is dropped if the block raises before an object has it."""
        writer = self._contents.create()
        try:
            yield writer
        except BaseException:
            self.drop(writer)
            raise

    def drop(self, writer: Writer) -> None:
        """Close a writer, and remove its bytes unless an object or upload has them."""
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
        expected: Checksums | None = None,
    ) -> StoredObject:
        """Create an object from a finished content."""
        fields = fields or {}
        verify(content, fields, expected or Checksums())
        with self._database.transaction() as transaction:
            return self.write(transaction, bucket, name, content, requested_fields(fields), preconditions)

    def get(
        self, bucket: str, name: str, generation: int | None = None, preconditions: Preconditions = ALWAYS
    ) -> StoredObject:
        """The live generation, or the given one."""
        with self._database.reading() as view:
            require(view, "storage.objects.get", bucket, name)
            stored = require_object(view, Source(bucket, name, generation))
        preconditions.check_read(stored)
        return stored

    def open(
        self, bucket: str, name: str, generation: int | None = None, preconditions: Preconditions = ALWAYS
    ) -> tuple[StoredObject, BinaryIO]:
        """An object and its bytes, which stay readable if the object is deleted; the caller closes the file."""
        with self._database.reading() as view:
            require(view, "storage.objects.get", bucket, name)
            stored = require_object(view, Source(bucket, name, generation))
            preconditions.check_read(stored)
            return stored, self._contents.open(stored.content)

    def read(self, bucket: str, name: str, generation: int | None = None) -> bytes:
        """All bytes of an object."""
        _, file = self.open(bucket, name, generation)
        with file:
            return file.read()

    def listing(self, bucket: str, query: Query | None = None) -> Listing:
        """One page of the bucket's objects and common prefixes."""
        with self._database.reading() as view:
            require(view, "storage.objects.list", bucket)
            require_bucket(view, bucket)
            return page(view, bucket, query or Query())

    def check(self, bucket: str, name: str, preconditions: Preconditions) -> None:
        """Raise the error that creating the object would raise now, before its bytes are sent."""
        check_object_name(name)
        with self._database.reading() as view:
            require_bucket(view, bucket)
            current = find_live(view, bucket, name)
            _authorize_write(view, bucket, name, current, preconditions)

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
        """Merge `changes` into the resource, or with `replace_all` set every settable field."""
        now = self._clock()
        with self._database.transaction() as transaction:
            if not replace_all:  # the response of an update has nothing that the request has not set
                require(transaction, "storage.objects.get", bucket, name)
            require(transaction, "storage.objects.update", bucket, name)
            stored = require_object(transaction, Source(bucket, name, generation))
            preconditions.check(stored)
            changed = patched(stored, object_fields(changes), now, replace_all=replace_all)
            update_generation(transaction, changed)
            record(transaction, "metadataUpdate", changed, now)
        return changed

    def delete(
        self, bucket: str, name: str, generation: int | None = None, preconditions: Preconditions = ALWAYS
    ) -> None:
        """Delete an object; a versioned bucket archives it instead unless the request names a generation."""
        now = self._clock()
        with self._database.transaction() as transaction:
            require(transaction, "storage.objects.delete", bucket, name)
            holder = require_bucket(transaction, bucket)
            stored = require_object(transaction, Source(bucket, name, generation))
            preconditions.check(stored)
            retire(transaction, holder, stored, now, archive=holder.versioned and generation is None)

    def set_storage_class(self, stored: StoredObject, name: str) -> None:
        """Change the storage class of a generation, unless it has changed since it was read."""
        now = self._clock()
        with self._database.transaction() as transaction:
            current = require_object(transaction, Source(stored.bucket, stored.name, stored.generation))
            if current.metageneration == stored.metageneration:
                fields = {**stored.fields, "storageClass": name, "timeStorageClassUpdated": timestamp(now)}
                update_generation(transaction, replace(stored, fields=fields))

    def copy(
        self,
        source: Source,
        bucket: str,
        name: str,
        fields: Fields | None = None,
        preconditions: Preconditions = ALWAYS,
    ) -> StoredObject:
        """Copy an object; `fields`, unless empty, replace all of its metadata."""
        with self._database.transaction() as transaction:
            require(transaction, "storage.objects.get", source.bucket, source.name)
            stored = require_object(transaction, source)
            source.preconditions.check(stored)
            copied = copied_fields(stored, requested_fields(fields or {}))
            return self.write(transaction, bucket, name, content_of(stored), copied, preconditions)

    def move(self, source: Source, name: str, preconditions: Preconditions = ALWAYS) -> StoredObject:
        """Rename an object in its bucket, atomically."""
        if source.name == name:
            raise InvalidError("The source and destination object names must differ.")
        now = self._clock()
        with self._database.transaction() as transaction:
            holder = require_bucket(transaction, source.bucket)
            require(transaction, "storage.objects.move", source.bucket, source.name)
            stored = require_object(transaction, source)
            source.preconditions.check(stored)
            moved = self.write(
                transaction, source.bucket, name, content_of(stored), copied_fields(stored, {}), preconditions
            )
            retire(transaction, holder, stored, now, archive=holder.versioned)
        return moved

    def compose(
        self,
        bucket: str,
        name: str,
        sources: list[Source],
        fields: Fields | None = None,
        preconditions: Preconditions = ALWAYS,
    ) -> StoredObject:
        """Join up to 32 objects of the bucket; the result counts its components and has no MD5.

        The bytes are joined before the transaction, which starts over if a source has changed meanwhile.
        """
        if not sources:
            raise InvalidError("You must provide at least one source component.")
        if len(sources) > _MAX_SOURCES:
            raise InvalidError(
                f"The number of source components provided ({len(sources)}) exceeds the maximum ({_MAX_SOURCES})"
            )
        self.check(bucket, name, preconditions)
        with self.receiving() as writer:
            joined = self._join(sources, writer)
            content = writer.finish().without_md5()
            with self._database.transaction() as transaction:
                current = [require_object(transaction, source) for source in sources]
                for source, stored in zip(sources, current, strict=True):
                    source.preconditions.check(stored)
                if [each.generation for each in current] == [each.generation for each in joined]:
                    composed = composed_fields(current, requested_fields(fields or {}))
                    return self.write(transaction, bucket, name, content, composed, preconditions)
            self.drop(writer)
        return self.compose(bucket, name, sources, fields, preconditions)

    def _join(self, sources: list[Source], writer: Writer) -> list[StoredObject]:
        joined = []
        for source in sources:
            with self._database.reading() as view:
                require(view, "storage.objects.get", source.bucket, source.name)
                stored = require_object(view, source)
                source.preconditions.check(stored)
                file = self._contents.open(stored.content)
            joined.append(stored)
            with file:
                for block in blocks(file):
                    writer.write(block)
        return joined

    def write(
        self,
        transaction: Transaction,
        bucket: str,
        name: str,
        content: Content,
        fields: Fields,
        preconditions: Preconditions,
    ) -> StoredObject:
        """Make `content` the live generation, as part of a transaction."""
        check_object_name(name)
        now = self._clock()
        holder = require_bucket(transaction, bucket)
        current = find_live(transaction, bucket, name)
        _authorize_write(transaction, bucket, name, current, preconditions)
        generation = transaction.next_generation(now)
        attributes = {}
        if current:
            attributes["overwroteGeneration"] = str(current.generation)
            by = {"overwrittenByGeneration": str(generation)}
            retire(transaction, holder, current, now, archive=holder.versioned, **by)
        stored = StoredObject(bucket, name, generation, 1, True, content.id, new_fields(holder, content, fields, now))
        insert_generation(transaction, stored)
        record(transaction, "finalize", stored, now, **attributes)
        return stored


def _authorize_write(
    view: Transaction, bucket: str, name: str, current: StoredObject | None, preconditions: Preconditions
) -> None:
    """Check that the caller may create the object, the preconditions, and that the caller may replace `current`."""
    require(view, "storage.objects.create", bucket, name)
    preconditions.check(current)
    if current:
        require(view, "storage.objects.delete", bucket, name)
