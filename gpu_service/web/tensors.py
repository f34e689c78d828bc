"""Tensors of the Open Inference Protocol: flat; as binary data little-endian, each BYTES element after its length."""

import itertools
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from gpu_service.errors import MalformedRequest
from gpu_service.tasks.predictions import Prediction

FORMATS = {"BOOL": "?", "FP32": "f", "FP64": "d", "INT32": "i", "INT64": "q"}
LENGTH = struct.Struct("<I")


def pack(datatype: str, data: Sequence[Any]) -> bytes:
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


def flat(data: Any) -> list[Any]:
    """The elements of a tensor that may be nested, as deep as JSON may be."""
    elements: list[Any] = []
    pending = [iter(data)]
    while pending:
        for value in pending[-1]:
            if isinstance(value, list):
                pending.append(iter(value))
                break
            elements.append(value)
        else:
            pending.pop()
    return elements


def column(name: str, datatype: str, predictions: Sequence[Prediction]) -> tuple[list[int], list[Any]]:
    """A field of all predictions as a tensor's shape and data: vectors are the rows of a matrix."""
    values = [getattr(prediction, name) for prediction in predictions]
    if datatype == "BYTES":
        values = [value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values]
    elif isinstance(values[0], list):
        return [len(values), len(values[0])], list(itertools.chain(*values))
    return [len(values)], values
