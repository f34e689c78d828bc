"""Multipart uploads of the XML API: numbered parts, sent concurrently and joined at the end."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from emulator.storage.contents.files import Content, Contents, Writer, blocks
from emulator.storage.database import Database, Transaction
from emulator.storage.errors import InvalidError, NotFoundError
from emulator.storage.objects.objects import Objects
from emulator.storage.patches import object_fields
from emulator.storage.permissions import require
from emulator.storage.preconditions import ALWAYS
from emulator.storage.resources import Fields, StoredObject, timestamp

_CREATE = "storage.multipartUploads.create"
_MAX_PARTS = 10_000


@dataclass(frozen=True)
class Part:
    """A part that has arrived; `etag` is its MD5 in hexadecimal."""

    number: int
    content: str
    etag: str


class MultipartUploads:
    """The unfinished multipart uploads of one store."""

    def __init__(self, database: Database, contents: Contents, objects: Objects, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._contents = contents
        self._objects = objects
        self._clock = clock

    def start(self, bucket: str, name: str, fields: Fields) -> str:
        """Start an upload and return its id."""
        self._objects.check(bucket, name, ALWAYS)
        id = secrets.token_urlsafe(32)
        with self._database.transaction() as transaction:
            require(transaction, _CREATE, bucket, name)
            transaction.execute(
                "INSERT INTO uploads (id, kind, bucket, name, state, content, created, request) "
                "VALUES (?, 'parts', ?, ?, 'active', '', ?, ?)",
                *(id, bucket, name, timestamp(self._clock()), json.dumps({"fields": object_fields(fields)})),
            )
        return id

    def add(self, bucket: str, name: str, id: str, number: int, content: Content, etag: str) -> None:
        """Keep a part, in place of an earlier one with the same number."""
        if not 1 <= number <= _MAX_PARTS:
            raise InvalidError(f"Part number must be an integer between 1 and {_MAX_PARTS}, inclusive.")
        with self._database.transaction() as transaction:
            require(transaction, _CREATE, bucket, name)
            _require(transaction, bucket, name, id)
            earlier = transaction.row("SELECT content FROM parts WHERE upload = ? AND number = ?", id, number)
            if earlier:
                transaction.garbage.append(earlier["content"])
            transaction.execute(
                "INSERT OR REPLACE INTO parts (upload, number, content, digest) VALUES (?, ?, ?, ?)",
                *(id, number, content.id, etag),
            )

    def listing(self, bucket: str, name: str, id: str) -> list[Part]:
        """The parts that have arrived, in the order of their numbers."""
        with self._database.reading() as view:
            require(view, "storage.multipartUploads.listParts", bucket, name)
            _require(view, bucket, name, id)
            return _parts(view, id)

    def finish(self, bucket: str, name: str, id: str, chosen: list[tuple[int, str]]) -> StoredObject:
        """Join the chosen parts, (number, etag) in ascending order, into the object."""
        with self._database.reading() as view:
            require(view, _CREATE, bucket, name)
            fields = _require(view, bucket, name, id)
            parts = {part.number: part for part in _parts(view, id)}
        numbers = [number for number, _ in chosen]
        if not chosen or numbers != sorted(set(numbers)):
            raise InvalidError("The list of parts was not in ascending order.", code="InvalidPartOrder")
        for number, etag in chosen:
            if number not in parts or parts[number].etag != etag.strip('"'):
                raise _missing_part()
        with self._objects.receiving() as writer:
            for number in numbers:
                self._read(parts[number], writer)
            content = writer.finish().without_md5()
            with self._database.transaction() as transaction:
                _require(transaction, bucket, name, id)
                counted = {**fields, "componentCount": len(numbers)}
                stored = self._objects.write(transaction, bucket, name, content, counted, ALWAYS)
                _drop(transaction, id)
        return stored

    def _read(self, part: Part, writer: Writer) -> None:
        try:
            file = self._contents.open(part.content)
        except FileNotFoundError as error:
            raise _missing_part() from error
        with file:
            for block in blocks(file):
                writer.write(block)

    def abort(self, bucket: str, name: str, id: str) -> None:
        """Cancel an upload and drop its parts."""
        with self._database.transaction() as transaction:
            require(transaction, "storage.multipartUploads.abort", bucket, name)
            _require(transaction, bucket, name, id)
            _drop(transaction, id)

    def abort_older(self, bucket: str, than: datetime) -> None:
        """Cancel the bucket's uploads that were started before `than`."""
        with self._database.transaction() as transaction:
            rows = transaction.execute(
                "SELECT id FROM uploads WHERE kind = 'parts' AND bucket = ? AND created < ?", bucket, timestamp(than)
            ).fetchall()
            for row in rows:
                _drop(transaction, row["id"])


def _require(view: Transaction, bucket: str, name: str, id: str) -> Fields:
    row = view.row(
        "SELECT request FROM uploads WHERE id = ? AND kind = 'parts' AND bucket = ? AND name = ?", id, bucket, name
    )
    if row is None:
        raise _NoUploadError("The specified multipart upload does not exist.")
    fields: Fields = json.loads(row["request"])["fields"]
    return fields


def _missing_part() -> InvalidError:
    return InvalidError("One or more of the specified parts could not be found.", code="InvalidPart")


class _NoUploadError(NotFoundError):
    code = "NoSuchUpload"


def _parts(view: Transaction, id: str) -> list[Part]:
    rows = view.execute("SELECT * FROM parts WHERE upload = ? ORDER BY number", id)
    return [Part(row["number"], row["content"], row["digest"]) for row in rows]


def _drop(transaction: Transaction, id: str) -> None:
    transaction.garbage.extend(part.content for part in _parts(transaction, id))
    transaction.execute("DELETE FROM parts WHERE upload = ?", id)
    transaction.execute("DELETE FROM uploads WHERE id = ?", id)
