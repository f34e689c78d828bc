"""Parses multipart bodies (multipart/related, multipart/mixed) while they arrive."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message

from emulator.storage.errors import InvalidError, TooLargeError

_MAX_HEADERS = 64 * 1024
_FOLD = re.compile(r"\r?\n[ \t]+")


@dataclass(frozen=True)
class Headers:
    """The headers of a new part, with names in lower case."""

    values: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, block: bytes) -> "Headers":
        """The headers in lines that end in CRLF or LF; a line that begins with a space or tab continues the one above.

        Raises:
            InvalidError: a line has no colon.
        """
        values = {}
        for line in _FOLD.sub(" ", block.decode("latin-1")).split("\n"):
            name, colon, value = line.partition(":")
            if colon:
                values[name.strip().lower()] = value.strip()
            elif line.strip():
                raise InvalidError("Malformed header in the multipart body.")
        return cls(values)


def boundary_of(content_type: str) -> bytes:
    """The boundary in a multipart Content-Type."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if not content_type.lower().startswith("multipart/") or not boundary:
        raise InvalidError("The Content-Type of a multipart request must be multipart and name its boundary.")
    if len(boundary) > 2 and boundary[0] == boundary[-1] == "'":
        boundary = boundary[1:-1]  # gcloud quotes it this way, which the service accepts
    return boundary.encode("latin-1", "replace")


class MultipartParser:
    """Turns blocks of a body into `Headers` at the start of each part, followed by the bytes of that part.

    Lines end in CRLF, as the standard requires, or in LF, as some of Google's own tools send them.
    """

    def __init__(self, boundary: bytes) -> None:
        self._marker = b"--" + boundary
        self._buffer = b""
        self._newline = b"\r\n"
        self._read: Callable[[], Headers | bytes | None] = self._preamble
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Headers | bytes]:
        """The headers and bytes that the next block of the body completes."""
        self._buffer += data
        while True:
            before = self._read
            piece = self._read()
            if piece is not None:
                yield piece
            elif self._read == before:
                return

    def close(self) -> None:
        """Raise InvalidError if the body ended before its closing boundary."""
        if not self.complete:
            raise InvalidError("The multipart body ends before its closing boundary.")

    def _preamble(self) -> None:
        at = 0 if self._buffer.startswith(self._marker) else self._buffer.find(b"\n" + self._marker) + 1
        if at == 0 and not self._buffer.startswith(self._marker):
            self._check_size(_MAX_HEADERS)
            return
        self._boundary_line(at + len(self._marker))

    def _boundary_line(self, after: int) -> bool:
        """Read the rest of a boundary's line; False if it has not arrived yet."""
        rest = self._buffer[after:]
        if rest.startswith(b"--"):
            self.complete = True
            self._read = self._epilogue
            return True
        end = rest.find(b"\n")
        if end < 0:
            self._check_size(_MAX_HEADERS + after)
            return False
        self._newline = b"\r\n" if rest[:end].endswith(b"\r") else b"\n"
        self._buffer = rest[end + 1 :]
        self._read = self._headers
        return True

    def _headers(self) -> Headers | None:
        blank = self._newline * 2
        if self._buffer.startswith(self._newline):
            block, self._buffer = b"", self._buffer[len(self._newline) :]
        else:
            block, separator, rest = self._buffer.partition(blank)
            if not separator:
                self._check_size(_MAX_HEADERS)
                return None
            self._buffer = rest
        self._read = self._data
        return Headers.parse(block)

    def _data(self) -> bytes | None:
        marker = self._newline + self._marker
        at = self._buffer.find(marker)
        if at >= 0:
            data = self._buffer[:at]
            if self._boundary_line(at + len(marker)):
                return data or None
        else:
            at = max(len(self._buffer) - len(marker) + 1, 0)
        data, self._buffer = self._buffer[:at], self._buffer[at:]
        return data or None

    def _epilogue(self) -> None:
        self._buffer = b""

    def _check_size(self, limit: int) -> None:
        if len(self._buffer) > limit:
            raise TooLargeError("The headers of a part of the multipart body are too large.")
