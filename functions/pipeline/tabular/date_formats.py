"""The known date formats, each with its parser, on the standard library alone."""

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from pipeline.errors import RejectedError

Parser = Callable[[str], datetime | None]

FIRST_YEAR, LAST_YEAR = 1678, 2261  # within the range of 64-bit nanoseconds

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


@dataclass(frozen=True, slots=True)
class Format:
    """A date format; `name` is the strptime pattern of its date part, if there is one."""

    name: str
    parse: Parser

    def read(self, cells: Iterable[str]) -> list[datetime | None]:
        return [self.parse(cell) for cell in cells]


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


def _pattern(name: str, time: str) -> str:
    literal = re.escape(name).replace(r"\ ", r"\s+")
    for part, expression in _PARTS.items():
        literal = literal.replace(part, expression)
    return _WEEKDAY + literal + time


def _parser(pattern: str, flags: re.RegexFlag) -> Parser:
    @functools.cache  # compiled on first use: compiling all takes longer than handling a small event
    def match() -> Callable[[str], re.Match[str] | None]:
        return re.compile(pattern, flags).fullmatch

    def parse(cell: str) -> datetime | None:
        parts = match()(cell)
        return _build(parts.groupdict()) if parts else None

    return parse


def _format(name: str, time: str) -> Format:
    flags = re.IGNORECASE if "%b" in name else re.IGNORECASE | re.ASCII
    return Format(name, _parser(_pattern(name, time), flags))


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
            raise ValueError("with am or pm, hours are 1 to 12")
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


FORMATS = [
    *(_format(name, _TIME) for name in _TIMED),
    *(_format(name, "") for name in _WHOLE),
    Format(
        "%Y%m%d",
        _parser(r"(?P<Y>(?:1[6-9]|2[0-2])\d{2})(?P<m>\d{2})(?P<d>\d{2})" + _COMPACT_TIME, re.ASCII),
    ),
    Format("unix seconds", _unix(1, 9, 10)),
    Format("unix milliseconds", _unix(1000, 12, 13)),
]
FORMATS[0] = Format("%Y-%m-%d", _iso(FORMATS[0].parse))
_BY_NAME = {form.name.casefold(): form for form in FORMATS}

_WORDS = (("yyyy", "%Y"), ("yy", "%y"), ("mmm", "%b"), ("mm", "%m"), ("dd", "%d"), ("hh", "%H"), ("ss", "%S"))


def requested(text: str) -> Format:
    """The format for a name in FORMATS, for words such as DD/MM/YYYY, or for any strptime pattern.

    Raises:
        RejectedError: `invalid_date_format`.
    """
    pattern = text.strip()
    if "%" not in pattern and pattern.casefold() not in _BY_NAME:
        for word, directive in _WORDS:
            pattern = re.sub(f"(?<!%){word}", directive, pattern, flags=re.IGNORECASE)
        pattern = pattern.replace("%H:%m", "%H:%M")
    day = re.split(r"[T ,]+%[HI]", pattern)[0]
    if known := next((form for form in FORMATS if form.name == day), _BY_NAME.get(day.casefold())):
        return known
    if not _is_pattern(pattern):
        raise RejectedError(
            "invalid_date_format",
            f"date_format {text!r} is not a valid date pattern. Use one such as %d/%m/%Y or DD/MM/YYYY.",
        )

    def parse(cell: str) -> datetime | None:
        try:
            stamp = datetime.strptime(cell, pattern)
        except ValueError:
            return None
        return stamp if FIRST_YEAR <= stamp.year <= LAST_YEAR else None

    return Format(pattern, parse)


def _is_pattern(pattern: str) -> bool:
    try:
        datetime.strptime(datetime(2001, 2, 3).strftime(pattern), pattern)
    except (ValueError, re.error):
        return False
    return "%" in pattern
