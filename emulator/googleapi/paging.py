"""The pages of a list: sizes, tokens and order."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.filters import Predicate, folded
from emulator.googleapi.messages import Json, Message

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after `skip` of the items up to `ceiling`, the newest one when the first page was read."""

    skip: int = 0
    ceiling: int | None = None


def page_size(text: str | int, *, default: int, largest: int) -> int:
    """The number of items on a page: at most `largest`, and `default` for 0.

    Raises:
        InvalidArgumentError: `text` is negative or not a number.
    """
    try:
        size = int(text or 0)
    except ValueError:
        raise InvalidArgumentError(f"invalid page size {text!r}", field="page_size") from None
    if size < 0:
        raise InvalidArgumentError(f"page size {size} is negative", field="page_size")
    return min(size or default, largest)


def seal(cursor: Cursor, *request: str) -> str:
    """A page token; `request` is what must stay the same from page to page."""
    content = json.dumps([cursor.skip, cursor.ceiling, _digest(request)], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode()


def unseal(token: str, *request: str) -> Cursor:
    """The cursor of a page token; "" stands for the first page.

    Raises:
        InvalidArgumentError: the token is malformed or belongs to another request.
    """
    if not token:
        return Cursor()
    try:
        skip, ceiling, digest = json.loads(base64.urlsafe_b64decode(token.encode()))
        cursor = Cursor(int(skip), None if ceiling is None else int(ceiling))
    except (ValueError, TypeError, binascii.Error):
        raise InvalidArgumentError("invalid page token", field="page_token") from None
    if digest != _digest(request) or cursor.skip < 0:
        message = "invalid page token: the request's other parameters differ from those of the first page"
        raise InvalidArgumentError(message, field="page_token")
    return cursor


def _digest(request: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(request).encode()).hexdigest()[:16]


def page(items: Sequence[_T], size: int, token: str, *request: str, jump: int = 0) -> tuple[Sequence[_T], str]:
    """The page that a token points to, `jump` items further on, and the next page's token, "" after the last page."""
    start = unseal(token, *request).skip + jump
    end = start + size
    return items[start:end], seal(Cursor(end), *request) if end < len(items) else ""


def requested_page(items: Sequence[_T], request: Message, parent: str) -> tuple[Sequence[_T], str]:
    """The page that a list request of a parent asks for, and the next page's token."""
    size = page_size(request.page_size, default=100, largest=1000)
    return page(items, size, request.page_token, parent)


def listing(name: str, items: Sequence[Any], token: str) -> Json:
    """The JSON of a list response."""
    return {name: list(items), **({"nextPageToken": token} if token else {})}


def parse_order(text: str, fields: Iterable[str]) -> list[tuple[str, bool]]:
    """`startTime desc, state` as `[(startTime, True), (state, False)]`, True being descending.

    Raises:
        InvalidArgumentError: a field or direction is unknown.
    """
    known, order = {folded(name): name for name in fields}, []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, *direction = part.split()
        if folded(name) not in known or direction not in ([], ["asc"], ["desc"]):
            raise InvalidArgumentError(f"invalid order {part!r}", field="order_by")
        order.append((known[folded(name)], direction == ["desc"]))
    return order


def selection(
    items: Iterable[_T], record: Callable[[_T], Mapping[str, Any]], keep: Predicate, order: Sequence[tuple[str, bool]]
) -> list[_T]:
    """The items whose records the filter keeps, in order."""
    kept = [(record(item), item) for item in items]
    kept = [pair for pair in kept if keep(pair[0])]
    for name, descending in reversed(order):
        kept.sort(key=lambda pair, name=name: _sortable(pair[0].get(name)), reverse=descending)  # type: ignore[misc]
    return [item for _, item in kept]


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)
