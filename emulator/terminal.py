"""Text from outside on a terminal: control characters are shown, not executed."""

import re

# C0 except tab and newline, DEL, C1, and the characters that reorder text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def escaped(text: str) -> str:
    r"""`text` with each control character as `\u001b`, which in JSON is still the same character."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
