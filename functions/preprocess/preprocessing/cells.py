"""Values of typed tables as the cells of a CSV."""

import base64
import json
import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def cell(value: object) -> str:
    """A missing value is empty; dates and times are in ISO 8601, whole numbers without a fraction, lists and structures
    in JSON, bytes in base64 unless they are text.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime() | date() | time():
            return value.isoformat()
        case float():
            if math.isnan(value):
                return ""
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case bytes() | bytearray() | memoryview():
            return _text(bytes(value))
        case dict() | list() | tuple():
            return json.dumps(_plain(value), ensure_ascii=False)
        case _:
            return str(value)


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case dict():
            return {cell(key): _plain(part) for key, part in value.items()}
        case list() | tuple():
            return list(map(_plain, value))
        case _:
            return cell(value)


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    return base64.b64encode(data).decode() if CONTROLS.search(text) else text
