"""Pages of a list: tokens, order, and the cut."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.filters import Predicate, folded


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: ``skip`` items of those that existed at the first page (``ceiling``)."""

    skip: int = 0
    ceiling: int | None = None


def seal(cursor: Cursor, *request: str) -> str:
    """A page token; ``request`` is what must not change between the pages."""
    content = json.dumps([cursor.skip, cursor.ceiling, _digest(request)], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode()


def unseal(token: str, *request: str) -> Cursor:
    """The cursor of a page token; no token is the first page.

    Raises:
        InvalidArgumentError: the token is none of ours, or belongs to another request.
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


def parse_order(text: str, fields: Iterable[str]) -> list[tuple[str, bool]]:
    """``startTime desc, state`` as ``[(startTime, True), (state, False)]``, ``True`` being descending.

    Raises:
        InvalidArgumentError: an unknown field or direction.
    """
    known, order = {folded(name): name for name in fields}, []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, *direction = part.split()
        if folded(name) not in known or direction not in ([], ["asc"], ["desc"]):
            raise InvalidArgumentError(f"invalid order {part!r}", field="order_by")
        order.append((known[folded(name)], direction == ["desc"]))
    return order


def cut(
    items: Sequence[Any],
    *,
    record: Callable[[Any], Mapping[str, Any]],
    keep: Predicate,
    order: Sequence[tuple[str, bool]],
    skip: int,
    size: int,
) -> tuple[list[Any], int, int | None]:
    """One page of a list that fits in memory: the items, how many match in all, and the next ``skip``."""
    kept = [item for item in items if keep(record(item))]
    for name, descending in reversed(order):
        kept.sort(key=lambda item, name=name: _sortable(record(item).get(name)), reverse=descending)  # type: ignore[misc]
    after = skip + size
    return kept[skip:after], len(kept), after if after < len(kept) else None


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)
