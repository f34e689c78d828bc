"""The filters of the list, as they stand in a URL, and the queries that they become."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from console.index.store import PENDING, STATES, Index, Row

PAGE = 50
SORTS = {
    "newest": "changed DESC, document DESC",
    "oldest": "received, document",
    "name": "name, changed",
    "unsure": "confidence IS NULL, confidence, changed DESC",
    "slowest": "latency IS NULL, latency DESC, changed DESC",
    "dearest": "usd IS NULL, usd DESC, changed DESC",
}
GROUPS = {
    "open": PENDING,
    "done": ("succeeded", "partial", "unsuccessful"),
    "problem": ("rejected", "failed", "partial", "unsuccessful"),
}


LATEST = """NOT EXISTS (
    SELECT 1 FROM inputs newer WHERE newer.name = inputs.name AND newer.generation > inputs.generation
)"""


class FilterError(ValueError):
    """A filter in the URL has no possible value."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which inputs are listed; each field is a parameter of the URL, and empty ones are left out of it.

    `prefix` is a folder, or any beginning of a name; `state` is one of the states or a group of them; `below` a
    confidence; `since` and `until` are dates or times; `latest` leaves out what a newer upload of the name replaced.
    """

    q: str = ""
    prefix: str = ""
    state: str = ""
    kind: str = ""
    label: str = ""
    model: str = ""
    code: str = ""
    below: str = ""
    since: str = ""
    until: str = ""
    latest: str = ""
    sort: str = "newest"
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "Filters":
        """The filters of a URL.

        Raises:
            FilterError: a value is not possible.
        """
        known = {field.name for field in fields(cls)}
        chosen: dict[str, Any] = {name: value.strip() for name, value in parameters.items() if name in known}
        page = chosen.pop("page", "1")
        if not page.isdecimal() or not 0 < int(page) < 10**9:
            raise FilterError("The page must be a whole number from 1.")
        filters = cls(**chosen, page=int(page))
        if filters.sort not in SORTS:
            raise FilterError(f"The inputs can be sorted by {', '.join(SORTS)}.")
        if filters.state and filters.state not in (*STATES, *GROUPS):
            raise FilterError(f"The state must be one of {', '.join((*STATES, *GROUPS))}.")
        filters.where()
        return filters

    def url(self, path: str = "/", **changes: Any) -> str:
        """The address of the list with other filters; a changed filter begins at page 1."""
        changed = replace(self, **({"page": 1} | changes))
        query = {
            field.name: getattr(changed, field.name)
            for field in fields(changed)
            if getattr(changed, field.name) != field.default
        }
        return f"{path}?{urlencode(query)}" if query else path

    @property
    def states(self) -> tuple[str, ...]:
        """The states that are listed; empty for all."""
        return GROUPS.get(self.state, (self.state,)) if self.state else ()

    @property
    def is_any(self) -> bool:
        """Whether anything is filtered at all."""
        return bool(self.where()[0])

    def where(self) -> tuple[str, dict[str, Any]]:
        """The condition of a query, and its values; empty without filters."""
        parts: list[str] = []
        values: dict[str, Any] = {}
        if self.q:
            parts.append("(name LIKE :q ESCAPE '!' OR answer LIKE :q ESCAPE '!' OR job = :job)")
            values |= {"q": f"%{_escaped(self.q)}%", "job": self.q}
        if self.prefix:
            parts.append("name >= :prefix AND name < :after")
            values |= {"prefix": self.prefix, "after": f"{self.prefix}\U0010ffff"}
        if self.states:
            parts.append(f"state IN ({', '.join(f':state{number}' for number in range(len(self.states)))})")
            values |= {f"state{number}": state for number, state in enumerate(self.states)}
        for name in ("kind", "label", "model", "code"):
            if value := getattr(self, name):
                parts.append(f"{name} = :{name}")
                values[name] = value
        if self.below:
            parts.append("confidence < :below")
            values["below"] = _number(self.below)
        if self.since:
            parts.append("changed >= :since")
            values["since"] = moment(self.since).timestamp()
        if self.until:
            parts.append("changed < :until")
            values["until"] = moment(self.until).timestamp()
        if self.latest:
            parts.append(LATEST)
        return " AND ".join(parts), values


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list.

    `first` counts from 1; `counts` are by state, whatever state the filters ask for. Rows also tell whether they are
    `replaced` by a newer upload of the name.
    """

    rows: list[Row]
    total: int
    first: int
    pages: int
    counts: Mapping[str, int]


def page(index: Index, filters: Filters) -> Page:
    (condition, values), (any_state, others) = filters.where(), replace(filters, state="").where()
    where, whatever = (f"WHERE {text}" if text else "" for text in (condition, any_state))
    with index.read() as connection:
        counted = f"SELECT state, count(*) FROM inputs {whatever} GROUP BY state"  # noqa: S608
        counts = dict(tuple(row) for row in connection.execute(counted, others))
        total = sum(counts.get(state, 0) for state in filters.states or counts)
        pages = max(1, -(-total // PAGE))
        number = min(filters.page, pages)
        query = (
            f"SELECT *, NOT {LATEST} AS replaced FROM inputs {where}"  # noqa: S608
            f" ORDER BY {SORTS[filters.sort]} LIMIT {PAGE} OFFSET {(number - 1) * PAGE}"
        )
        rows = [dict(row) for row in connection.execute(query, values)]
    return Page(rows, total, (number - 1) * PAGE + 1, pages, counts)


def choices(index: Index, column: str) -> list[str]:
    """The values that a column has, for a list to choose from."""
    if column not in ("kind", "model", "code", "label"):
        raise FilterError(f"{column} has no list of values.")
    query = f"SELECT DISTINCT {column} AS value FROM inputs WHERE {column} IS NOT NULL ORDER BY 1 LIMIT 100"  # noqa: S608
    return [row["value"] for row in index.rows(query)]


def moment(text: str) -> datetime:
    """A date or a time; UTC where it names no time zone.

    Raises:
        FilterError: it is neither.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise FilterError(f"{text!r:.40} is not a date such as 2026-01-31.") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise FilterError("The confidence must be a number from 0 to 1.") from None
    if not 0 <= number <= 1:
        raise FilterError("The confidence must be a number from 0 to 1.")
    return number


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
