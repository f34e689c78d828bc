"""Protocol Buffers' wire format, as far as Terraform's plugin protocol needs it: numbers and bytes by field number."""

from collections import defaultdict
from collections.abc import Iterable

Field = tuple[int, int | bytes | str | bool]


def encode(fields: Iterable[Field]) -> bytes:
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(int(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(out)


def decode(data: bytes) -> dict[int, list[int | bytes]]:
    fields: dict[int, list[int | bytes]] = defaultdict(list)
    at = 0
    while at < len(data):
        key, at = _read(data, at)
        size, at = _read(data, at)
        if key & 7 == 0:
            fields[key >> 3].append(size)
        else:
            assert key & 7 == 2, "no other wire type occurs"
            fields[key >> 3].append(data[at : at + size])
            at += size
    return fields


def one(fields: dict[int, list[int | bytes]], number: int) -> bytes:
    """The bytes of a field that is not repeated."""
    value = fields[number][-1] if fields.get(number) else b""
    assert isinstance(value, bytes)
    return value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
