"""The standard library: every function by its full name, and the values that names like `http.default_retry` have."""

from __future__ import annotations

from emulator.workflows.library import (
    collections,
    conversion,
    encoding,
    events,
    experimental,
    requests,
    retrying,
    system,
    text,
    times,
)
from emulator.workflows.library.table import LibraryFunction

FUNCTIONS: dict[str, LibraryFunction] = {
    function.name: function
    for module in (
        conversion, encoding, collections, text, times, retrying, system, events, requests, experimental,
    )
    for function in module.FUNCTIONS
}  # fmt: skip
OBJECTS = retrying.OBJECTS
