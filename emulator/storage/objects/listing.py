"""Pages of a bucket's objects in the order of their names, with common prefixes if there is a delimiter."""

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from emulator.storage.database import Transaction
from emulator.storage.errors import InvalidError
from emulator.storage.objects.globs import Glob
from emulator.storage.resources import StoredObject

MAX_RESULTS = 1000
_BEFORE_ALL, _AFTER_ALL = -1, (1 << 63) - 1  # in place of a generation


@dataclass(frozen=True)
class Query:
    """The parameters of the JSON API's objects.list; names up to `after` are left out, as in the XML API."""

    prefix: str = ""
    delimiter: str = ""
    start_offset: str = ""
    after: str = ""
    end_offset: str | None = None
    match_glob: str | None = None
    versions: bool = False
    include_trailing_delimiter: bool = False
    max_results: int = MAX_RESULTS
    page_token: str | None = None


@dataclass(frozen=True)
class Listing:
    """One page; `next_page_token` is None on the last."""

    objects: list[StoredObject] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next_page_token: str | None = None


@dataclass(frozen=True)
class _Entry:
    """An object, a common prefix, or (with includeTrailingDelimiter) both; the next entry follows `position`."""

    stored: StoredObject | None
    prefix: str | None
    position: tuple[str, int]


def page(view: Transaction, bucket: str, query: Query) -> Listing:
    """One page of the objects in `bucket`."""
    limit = max(1, min(query.max_results, MAX_RESULTS))
    entries = list(islice(_entries(view, bucket, query), limit + 1))
    more, entries = len(entries) > limit, entries[:limit]
    return Listing(
        [entry.stored for entry in entries if entry.stored],
        list(dict.fromkeys(entry.prefix for entry in entries if entry.prefix)),
        _token(entries[-1].position) if more else None,
    )


def _entries(view: Transaction, bucket: str, query: Query) -> Iterator[_Entry]:
    glob = Glob(query.match_glob) if query.match_glob else None
    position: tuple[str, int] | None = max(
        (max(query.prefix, query.start_offset), _BEFORE_ALL), (query.after, _AFTER_ALL if query.after else _BEFORE_ALL)
    )
    if query.page_token is not None:
        position = max((query.prefix, _BEFORE_ALL), _position(query.page_token))
    while position is not None:
        rows = view.execute(
            "SELECT * FROM objects WHERE bucket = ? AND (name, generation) > (?, ?) AND (live OR ?) "
            "ORDER BY name, generation",
            *(bucket, *position, query.versions),
        )
        position = None
        for row in rows:
            name: str = row["name"]
            if not name.startswith(query.prefix) or (query.end_offset is not None and name >= query.end_offset):
                return
            if glob and not glob.matches(name):
                continue
            here = (name, row["generation"])
            common = _common_prefix(name, query)
            if common is None:
                yield _Entry(StoredObject.of(row), None, here)
            elif name == common and query.include_trailing_delimiter:
                yield _Entry(StoredObject.of(row), common, here)
            else:
                following = successor(common)
                yield _Entry(None, common, (following or name, _BEFORE_ALL if following else row["generation"]))
                # Skipping the names below the prefix keeps a listing of few prefixes cheap.
                position = (following, _BEFORE_ALL) if following else None
                break


def _common_prefix(name: str, query: Query) -> str | None:
    if not query.delimiter:
        return None
    at = name.find(query.delimiter, len(query.prefix))
    return None if at < 0 else name[: at + len(query.delimiter)]


def successor(prefix: str) -> str | None:
    """The smallest name greater than all names that begin with `prefix`; None if there is none."""
    for length in range(len(prefix), 0, -1):
        point = ord(prefix[length - 1]) + 1
        if point == 0xD800:
            point = 0xE000  # names cannot contain surrogates
        if point <= 0x10FFFF:
            return prefix[: length - 1] + chr(point)
    return None


def _token(position: tuple[str, int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(token: str) -> tuple[str, int]:
    try:
        match json.loads(base64.urlsafe_b64decode(token)):
            case [str(name), int(generation)] if len(name.encode()):
                return name, max(_BEFORE_ALL, min(generation, _AFTER_ALL))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidError("Invalid page token.") from error
    raise InvalidError("Invalid page token.")
