"""Reads on where a text's encoding changes: stray bytes are taken for what old Western programs write."""

import codecs


def _stray(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    found = error.object[error.start : error.end]
    if error.encoding.lower().replace("_", "-").startswith("utf-8"):
        return found.decode("cp1252", "replace"), error.end
    return "\ufffd", error.end


ERRORS = "pipeline.stray"
"""The name of the error handler: in UTF-8 a stray byte is read as cp1252, elsewhere it becomes U+FFFD."""

codecs.register_error(ERRORS, _stray)
