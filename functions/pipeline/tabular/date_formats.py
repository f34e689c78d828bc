"""The known date formats, each with its parser, on the standard library alone."""

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pipeline.errors import RejectedError
from pipeline.tabular.vocabulary.calendar_names import MONTHS, WEEKDAYS

Parser = Callable[[str], datetime | None]

FIRST_YEAR, LAST_YEAR = 1678, 2261  # within the range of 64-bit nanoseconds

ZONES = {  # hours east of Greenwich; abbreviations with several meanings, such as IST, are not read
    name: hours
    for hours, names in (
        (0, "z utc gmt wet"),
        (1, "cet mez west bst"),
        (2, "cest mesz eet sast"),
        (3, "eest msk"),
        (8, "awst hkt sgt"),
        (9, "jst kst"),
        (9.5, "acst"),
        (10, "aest"),
        (10.5, "acdt"),
        (11, "aedt"),
        (12, "nzst"),
        (13, "nzdt"),
        (-3, "brt"),
        (-4, "edt"),
        (-5, "est cdt"),
        (-6, "cst mdt"),
        (-7, "mst pdt"),
        (-8, "pst akdt"),
        (-9, "akst"),
        (-10, "hst"),
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


_CLOCK = (
    r"(?P<H>\d{1,2})(?:[:h](?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?h?"
    r"\s*(?P<p>[ap]\.?\s?m\.?)?(?:\s*Uhr)?"
)
_ZONE = r"(?P<z>(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?|[A-Z]{3,4}|Z)"
_TIME = (
    rf"(?:(?:[T ]|, ?|:(?=\d\d:))\s*(?:(?:at|um|à|às|alle|om|kl\.?)\s+)?{_CLOCK}\s*{_ZONE}?(?:\s*[(\[][^)\]]*[)\]])?)?"
)
_DECIMAL_YEAR = re.compile(r"(?:1[7-9]|2[0-2])\d\d(?:\.\d+)?", re.ASCII)
NEARLY = 0.05  # of a month
_COMPACT_TIME = r"(?:[T ]?(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})?(?P<z>Z)?)?"
_WEEKDAY = r"(?:(?P<w>[^\W\d_]{2,13})(?:-feira)?\.?,?\s+)?"
_SPACE = r"\s+(?:(?:de|del|of|den)\s+)?"
_PARTS = {
    "Q": "[QTK]",  # also of trimestre and kwartaal
    "W": "(?:W|KW ?)",
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{1,2})(?:st|nd|rd|th|er|º|°)?",
    "%b": r"(?P<b>[^\W\d_]{2,12})\.?",
    "%q": r"(?P<q>[1-4])",
    "%z": rf"{_CLOCK}(?:\s+{_ZONE})?",
    "%V": r"(?P<V>\d{1,2})(?:-?(?P<u>[1-7]))?",
}
_TIMED = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"),
    *(f"{a}{sep}{b}{sep}{y}" for y in ("%Y", "%y") for sep in "/-." for a, b in (("%d", "%m"), ("%m", "%d"))),
    *("%y-%m-%d", "%d %b %Y", "%d-%b-%Y", "%d. %b %Y", "%b %d %Y", "%b %d, %Y", "%d-%b-%y", "%d %b %y"),
    *("%d/%b/%Y", "%d %b, %Y", "%Y-%b-%d", "%Y %b %d", "%Y. %b %d."),
    *("%Y年%m月%d日", "%Y년 %m월 %d일", "%Y. %m. %d."),
)
_WHOLE = (
    *("%Y-%m", "%Y/%m", "%Y.%m", "%m/%Y", "%m-%Y", "%m.%Y", "%b %Y", "%b-%Y", "%Y %b", "%Y-%b", "%b-%y"),
    *("%b %y", "%b, %Y", "%Y, %b", "%b/%Y", "%b/%y", "%Y年%m月", "%Y년 %m월"),
    *("%Y-Q%q", "%YQ%q", "%Y Q%q", "%Y/Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%qQ%Y", "%qQ %Y", "Q%q %y", "%qQ%y"),
    *("%q. Quartal %Y", "%Y-W%V", "%YW%V", "%Y W%V", "W%V %Y", "W%V/%Y", "%YM%m", "%Y-M%m", "%Y"),
)
SPACED = re.compile(r"(?<=[Ymdby])(\\[.-]|/)(?=%)")  # a separator between two parts of a date
YEAR_MARK = r"(?:\s?г\.?|\.)?"  # "2024 г." in Cyrillic, and "2024." in Croatian dates


def _pattern(name: str, time: str) -> str:
    literal = SPACED.sub(r"\\s?\1\\s?", re.escape(name)).replace(r"\.\ ", r"\.\s*")
    literal = literal.replace(r"\ ", _SPACE if "%b" in name else r"\s+")
    if name.endswith("%Y") and ("%b" in name or "%d.%m" in name):
        literal += YEAR_MARK
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
    if (weekday := part.get("w")) and weekday.casefold() not in WEEKDAYS:
        return None
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
    if (hours := ZONES.get(text.casefold())) is not None:
        return timezone(timedelta(hours=hours))
    sign = max(text.find("+"), text.find("-"))
    if sign < 0:
        raise ValueError("an abbreviation that is unknown or has several meanings")
    digits = text[sign + 1 :].replace(":", "")
    hour, minute = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    offset = timedelta(hours=int(hour), minutes=int(minute))
    return timezone(offset if text[sign] == "+" else -offset)


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
        whole, _, fraction = cell.partition(".")
        if not cell.isascii() or not whole.isdecimal() or not low <= len(whole) <= high:
            return None
        if fraction and not fraction.isdecimal():
            return None
        return datetime(1970, 1, 1) + timedelta(seconds=float(cell) / scale)

    return parse


def _decimal_year(cell: str) -> datetime | None:
    """The month that begins at a fraction of a year, as R writes monthly and quarterly series: 1949.08333."""
    if not _DECIMAL_YEAR.fullmatch(cell):
        return None
    months = 12 * float(cell)
    nearest = round(months)
    return datetime(nearest // 12, nearest % 12 + 1, 1) if abs(months - nearest) < NEARLY else None


FORMATS = [
    *(_format(name, _TIME) for name in _TIMED),
    *(_format(name, "") for name in _WHOLE),
    Format(
        "%Y%m%d",
        _parser(r"(?P<Y>(?:1[6-9]|2[0-2])\d{2})(?P<m>\d{2})(?P<d>\d{2})" + _COMPACT_TIME, re.ASCII),
    ),
    Format("%Y%m", _parser(r"(?P<Y>(?:1[89]|20)\d{2})(?P<m>0[1-9]|1[0-2])", re.ASCII)),
    _format("%b %d %z %Y", ""),  # of Unix' date and of Twitter, the time in the middle
    Format("decimal years", _decimal_year),
    Format("unix seconds", _unix(1, 9, 10)),
    Format("unix milliseconds", _unix(1000, 12, 13)),
]
FORMATS[0] = Format("%Y-%m-%d", _iso(FORMATS[0].parse))
_BY_NAME = {form.name: form for form in FORMATS}

_WORDS = (
    *(("yyyy", "%Y"), ("yy", "%y"), ("mmmm", "%b"), ("mmm", "%b"), ("mm", "%m")),
    *(("dd", "%d"), ("hh", "%H"), ("ss", "%S")),
)


def requested(text: str) -> Format:
    """The format for a name in FORMATS, for words such as DD/MM/YYYY, or for any strptime pattern.

    Raises:
        RejectedError: `invalid_date_format`.
    """
    pattern = text.strip()
    if "%" not in pattern:
        if unix := _BY_NAME.get(pattern.casefold()):
            return unix
        for word, directive in _WORDS:
            pattern = re.sub(f"(?<!%){word}", directive, pattern, flags=re.IGNORECASE)
        pattern = pattern.replace("%H:%m", "%H:%M")
    day = re.sub(r"^%[aA][., ]*", "", re.split(r"[T ,]+%[HI]", pattern)[0]).replace("%B", "%b")
    if known := _BY_NAME.get(day):
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
