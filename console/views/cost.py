"""What inputs cost: all in and on the device, by model and by day; what-if with its arithmetic; recommendations."""

from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args, get_type_hints

from starlette.requests import Request
from starlette.responses import Response

from console.web import console as shared
from console.web.console import Console
from console.web.snippets import quoted
from event_inference import InputError
from event_inference.cost.amounts import monthly_bill
from event_inference.cost.bill import Bill, cents, dollars
from event_inference.cost.prices import PriceFileError, published
from event_inference.cost.recommendations import Measured, missing, recommend
from event_inference.cost.scenario import MONTH, Settings, Traffic
from event_inference.cost.usage import p95

_BY_MODEL = """
SELECT coalesce(model, '') AS model, coalesce(version, '') AS version, kind, count(*) AS n, sum(usd) AS usd,
       sum(device_usd) AS device_usd, sum(device_seconds) AS device_seconds, avg(usd) AS each
FROM inputs WHERE usd IS NOT NULL GROUP BY 1, 2, 3 ORDER BY usd DESC
"""
_BY_DAY = """
SELECT date(changed, 'unixepoch') AS day, count(*) AS n, sum(usd) AS usd, sum(device_usd) AS device_usd
FROM inputs WHERE folder != '' AND changed >= ? GROUP BY 1 ORDER BY 1
"""
_PERIOD = """
SELECT count(*) AS n, min(changed) AS first, max(changed) AS last,
       avg(CASE WHEN kind IN ('text', 'image') THEN device_seconds END) AS each,
       sum(kind IN ('table', 'records', 'manifest')) AS batches,
       avg(CASE WHEN kind IN ('table', 'records', 'manifest') THEN device_seconds END) AS batch_seconds
FROM inputs WHERE folder != '' AND changed >= ?
"""
_DAYS = 30
_SETTINGS = ("region", "gpu", "min_instances", "concurrency", "idle", "max_wait", "batch_by", "committed")
_WORDS = {
    "gpu": "GPU", "instance_cpu": "CPU of GPU instances", "instance_memory": "memory of GPU instances",
    "workflow_steps": "workflow steps", "requests": "requests to functions", "function_cpu": "CPU of functions",
    "function_memory": "memory of functions", "storage_class_a": "storage writes and listings",
    "storage_class_b": "storage reads", "pubsub": "messages", "logs": "logs", "storage": "stored data",
    "image": "container image", "scheduler": "schedules",
}  # fmt: skip


def page(request: Request) -> Response:
    console = shared.of(request)
    since = (datetime.now(UTC) - timedelta(days=_DAYS)).timestamp()
    period = console.index.row(_PERIOD, (since,)) or {}
    traffic = _traffic(request, period)
    now, other = _settings(request, "now."), _settings(request, "then.")
    bills = _bills(traffic, now, other)
    known = traffic.inputs if _requested_inputs(request) is not None else 0
    measured = Measured(traffic, now, max(period.get("n") or 0, known))
    return shared.page(
        request,
        "partials/what_if.html" if request.headers.get("hx-request") else "cost.html",
        by_model=console.index.rows(_BY_MODEL),
        by_day=console.index.rows(_BY_DAY, (since,)),
        total=_total(console),
        traffic=traffic,
        lines=_lines(*bills),
        now=now,
        then=other,
        totals=[dollars(bill.band) for bill in bills],
        answered=(p95(traffic, now), p95(traffic, other)),
        uncertain=sorted({*bills[0].band.reasons, *bills[1].band.reasons}),
        choices=_choices(),
        recommendations=recommend(measured, published()),
        lacking=missing(measured),
        words=_words,
        cents=cents,
        dollars=dollars,
        command=_command(traffic, now, other),
    )


def _requested_inputs(request: Request) -> float | None:
    text = request.query_params.get("inputs", "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise InputError("Inputs a month must be a number.") from None
    if not 0 <= number <= 1e10:
        raise InputError("Inputs a month must be a number from 0 to 10,000,000,000.")
    return number


def _traffic(request: Request, period: dict[str, Any]) -> Traffic:
    """The inputs of the form, or those of the index, extrapolated to a month from the days that it covers."""
    requested = _requested_inputs(request)
    count = period.get("n") or 0
    seconds = max(86_400.0, (period.get("last") or 0) - (period.get("first") or 0))
    batches = (period.get("batches") or 0) * MONTH / seconds if requested is None else 0.0
    traffic = Traffic(inputs=count * MONTH / seconds - batches if requested is None else requested, batches=batches)
    if period.get("batch_seconds"):
        traffic = replace(traffic, batch_seconds=period["batch_seconds"])
    if period.get("each"):
        traffic = replace(traffic, gpu_base=0.0, gpu_each=period["each"])
    return traffic


def _settings(request: Request, prefix: str) -> Settings:
    hints = get_type_hints(Settings)
    changes = {
        name: _value(name, request.query_params[prefix + name].strip(), hints[name])
        for name in _SETTINGS
        if request.query_params.get(prefix + name, "").strip()
    }
    if prefix == "then." and not any(key.startswith("then.") for key in request.query_params):
        changes = {"min_instances": 1}
    return replace(Settings(), **changes)


def _value(name: str, text: str, kind: Any) -> Any:
    if allowed := get_args(kind):
        if text not in allowed:
            raise InputError(f"{name} must be one of {', '.join(allowed)}.")
        return text
    if kind is bool:
        return text in ("true", "on", "yes")
    if kind is str:
        return text
    try:
        number = kind(text)
    except ValueError:
        raise InputError(f"{name} must be a number.") from None
    if not 0 <= number <= 1e6:
        raise InputError(f"{name} must be a number from 0 to 1,000,000.")
    return number


def _choices() -> dict[str, list[str]]:
    hints = get_type_hints(Settings)
    return {name: list(get_args(hints[name])) for name in _SETTINGS if get_args(hints[name])}


def _bills(traffic: Traffic, now: Settings, other: Settings) -> tuple[Bill, Bill]:
    try:
        return monthly_bill(traffic, now, published()), monthly_bill(traffic, other, published())
    except PriceFileError as error:
        raise InputError(str(error)) from error


def _lines(before: Bill, after: Bill) -> list[dict[str, Any]]:
    """Both bills line by line, with the multiplication that gives each."""
    found = {line.resource: line for line in after.lines}
    names = [line.resource for line in before.lines]
    names += [name for name in found if name not in names]
    first = {line.resource: line for line in before.lines}
    return [
        {"resource": name, "now": first.get(name), "then": found.get(name), "why": _arithmetic(found.get(name))}
        for name in names
    ]


def _arithmetic(line: Any) -> str:
    if line is None:
        return ""
    if line.amount <= line.price.free:
        return f"{_plain(line.amount)}, all of it free" if line.amount else ""
    free = f" − {_plain(line.price.free)} free" if line.price.free else ""
    amount = f"({_plain(line.amount)}{free})" if free else _plain(line.amount)
    price = f"${_plain(line.price.usd)}"
    if line.price.uncertainty:
        price += f" to ${_plain(line.price.usd_at_most)}"
    return f"{amount} × {price} per {line.price.unit}"


def _plain(number: Decimal) -> str:
    if abs(number) >= 1:
        return f"{number:,.0f}" if number == number.to_integral() or abs(number) >= 1000 else f"{number:,.2f}"
    return f"{number.normalize():f}"[:14]


def _words(resource: str) -> str:
    """A resource for people; the price file adds a variant to some, such as the type of GPU."""
    name, _, variant = resource.partition(" ")
    words = _WORDS.get(name, name)
    return f"{words}, {variant}" if variant else words


def _total(console: Console) -> dict[str, Any]:
    found = console.index.row(
        "SELECT count(*) AS n, sum(usd) AS usd, sum(device_usd) AS device_usd, avg(usd) AS each"
        " FROM inputs WHERE folder != ''"
    )
    return found or {}


def _command(traffic: Traffic, now: Settings, other: Settings) -> str:
    base = Settings()
    sets = [f"--set {quoted(f'{field.name}={getattr(now, field.name)}')}" for field in fields(now)
            if getattr(now, field.name) != getattr(base, field.name)]  # fmt: skip
    changes = [
        f"--what-if {quoted(f'{name}={value}')}" for name, value in asdict(other).items() if value != getattr(now, name)
    ]
    return " ".join(["einf cost", f"--inputs {traffic.inputs:.0f}", *sets, *changes]).lower()
