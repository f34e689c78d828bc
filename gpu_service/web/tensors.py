"""Tensors of the Open Inference Protocol in its binary form: little-endian, each BYTES element after its length."""

import struct
from collections.abc import Sequence
from typing import Any, Literal

from gpu_service.errors import MalformedRequest

Datatype = Literal["BYTES", "BOOL", "FP32", "FP64", "INT32", "INT64"]
FORMATS: dict[Datatype, str] = {"BOOL": "?", "FP32": "f", "FP64": "d", "INT32": "i", "INT64": "q"}
LENGTH = struct.Struct("<I")


def pack(datatype: Datatype, data: Sequence[Any]) -> bytes:
    """A flat tensor; the elements of BYTES are strings."""
    if datatype == "BYTES":
        return b"".join(LENGTH.pack(len(element)) + element for element in map(str.encode, data))
    return struct.pack(f"<{len(data)}{FORMATS[datatype]}", *data)


def unpack_bytes(binary: bytes, most: int) -> list[bytes]:
    """The elements of a BYTES tensor, and no more than `most + 1` of them.

    Raises:
        MalformedRequest: an element ends beyond the tensor.
    """
    elements: list[bytes] = []
    start = 0
    while start < len(binary) and len(elements) <= most:
        if start + LENGTH.size > len(binary):
            raise MalformedRequest("The binary data end within the length of an element.")
        begin = start + LENGTH.size
        start = begin + LENGTH.unpack_from(binary, start)[0]
        if start > len(binary):
            raise MalformedRequest("The binary data end within an element.")
        elements.append(binary[begin:start])
    return elements
