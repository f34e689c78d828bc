"""`base64`, `hash`, `json`, `uuid`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from typing import Any

from emulator.workflows.errors import type_error, value_error
from emulator.workflows.library import expecting
from emulator.workflows.library.table import LibraryFunction, declare
from emulator.workflows.values import decode_json, encode_json, shown_type

_ALGORITHMS = ("MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512")


def base64_decode(data: Any, padding: Any = True) -> bytes:
    """Bytes of a Base64 string."""
    if type(data) is bytes:
        data = data.decode("ascii", "replace")
    text = expecting.string("base64.decode", "data", data)
    if not expecting.boolean("base64.decode", "padding", padding):
        if "=" in text:
            raise value_error("base64.decode: unexpected padding")
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise value_error(f"base64.decode: {error}") from None


def base64_encode(data: Any, padding: Any = True) -> str:
    """Base64 of bytes."""
    text = base64.b64encode(expecting.binary("base64.encode", "data", data)).decode()
    return text if expecting.boolean("base64.encode", "padding", padding) else text.rstrip("=")


def checksum(data: Any, algorithm: Any) -> bytes:
    """The digest of bytes."""
    content = expecting.binary("hash.compute_checksum", "data", data)
    return hashlib.new(_algorithm("hash.compute_checksum", algorithm), content).digest()


def keyed_hash(key: Any, data: Any, algorithm: Any) -> bytes:
    """The HMAC of bytes."""
    name = "hash.compute_hmac"
    secret, content = expecting.binary(name, "key", key), expecting.binary(name, "data", data)
    return hmac.new(secret, content, _algorithm(name, algorithm)).digest()


def _algorithm(function: str, algorithm: Any) -> str:
    name = expecting.string(function, "algorithm", algorithm)
    if name not in _ALGORITHMS:
        raise value_error(f"{function}: unknown algorithm '{name}', expecting one of {', '.join(_ALGORITHMS)}")
    return name.lower()


def json_decode(data: Any) -> Any:
    """The value of JSON text or bytes; bytes are read as text.decode reads them."""
    if type(data) not in (str, bytes):
        raise type_error(f"json.decode: argument 'data' must be bytes or a string, got {shown_type(data)}")
    try:
        return decode_json(data.decode("utf-8", "replace") if type(data) is bytes else data)
    except (RecursionError, ValueError) as error:
        raise value_error(f"json.decode: {error}") from None


def json_text(data: Any, indent: Any = None) -> str:
    """JSON text of a value."""
    if indent is None or indent is False:
        return encode_json(data)
    if indent is True:
        return encode_json(data, "    ")
    layout = expecting.mapping("json.encode", "indent", indent)
    step = expecting.string("json.encode", "indent", layout.get("indent", "    "))
    return encode_json(data, step, expecting.string("json.encode", "prefix", layout.get("prefix", "")))


def json_bytes(data: Any, indent: Any = None) -> bytes:
    """JSON of a value as UTF-8."""
    return json_text(data, indent).encode("utf-8", "surrogatepass")


def random_uuid() -> str:
    """A random UUID."""
    return str(uuid.uuid4())


FUNCTIONS: list[LibraryFunction] = [
    *declare("base64", {"decode": ("data padding?", base64_decode), "encode": ("data padding?", base64_encode)}),
    *declare(
        "hash",
        {"compute_checksum": ("data algorithm", checksum), "compute_hmac": ("key data algorithm", keyed_hash)},
    ),
    *declare(
        "json",
        {
            "decode": ("data", json_decode),
            "encode": ("data indent?", json_bytes),
            "encode_to_string": ("data indent?", json_text),
        },
    ),
    *declare("uuid", {"generate": ("", random_uuid)}),
]
