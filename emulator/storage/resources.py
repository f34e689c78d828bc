"""Stored objects, times and entity tags, in the form of the JSON API."""

import base64
import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

Fields = dict[str, Any]


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as in `timeCreated`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The time in an RFC 3339 string; ValueError if the string is not one."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return parsed


def object_etag(generation: int, metageneration: int) -> str:
    """An object's entity tag as the service forms it: both numbers as protobuf varints, in base64."""
    return base64.b64encode(b"\x08" + _varint(generation) + b"\x10" + _varint(metageneration)).decode()


def version_etag(version: int) -> str:
    """The entity tag of a bucket (from its metageneration) or a policy (from its version), in the same encoding."""
    return base64.b64encode(b"\x08" + _varint(version)).decode()


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


@dataclass(frozen=True)
class StoredObject:
    """One generation of an object; `content` is the id of its bytes, `fields` are the rest of its resource."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    live: bool
    content: str
    fields: Fields

    @property
    def size(self) -> int:
        return int(self.fields["size"])

    @property
    def etag(self) -> str:
        return object_etag(self.generation, self.metageneration)

    @property
    def content_etag(self) -> str:
        """The entity tag of the XML API: the MD5 in hexadecimal, or `etag` for an object without an MD5."""
        md5 = self.fields.get("md5Hash")
        return base64.b64decode(md5).hex() if md5 else self.etag

    def resource(self, base_url: str) -> Fields:
        """The object resource of the JSON API; its links begin with `base_url`."""
        path = f"/storage/v1/b/{self.bucket}/o/{quote(self.name, safe='')}"
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": f"{base_url}{path}",
            "mediaLink": f"{base_url}/download{path}?generation={self.generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "etag": self.etag,
            **self.fields,
        }

    @classmethod
    def of(cls, row: sqlite3.Row) -> "StoredObject":
        return cls(
            row["bucket"],
            row["name"],
            row["generation"],
            row["metageneration"],
            bool(row["live"]),
            row["content"],
            json.loads(row["fields"]),
        )
