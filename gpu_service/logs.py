"""Structured logs: one JSON line on stdout per record, with the fields that Cloud Logging reads."""

import json
import logging
import sys
from typing import Any


class JsonFormatter(logging.Formatter):
    """Writes the severity, the constant message, and each variable as a field."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"severity": record.levelname, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def setup() -> None:
    """Logs to stdout: this package from INFO, other libraries from WARNING."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(__package__).setLevel(logging.INFO)


def fields(**values: Any) -> dict[str, Any]:
    """A record's variables, for `extra=`."""
    return {"fields": values}


def trace(traceparent: str | None, project: str | None) -> dict[str, str]:
    """The fields that link a record to the caller's trace; empty without one."""
    parts = (traceparent or "").split("-")
    if len(parts) < 4 or len(parts[1]) != 32:
        return {}
    if project is None:
        return {"trace": parts[1]}
    return {
        "logging.googleapis.com/trace": f"projects/{project}/traces/{parts[1]}",
        "logging.googleapis.com/spanId": parts[2],
    }
