"""Structured logs: one JSON line on stdout per record, in the fields that Cloud Logging understands."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

logger = logging.getLogger("pipeline")

_context: ContextVar[dict[str, Any]] = ContextVar("log_fields", default={})  # noqa: B039


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to the current sys.stdout."""

    @property
    def stream(self) -> TextIO:
        return sys.stdout

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignores the stream that the base class assigns."""


class JsonFormatter(logging.Formatter):
    """Severity, constant message, and one field per variable."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"severity": record.levelname, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def setup() -> None:
    """Sends the pipeline's records to stdout; calling it again changes nothing."""
    if any(isinstance(handler, StdoutHandler) for handler in logger.handlers):
        return
    handler = StdoutHandler()
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds fields to every record logged inside; `trace`, a traceparent, becomes Cloud Logging's trace field."""
    trace = fields.pop("trace", None)
    if trace and (project := os.environ.get("GOOGLE_CLOUD_PROJECT")):
        fields["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace.split('-')[1]}"
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def bind(**fields: Any) -> None:
    """Adds fields until the enclosing `bound` ends."""
    _context.set({**_context.get(), **fields})


def log(level: int, message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
    logger.log(level, message, extra={"fields": {**_context.get(), **fields}}, exc_info=error)


def info(message: str, /, **fields: Any) -> None:
    log(logging.INFO, message, **fields)


def warning(message: str, /, **fields: Any) -> None:
    log(logging.WARNING, message, **fields)


def exception(message: str, error: BaseException, /, **fields: Any) -> None:
    log(logging.ERROR, message, error=error, **fields)
