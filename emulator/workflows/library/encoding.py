"""`base64`, `hash`, `json`, `uuid`."""

import base64
import binascii
import hashlib
import hmac
import uuid
from typing import Any

from emulator.workflows.errors import value_error
from emulator.workflows.library.builtin import declare, expect
from emulator.workflows.values import decode_json, encode_json

_ALGORITHMS = ("MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512")


def base64_decode(data: str | bytes, padding: bool = True) -> bytes:
    text = data.decode("ascii", "replace") if isinstance(data, bytes) else data
    if not padding:
        if "=" in text:
            raise value_error("base64.decode: unexpected padding")
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise value_error(f"base64.decode: {error}") from None


def base64_encode(data: bytes, padding: bool = True) -> str:
    text = base64.b64encode(data).decode()
    return text if padding else text.rstrip("=")


def checksum(data: bytes, algorithm: str) -> bytes:
    return hashlib.new(_digest_name("hash.compute_checksum", algorithm), data).digest()


def keyed_hash(key: bytes, data: bytes, algorithm: str) -> bytes:
    return hmac.new(key, data, _digest_name("hash.compute_hmac", algorithm)).digest()


def _digest_name(function: str, algorithm: str) -> str:
    if algorithm not in _ALGORITHMS:
        raise value_error(f"{function}: unknown algorithm '{algorithm}', expecting one of {', '.join(_ALGORITHMS)}")
    return algorithm.lower()


def json_decode(data: str | bytes) -> Any:
    """The value of JSON text; bytes are decoded as by `text.decode`."""
    try:
        return decode_json(data.decode("utf-8", "replace") if isinstance(data, bytes) else data)
    except (RecursionError, ValueError) as error:
        raise value_error(f"json.decode: {error}") from None


def json_text(data: Any, indent: Any = None) -> str:
    """JSON text; `indent` is a boolean, or a map with `indent` and `prefix`."""
    if indent is None or indent is False:
        return encode_json(data)
    layout = {} if indent is True else expect(dict, indent, "json.encode", "indent")
    step = expect(str, layout.get("indent", "    "), "json.encode", "indent")
    return encode_json(data, step, expect(str, layout.get("prefix", ""), "json.encode", "prefix"))


def json_bytes(data: Any, indent: Any = None) -> bytes:
    return json_text(data, indent).encode("utf-8", "surrogatepass")


def random_uuid() -> str:
    return str(uuid.uuid4())


FUNCTIONS = [
    *declare("base64", {"decode": base64_decode, "encode": base64_encode}),
    *declare("hash", {"compute_checksum": checksum, "compute_hmac": keyed_hash}),
    *declare("json", {"decode": json_decode, "encode": json_bytes, "encode_to_string": json_text}),
    *declare("uuid", {"generate": random_uuid}),
]
