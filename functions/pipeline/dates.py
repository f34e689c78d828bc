"""Recognises how a column of text writes its dates, and reads it, on the standard library alone."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from pipeline.errors import RejectedError

Parser = Callable[[str], datetime | None]

FIRST_YEAR, LAST_YEAR = 1678, 2261  # what 64-bit nanoseconds can hold
SHARE = 0.9  # of a column's cells that a format must read; the rest are strays ("Total", "n/a")

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar",
            "feb february februar",
            "mar march märz mrz mär maerz",
            "apr april",
            "may mai",
            "jun june juni",
            "jul july juli",
            "aug august",
            "sep sept september",
            "oct october okt oktober",
            "nov november",
            "dec december dez dezember",
        ),
        start=1,
    )
    for name in names.split()
}

DATE_WORDS = frozenset(
    "date dates datum datetime day days ds dt tag fecha data month months monat mes mois week weeks woche semana "
    "quarter quartal year years jahr jahre année annee año anno fy period periode time timestamp zeit".split()
)
UNIX_WORDS = frozenset("unix epoch timestamp timestamps ts time datetime seconds millis".split())
NUMERIC = frozenset(("%Y", "%Y%m%d", "%m.%Y", "%Y.%m"))  # formats that a column of numbers may match too


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write dates: `name` is a strptime pattern of the date part where one exists."""

    name: str
    parse: Parser

    def read(self, cells: Iterable[str]) -> list[datetime | None]:
        return [self.parse(cell) for cell in cells]


@dataclass(frozen=True, slots=True)
class DateColumn:
    """A column read whole: a naive stamp per cell, None where the cell is no date."""

    format: str
    stamps: list[datetime | None]
    zone: str | None  # what became of UTC offsets: "UTC" (converted), "local" (offsets dropped)


def formats(cells: Sequence[str], header: str = "") -> list[Format]:
    """The formats that read nearly every cell, best first; empty when the column holds no dates."""
    cells = [cell for cell in cells if cell]
    probe = cells[:8]
    if not any(_plausible(cell) for cell in probe):
        return []
    scored: list[tuple[int, Format]] = []
    for form in _FORMATS:
        if any(form.parse(cell) for cell in probe) and _allowed(form, cells, header):
            count = sum(form.parse(cell) is not None for cell in cells)
            if count >= SHARE * len(cells):
                scored.append((count, form))
    if not scored:
        return []
    most = max(count for count, _ in scored)
    # A reading that fails on cells which another one reads is refuted: a day above 12, for one.
    best = [form for count, form in scored if count == most]
    return _drop_unusual(best)


def read(cells: Sequence[str], header: str = "", date_format: str | None = None) -> DateColumn:
    """Reads a whole column.

    Args:
        cells: the stripped cells, "" for a missing one.
        header: the column's name, which settles bare years and Unix seconds.
        date_format: a strptime pattern, or the like of "DD/MM/YYYY"; settles day against month.

    Raises:
        RejectedError: `ambiguous_dates`, `unreadable_dates` or `invalid_date_format`.
    """
    if date_format:
        form = _requested(date_format)
        stamps = form.read(cells)
        present = sum(bool(cell) for cell in cells)
        parsed = sum(stamp is not None for stamp in stamps)
        if not parsed or parsed < SHARE * present:
            raise RejectedError(
                "unreadable_dates",
                f"date_format {date_format!r} reads {parsed} of the {present} dates in column {header!r}.",
            )
        return _column(form, stamps)
    candidates = formats(cells, header)
    if not candidates:
        raise RejectedError(
            "unreadable_dates",
            f"The dates in column {header!r} follow no single known format; "
            "the parameter date_format can name it (for example %d/%m/%Y).",
        )
    readings = [(form, form.read(cells)) for form in candidates]
    distinct = _distinct(readings)
    if len(distinct) > 1:
        distinct = _settle(distinct, header, cells)
    form, stamps = distinct[0]
    return _column(form, stamps)


def is_regular(stamps: Sequence[datetime]) -> bool:
    """Whether distinct, sorted stamps are evenly spaced: by time, by business day or by calendar month."""
    if len(stamps) < 3:
        return False
    steps = {after - before for before, after in zip(stamps, stamps[1:], strict=False)}
    if len(steps) == 1:
        return True
    if len({stamp.day for stamp in stamps}) == 1:
        months = [stamp.year * 12 + stamp.month for stamp in stamps]
        return len({after - before for before, after in zip(months, months[1:], strict=False)}) == 1
    return all(stamp.weekday() < 5 for stamp in stamps) and all(
        after - before == timedelta(days=3 if before.weekday() == 4 else 1)
        for before, after in zip(stamps, stamps[1:], strict=False)
    )


# --- choosing between readings ---------------------------------------------------------------------


def _plausible(cell: str) -> bool:
    return 4 <= len(cell) <= 48 and any(char.isdigit() for char in cell)


def _allowed(form: Format, cells: Sequence[str], header: str) -> bool:
    """What could be a plain number is a date only when the header or the run of values says so."""
    words = set(re.split(r"[\W\d_]+", header.casefold()))
    if form.name.startswith("unix"):
        return bool(words & UNIX_WORDS)
    if form.name not in NUMERIC or words & DATE_WORDS:
        return True
    stamps = [stamp for stamp in form.read(cells) if stamp is not None]
    if form.name == "%Y%m%d":
        return _monotone(stamps)
    return is_regular(stamps) or is_regular(stamps[::-1])


def _drop_unusual(forms: list[Format]) -> list[Format]:
    """With dots the day comes first; a two-digit year comes first only when nothing else reads the column."""
    names = {form.name for form in forms}
    unusual = set()
    if "%d.%m.%Y" in names:
        unusual.add("%m.%d.%Y")
    if "%d.%m.%y" in names:
        unusual.add("%m.%d.%y")
    if names & {"%Y-%m-%d", "%Y%m%d"}:
        unusual |= {"%y-%m-%d", "%d-%m-%y", "%m-%d-%y"}
    return [form for form in forms if form.name not in unusual]


Reading = tuple[Format, list[datetime | None]]


def _distinct(readings: list[Reading]) -> list[Reading]:
    kept: list[Reading] = []
    for reading in readings:
        if all(reading[1] != other[1] for other in kept):
            kept.append(reading)
    return kept


def _settle(readings: list[Reading], header: str, cells: Sequence[str]) -> list[Reading]:
    """One reading when order or spacing speaks for exactly one; anything else is ambiguous."""
    present = [[stamp for stamp in stamps if stamp is not None] for _, stamps in readings]
    ordered = [index for index, stamps in enumerate(present) if _monotone(stamps)]
    regular = [index for index, stamps in enumerate(present) if is_regular(sorted(set(stamps)))]
    votes = {found[0] for found in (ordered, regular) if len(found) == 1}
    if len(votes) == 1:
        return [readings[votes.pop()]]
    example = next(index for index in range(len(cells)) if len({stamps[index] for _, stamps in readings}) > 1)
    told = " or ".join(
        f"{form.name} ({stamp.day} {stamp:%B %Y})"
        for form, stamps in readings
        if (stamp := stamps[example]) is not None
    )
    raise RejectedError(
        "ambiguous_dates",
        f"The dates in column {header!r} can be read in more than one way: {cells[example]!r} is {told}. "
        "Set the parameter date_format to the right one.",
    )


def _monotone(stamps: Sequence[datetime]) -> bool:
    steps = [after > before for before, after in zip(stamps, stamps[1:], strict=False) if after != before]
    return len(steps) > 1 and (all(steps) or not any(steps))


# --- time zones ------------------------------------------------------------------------------------


def _column(form: Format, stamps: list[datetime | None]) -> DateColumn:
    aware = [stamp for stamp in stamps if stamp is not None and stamp.tzinfo is not None]
    if not aware:
        return DateColumn(form.name, stamps, None)
    if all((stamp.hour, stamp.minute, stamp.second) == (0, 0, 0) for stamp in aware):
        # Local midnights are days: in UTC they would fall on the day before, and jump with daylight saving.
        local = any(stamp.utcoffset() for stamp in aware)
        naive = [stamp and stamp.replace(tzinfo=None) for stamp in stamps]
        return DateColumn(form.name, naive, "local" if local else "UTC")
    utc = [_to_utc(stamp) if stamp is not None else None for stamp in stamps]
    return DateColumn(form.name, utc, "UTC")


def _to_utc(stamp: datetime) -> datetime:
    return stamp if stamp.tzinfo is None else stamp.astimezone(UTC).replace(tzinfo=None)


# --- the formats -----------------------------------------------------------------------------------

_TIME = (
    r"(?:(?:[T ]|, ?)\s*(?P<H>\d{1,2})(?::(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?"
    r"\s*(?P<p>[ap]\.?m\.?)?\s*(?P<z>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
)
_COMPACT_TIME = r"(?:[T ]?(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})?(?P<z>Z)?)?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_PARTS = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{1,2})(?:st|nd|rd|th)?",
    "%b": r"(?P<b>[^\W\d_]{3,9})\.?",
    "%q": r"(?P<q>[1-4])",
    "%V": r"(?P<V>\d{1,2})(?:-?(?P<u>[1-7]))?",
}
_TIMED = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"),
    *(f"{a}{sep}{b}{sep}{y}" for y in ("%Y", "%y") for sep in "/-." for a, b in (("%d", "%m"), ("%m", "%d"))),
    *("%y-%m-%d", "%d %b %Y", "%d-%b-%Y", "%d. %b %Y", "%b %d %Y", "%b %d, %Y", "%d-%b-%y", "%d %b %y"),
)
_WHOLE = (
    *("%Y-%m", "%Y/%m", "%Y.%m", "%m/%Y", "%m-%Y", "%m.%Y", "%b %Y", "%b-%Y", "%Y %b", "%Y-%b", "%b-%y"),
    *("%b %y", "%Y-Q%q", "%YQ%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%Y-W%V", "%YW%V", "%Y W%V", "%Y"),
)


def _pattern(name: str, time: str) -> re.Pattern[str]:
    literal = re.escape(name).replace(r"\ ", r"\s+")
    for part, expression in _PARTS.items():
        literal = literal.replace(part, expression)
    return re.compile(_WEEKDAY + literal + time, re.IGNORECASE | re.ASCII if "%b" not in name else re.IGNORECASE)


def _parser(pattern: re.Pattern[str]) -> Parser:
    match = pattern.fullmatch

    def parse(cell: str) -> datetime | None:
        found = match(cell)
        return _build(found.groupdict()) if found else None

    return parse


def _build(part: dict[str, str | None]) -> datetime | None:
    try:
        stamp = _day(part)
        if stamp is None or not FIRST_YEAR <= stamp.year <= LAST_YEAR:
            return None
        return _at(stamp, part) if part.get("H") else stamp
    except (ValueError, OverflowError):
        return None


def _day(part: dict[str, str | None]) -> datetime | None:
    year = _year(part)
    if week := part.get("V"):
        return datetime.fromisocalendar(year, int(week), int(part.get("u") or 1))
    if quarter := part.get("q"):
        return datetime(year, 3 * int(quarter) - 2, 1)
    if name := part.get("b"):
        month = MONTHS.get(name.casefold())
        return datetime(year, month, int(part.get("d") or 1)) if month else None
    return datetime(year, int(part.get("m") or 1), int(part.get("d") or 1))


def _year(part: dict[str, str | None]) -> int:
    if full := part.get("Y"):
        return int(full)
    short = int(part.get("y") or 0)
    return short + (2000 if short < 69 else 1900)  # POSIX's pivot


def _at(day: datetime, part: dict[str, str | None]) -> datetime:
    hour, minute, second = (int(part.get(key) or 0) for key in "HMS")
    if half := part.get("p"):
        if not 1 <= hour <= 12:
            raise ValueError("an hour of the half-day is 1 to 12")
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    if (hour, minute, second) == (24, 0, 0):
        day, hour = day + timedelta(days=1), 0
    fraction = int((part.get("f") or "0").ljust(6, "0")[:6])
    stamp = day.replace(hour=hour, minute=minute, second=second, microsecond=fraction)
    return stamp.replace(tzinfo=_zone(zone)) if (zone := part.get("z")) else stamp


def _zone(text: str) -> timezone:
    if text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(offset if text[0] == "+" else -offset)


def _iso(parse: Parser) -> Parser:
    def fast(cell: str) -> datetime | None:
        if len(cell) in (10, 19) and cell[4:5] == "-" == cell[7:8]:
            try:
                stamp = datetime.fromisoformat(cell)
            except ValueError:
                return parse(cell)
            return stamp if FIRST_YEAR <= stamp.year <= LAST_YEAR else None
        return parse(cell)

    return fast


def _unix(scale: int, low: int, high: int) -> Parser:
    def parse(cell: str) -> datetime | None:
        if not cell.isascii() or not cell.isdecimal() or not low <= len(cell) <= high:
            return None
        return datetime(1970, 1, 1) + timedelta(seconds=int(cell) / scale)

    return parse


_FORMATS = [
    *(Format(name, _parser(_pattern(name, _TIME))) for name in _TIMED),
    *(Format(name, _parser(_pattern(name, ""))) for name in _WHOLE),
    Format(
        "%Y%m%d",
        _parser(re.compile(r"(?P<Y>(?:1[6-9]|2[0-2])\d{2})(?P<m>\d{2})(?P<d>\d{2})" + _COMPACT_TIME, re.ASCII)),
    ),
    Format("unix seconds", _unix(1, 9, 10)),
    Format("unix milliseconds", _unix(1000, 12, 13)),
]
_FORMATS[0] = Format("%Y-%m-%d", _iso(_FORMATS[0].parse))
_BY_NAME = {form.name.casefold(): form for form in _FORMATS}

_WORDS = (("yyyy", "%Y"), ("yy", "%y"), ("mmm", "%b"), ("mm", "%m"), ("dd", "%d"), ("hh", "%H"), ("ss", "%S"))


def _requested(text: str) -> Format:
    """The Format that a caller names: one of ours, the like of DD/MM/YYYY, or any strptime pattern."""
    pattern = text.strip()
    if "%" not in pattern and pattern.casefold() not in _BY_NAME:
        for word, directive in _WORDS:
            pattern = re.sub(f"(?<!%){word}", directive, pattern, flags=re.IGNORECASE)
        pattern = pattern.replace("%H:%m", "%H:%M")
    day = re.split(r"[T ,]+%[HI]", pattern)[0]
    if known := next((form for form in _FORMATS if form.name == day), _BY_NAME.get(day.casefold())):
        return known
    try:
        datetime.strptime(datetime(2001, 2, 3).strftime(pattern), pattern)
        if "%" not in pattern:
            raise ValueError("no directive")
    except (ValueError, re.error) as error:
        raise RejectedError(
            "invalid_date_format",
            f"date_format {text!r} is no date pattern; write it like %d/%m/%Y or DD/MM/YYYY.",
        ) from error

    def parse(cell: str) -> datetime | None:
        try:
            stamp = datetime.strptime(cell, pattern)
        except ValueError:
            return None
        return stamp if FIRST_YEAR <= stamp.year <= LAST_YEAR else None

    return Format(pattern, parse)
