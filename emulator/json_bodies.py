"""Decodes the JSON of requests, and refuses what no API of Google accepts although JSON allows it."""

import json
from typing import Any

_MAX_DEPTH = 100  # that of protobuf's parsers
_ESCAPE = b"\\u"


class UnusableError(ValueError):
    """The text is JSON, but nested too deeply, or it contains half a surrogate pair."""


def decode(content: bytes) -> Any:
    """The value of a request's body.

    Raises:
        ValueError: the body is not JSON.
        UnusableError: the value cannot be used.
    """
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if _is_deep(value):
        raise UnusableError(f"the JSON has more than {_MAX_DEPTH} levels")
    if _ESCAPE in content or not content.isascii():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UnusableError("a string contains half of a surrogate pair") from None
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [child for each in level for child in _children(each)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
