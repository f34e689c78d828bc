"""The rules that a request to either API must keep, with the limits of the service."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from emulator.googleapi.errors import InvalidArgumentError

MAX_ARGUMENT_BYTES = 32 * 1024
MAX_SOURCE_BYTES = 128 * 1024
MAX_DESCRIPTION = 1000
MAX_LABELS = 64
MAX_LABEL_LENGTH = 63
MAX_ENV_VARS = 20
MAX_ENV_BYTES = 4 * 1024
_WORKFLOW_ID = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_RESERVED_PREFIXES = ("GOOGLE", "WORKFLOWS")


def workflow_id(text: str) -> str:
    """``text`` if it may name a workflow."""
    if not _WORKFLOW_ID.fullmatch(text):
        raise InvalidArgumentError(
            f"workflow ID {text!r} must be 1-64 characters, start with a letter, end with a letter or number, "
            "and contain only letters, numbers, underscores and hyphens",
            field="workflow_id",
        )
    return text


def source(text: str) -> str:
    """``text`` if it may be a workflow's source by its size alone."""
    if not text.strip():
        raise InvalidArgumentError("source_contents is required", field="workflow.source_contents")
    size = len(text.encode())
    if size > MAX_SOURCE_BYTES:
        message = f"source_contents is {size} bytes, the limit is {MAX_SOURCE_BYTES} bytes"
        raise InvalidArgumentError(message, field="workflow.source_contents")
    return text


def description(text: str) -> str:
    """``text`` if it is short enough to describe a workflow."""
    if len(text) > MAX_DESCRIPTION:
        message = f"description has {len(text)} characters, the limit is {MAX_DESCRIPTION}"
        raise InvalidArgumentError(message, field="workflow.description")
    return text


def labels(values: Mapping[str, str], field: str) -> dict[str, str]:
    """``values`` if Google's label rules allow them; ``field`` is named in the refusal."""
    if len(values) > MAX_LABELS:
        raise InvalidArgumentError(f"{len(values)} labels, the limit is {MAX_LABELS}", field=field)
    for key, value in values.items():
        if not key or not key[0].isalpha() or not _label_text(key):
            raise InvalidArgumentError(
                f"label key {key!r} must start with a lowercase letter, contain only lowercase letters, "
                f"numbers, underscores and dashes, and have at most {MAX_LABEL_LENGTH} characters",
                field=field,
            )
        if not _label_text(value):
            raise InvalidArgumentError(
                f"label value {value!r} of {key!r} must contain only lowercase letters, numbers, "
                f"underscores and dashes, and have at most {MAX_LABEL_LENGTH} characters",
                field=field,
            )
    return dict(values)


def _label_text(text: str) -> bool:
    # International letters are allowed; scripts without case have no lowercase to ask for.
    plain = all(c in "_-" or c.isdigit() or (c.isalpha() and c == c.lower()) for c in text)
    return plain and len(text) <= MAX_LABEL_LENGTH


def env_vars(values: Mapping[str, str]) -> dict[str, str]:
    """``values`` if a workflow revision may carry them as user environment variables."""
    field = "workflow.user_env_vars"
    if len(values) > MAX_ENV_VARS:
        message = f"{len(values)} user environment variables, the limit is {MAX_ENV_VARS}"
        raise InvalidArgumentError(message, field=field)
    for key, value in values.items():
        if not key:
            raise InvalidArgumentError("user environment variable names cannot be empty", field=field)
        if key.startswith(_RESERVED_PREFIXES):
            message = f"user environment variable {key!r} cannot start with GOOGLE or WORKFLOWS"
            raise InvalidArgumentError(message, field=field)
        if max(len(key.encode()), len(value.encode())) > MAX_ENV_BYTES:
            message = f"user environment variable {key!r} is larger than {MAX_ENV_BYTES} bytes"
            raise InvalidArgumentError(message, field=field)
    return dict(values)


def argument(text: str) -> str:
    """``text`` if it is JSON within the limit; an argument not given is ``null``."""
    if not text:
        return "null"
    size = len(text.encode())
    if size > MAX_ARGUMENT_BYTES:
        message = f"argument is {size} bytes, the limit is {MAX_ARGUMENT_BYTES} bytes"
        raise InvalidArgumentError(message, field="execution.argument")
    try:
        decode(text)
    except (ValueError, RecursionError) as error:
        message = f"argument is not valid JSON: {error}"
        raise InvalidArgumentError(message, field="execution.argument") from error
    return text


def decode(text: str) -> Any:
    """JSON text as values; ``NaN`` and ``Infinity``, which Python would take, are no JSON."""
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def page_size(text: str | int, *, default: int, largest: int) -> int:
    """How many items a page holds: values over ``largest`` are coerced down to it, 0 means ``default``."""
    try:
        size = int(text or 0)
    except ValueError:
        raise InvalidArgumentError(f"invalid page size {text!r}", field="page_size") from None
    if size < 0:
        raise InvalidArgumentError(f"page size {size} is negative", field="page_size")
    return min(size or default, largest)
