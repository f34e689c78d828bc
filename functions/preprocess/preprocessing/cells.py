"""Values of typed tables as the cells of a CSV."""

import math
from datetime import date, datetime, time


def cell(value: object) -> str:
    """A missing value is empty; dates and times are in ISO 8601, whole numbers without a fraction."""
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
        case bytes() | bytearray():
            return value.hex()
        case _:
            return str(value)
