"""The rules that workflows and executions must follow, with the limits of the service."""

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
    """`text` if it is a valid workflow id."""
    if not _WORKFLOW_ID.fullmatch(text):
        raise InvalidArgumentError(
            f"workflow ID {text!r} must be 1-64 characters, start with a letter, end with a letter or number, "
            "and contain only letters, numbers, underscores and hyphens",
            field="workflow_id",
        )
    return text


def source(text: str) -> str:
    """`text` if it is not empty and within the size limit."""
    if not text.strip():
        raise InvalidArgumentError("source_contents is required", field="workflow.source_contents")
    size = len(text.encode())
    if size > MAX_SOURCE_BYTES:
        message = f"source_contents is {size} bytes, the limit is {MAX_SOURCE_BYTES} bytes"
        raise InvalidArgumentError(message, field="workflow.source_contents")
    return text


def description(text: str) -> str:
    """`text` if it is within the length limit."""
    if len(text) > MAX_DESCRIPTION:
        message = f"description has {len(text)} characters, the limit is {MAX_DESCRIPTION}"
        raise InvalidArgumentError(message, field="workflow.description")
    return text


def labels(values: Mapping[str, str], field: str) -> dict[str, str]:
    """`values` if they keep Google's rules for labels; errors name `field`."""
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
    # International letters are allowed; letters of scripts without case count as lowercase.
    plain = all(c in "_-" or c.isdigit() or (c.isalpha() and c == c.lower()) for c in text)
    return plain and len(text) <= MAX_LABEL_LENGTH


def env_vars(values: Mapping[str, str]) -> dict[str, str]:
    """`values` if they are valid user environment variables."""
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
    """`text` if it is JSON within the limit, `null` if it is empty."""
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
    """The value of JSON text, without `NaN` and `Infinity`, which only Python accepts."""
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
