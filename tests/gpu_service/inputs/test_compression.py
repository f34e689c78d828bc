"""gzip: unpacked by the same rules as the functions unpack uploads."""

import gzip
import zlib

import pytest

from gpu_service.errors import InstanceError
from gpu_service.inputs import compression
from pipeline.errors import RejectedError
from pipeline.formats import compression as functions

LIMIT = 1000
CONTENT = b"a good film " * 9
PACKED = gzip.compress(CONTENT)
CASES = {
    "packed": PACKED,
    "two members": PACKED + gzip.compress(b"and dull"),
    "padding": PACKED + bytes(512),
    "trailing bytes": PACKED + b"more",
    "incomplete": PACKED[:-3],
    "only its signature": PACKED[:3],
    "damaged": PACKED[:20] + b"\xff" * 9 + PACKED[29:],
    "as much as allowed": gzip.compress(bytes(LIMIT)),
    "too much": gzip.compress(bytes(LIMIT + 1)),
    "far too much": gzip.compress(bytes(64 << 20)),
    "too much in two members": gzip.compress(bytes(LIMIT)) + gzip.compress(b"a"),
    "a text": CONTENT,
    "deflated": zlib.compress(CONTENT),
    "nothing": b"",
}


@pytest.mark.parametrize("name", CASES)
def test_packed_objects_are_unpacked_as_uploads_are(name: str):
    data = CASES[name]
    try:
        expected: object = functions.read(data, LIMIT) if functions.is_packed(data) else data
    except RejectedError as refusal:
        expected = refusal.code
    try:
        found: object = compression.unpacked(data, LIMIT)
    except InstanceError as error:
        found = error.code
    assert found == expected
