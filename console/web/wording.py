"""Words and numbers for people: no page shows a code without a sentence."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

STATES = {
    "waiting": "waiting for the pipeline",
    "running": "being processed",
    "succeeded": "done",
    "partial": "done, some records failed",
    "unsuccessful": "done, no record succeeded",
    "rejected": "cannot be processed",
    "failed": "failed, can be run again",
}
KINDS = {
    "text": "text",
    "image": "image",
    "timeseries": "time series",
    "table": "table",
    "records": "records",
    "manifest": "manifest",
    "workbook": "workbook",
    "microbatch": "micro-batch",
}
_FAILURES = {
    "predict": "The model's service did not answer this input.",
    "preprocess": "The input could not be prepared.",
    "forecast": "The forecast could not be computed.",
    "postprocess": "The result could not be written.",
}
# Characters that change the direction or the look of text around them.
_INVISIBLE = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_KIB = 1024


def shown(text: object) -> Markup:
    """A name as it is, in its own direction, with invisible characters made visible."""
    parts, position, whole = [], 0, str(text)
    for match in _INVISIBLE.finditer(whole):
        parts.append(escape(whole[position : match.start()]))
        parts.append(Markup('<span class="invisible">U+{}</span>').format(f"{ord(match[0]):04X}"))
        position = match.end()
    parts.append(escape(whole[position:]))
    return Markup("<bdi>{}</bdi>").format(Markup("").join(parts))


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    if math.isinf(value):
        return "unlimited time"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def usd(value: Any) -> str:
    """An amount that may be tiny: at least three digits that say something."""
    if value is None:
        return ""
    number = float(value)
    if number == 0:
        return "$0"
    if abs(number) >= 1:
        return f"${number:,.2f}"
    digits = 2
    while digits < 10 and abs(number) < 10 ** (2 - digits):
        digits += 1
    return f"${number:.{min(digits, 10)}f}"


def size(value: int | None) -> str:
    if value is None:
        return ""
    if value < _KIB:
        return f"{value} bytes"
    return f"{value / _KIB:.1f} KiB" if value < _KIB**2 else f"{value / _KIB**2:.1f} MiB"


def moment(value: Any) -> Markup:
    """A time that the browser shows in its own time zone; a text that is none stays as it is."""
    if value is None:
        return Markup("")
    if isinstance(value, int | float):
        value = datetime.fromtimestamp(value, UTC)
    elif isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return shown(value)
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), f"{value:%Y-%m-%d %H:%M:%S}")


def evidence(value: float) -> str:
    """An e-value, of which only the size matters."""
    if value >= 1e6:
        return "more than a million"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def percent(value: float | None) -> str:
    return "" if value is None else f"{value * 100:.0f} %"


def state_words(state: str) -> str:
    return STATES.get(state, state)


def reason(row: dict[str, Any]) -> str:
    """Why an input ended as it did, as one sentence."""
    message = (row.get("message") or "").strip()
    if row["state"] == "failed":
        begin = _FAILURES.get(row.get("step") or "", "The pipeline could not finish this input.")
        return f"{begin} {message}".strip()
    if row["state"] in ("partial", "unsuccessful") and not row.get("records"):
        return "Some of it could not be used."
    if row["state"] in ("partial", "unsuccessful"):
        return f"{row.get('failed_records') or 0:,} of {row.get('records') or 0:,} records failed."
    return message


def address(path: str, **query: Any) -> str:
    """A URL with a query, of which empty values are left out."""
    kept = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


FILTERS: dict[str, Callable[..., Any]] = {
    "shown": shown,
    "seconds": seconds,
    "usd": usd,
    "size": size,
    "moment": moment,
    "percent": percent,
    "evidence": evidence,
    "state_words": state_words,
    "reason": reason,
    "thousands": lambda value: f"{value:,}",
    "kind_words": lambda kind: KINDS.get(kind, kind or ""),
    "address": address,
    "quoted": lambda text: quote(text, safe=""),
}
