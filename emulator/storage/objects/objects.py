"""Objects: created, read, changed, deleted, copied and composed, each in one transaction with its preconditions."""

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
    given_fields,
    new_fields,
    patched,
    promised_text,
)
from emulator.storage.outbox import record
from emulator.storage.patches import object_fields
from emulator.storage.preconditions import ALWAYS, Preconditions
from emulator.storage.resources import Fields, StoredObject, timestamp

MAX_SOURCES = 32


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
        content.checksums.verify(Checksums(*(promised_text(fields, key) for key in ("crc32c", "md5Hash"))))
        return self.write(transaction, bucket, name, content, given_fields(fields), preconditions)

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
            changed = patched(stored, object_fields(changes), now, replace_all=replace_all)
            update_generation(transaction, changed)
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
            retire(transaction, holder, stored, now, archive=holder.versioned and generation is None)

    def set_storage_class(self, stored: StoredObject, name: str) -> None:
        """Moves one generation to another storage class, if it is still as it was."""
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
        """Copies an object; `fields`, where they set anything, replace all of its metadata."""
        with self._database.transaction() as transaction:
            stored = require_object(transaction, source)
            source.preconditions.check(stored)
            copied = copied_fields(stored, given_fields(fields or {}))
            return self.write(transaction, bucket, name, content_of(stored), copied, preconditions)

    def move(self, source: Source, name: str, preconditions: Preconditions = ALWAYS) -> StoredObject:
        """Gives an object another name in its bucket, in one step."""
        if source.name == name:
            raise InvalidError("The source and destination object names must differ.")
        now = self._clock()
        with self._database.transaction() as transaction:
            holder = require_bucket(transaction, source.bucket)
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
                    composed = composed_fields(found, given_fields(fields or {}))
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
            retire(transaction, holder, current, now, archive=holder.versioned, **by)
        stored = StoredObject(bucket, name, generation, 1, True, content.id, new_fields(holder, content, fields, now))
        insert_generation(transaction, stored)
        record(transaction, "finalize", stored, now, **attributes)
        return stored
