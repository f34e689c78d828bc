"""CRC32C and MD5 of contents, computed while bytes are written and compared with those that a client sent."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

import google_crc32c

from emulator.storage.errors import InvalidError


@dataclass(frozen=True)
class Checksums:
    """Checksums in base64, as in resources and `x-goog-hash`; None where unknown."""

    crc32c: str | None = None
    md5: str | None = None

    def merged(self, other: "Checksums") -> "Checksums":
        """These checksums, completed by `other`'s."""
        return Checksums(self.crc32c or other.crc32c, self.md5 or other.md5)

    def verify(self, expected: "Checksums") -> None:
        """Raise InvalidError if an expected checksum differs from these."""
        if expected.crc32c is not None and _decoded(expected.crc32c) != _decoded(self.crc32c or ""):
            raise InvalidError(
                f'Provided CRC32C "{expected.crc32c}" doesn\'t match calculated CRC32C "{self.crc32c}".',
                code="BadDigest",
            )
        if expected.md5 is not None and _decoded(expected.md5) != _decoded(self.md5 or ""):
            raise InvalidError(
                f'Provided MD5 hash "{expected.md5}" doesn\'t match calculated MD5 hash "{self.md5}".',
                code="BadDigest",
            )

    @classmethod
    def parse(cls, header: str) -> "Checksums":
        """The checksums in an `x-goog-hash` header, such as `crc32c=n03x6A==,md5=Ojk9c3dhfxgoKVVHYwFbHQ==`."""
        values = dict(part.strip().partition("=")[::2] for part in header.split(",") if part.strip())
        unknown = set(values) - {"crc32c", "md5"}
        if unknown:
            raise InvalidError(f"Unknown checksum in X-Goog-Hash: {sorted(unknown)[0]}")
        return cls(values.get("crc32c"), values.get("md5"))


def _decoded(checksum: str) -> bytes:
    try:
        return base64.b64decode(checksum, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(f"Invalid checksum: {checksum!r} is not base64.", code="InvalidDigest") from error


class Digest:
    """Both checksums of a growing sequence of bytes."""

    def __init__(self) -> None:
        self._crc32c = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        self._crc32c = google_crc32c.extend(self._crc32c, data)
        self._md5.update(data)

    def checksums(self) -> Checksums:
        crc32c = self._crc32c.to_bytes(4)
        return Checksums(base64.b64encode(crc32c).decode(), base64.b64encode(self._md5.digest()).decode())
