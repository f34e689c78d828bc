"""`einf cost` and `einf recommend`: a month's bill, what-if, and changes that would be worth it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.cli.values import DURATION, PARAMETER
from event_inference.cost.amounts import monthly_bill
from event_inference.cost.bill import Bill, cents, dollars
from event_inference.cost.daily import described, in_cents
from event_inference.cost.figures import band, by_model, figures
from event_inference.cost.measured import Measurement, measure
from event_inference.cost.prices import PriceFileError, published
from event_inference.cost.recommendations import Measured, missing, unmeasured
from event_inference.cost.recommendations import recommend as recommended
from event_inference.cost.scenario import Settings, Traffic
from event_inference.cost.usage import p95
from event_inference.errors import InputError

_COST = """
$ einf cost --inputs 10000 --what-if min_instances=1
resource          now      min_instances=1
gpu nvidia-l4     $441.00  $490.65
instance_cpu      $165.75  $184.90
instance_memory   $74.69   $83.20
workflow_steps    $0.65    $0.65
requests          $0.00    $0.00
function_cpu      $0.00    $0.00
function_memory   $0.00    $0.00
storage_class_a   $0.44    $0.44
storage_class_b   $0.00    $0.00
pubsub            $0.00    $0.00
logs              $0.00    $0.00
storage           $0.00    $0.00
image             $0.45    $0.45
scheduler         $0.00    $0.00
a month           $682.98  $760.28
95 % answered in  20.05 s  0.05 s
"""
_RECOMMEND = """
$ einf recommend --inputs 10000
collected-inputs: saves $673.50 a month, 95 % answered in 3,630.05 s instead of 20.05 s
  Inputs that wait for up to an hour are predicted together, and no instance stays awake for the next.
  MAX_WAIT=1h MIN_INSTANCES=0 deploy/gcloud/deploy.sh
warm-instance: costs $77.30 a month, 95 % answered in 0.05 s instead of 20.05 s
  Many inputs wait for an instance to start.
  MIN_INSTANCES=1 deploy/gcloud/deploy.sh
"""


def _scenario(function: Any) -> Any:
    """Add the options that describe traffic and settings."""
    options = (
        click.option("--inputs", type=click.FloatRange(min=0), help="A month; measured on the documents without it."),
        click.option("--since", type=DURATION, default="7d", metavar="TIME", help="To measure on.  [default: 7d]"),
        click.option("--set", "settings", type=PARAMETER, multiple=True,
                     help="A setting of the deployment; see below.  [default: those of a new deployment]"),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@command(examples=_COST)
@_scenario
@click.option("--what-if", "changes", type=PARAMETER, multiple=True, help="A setting to compare with.")
@click.option("--measured", is_flag=True, help="What the inputs of that time cost, in all and by model, instead.")
def cost(
    session: Session,
    inputs: float | None,
    since: float,
    settings: Sequence[Any],
    changes: Sequence[Any],
    measured: bool,
    as_json: bool,
) -> None:
    """Estimate a month's bill at list prices, free amounts deducted.

    Settings are region, gpu (nvidia-l4, nvidia-rtx-pro-6000, none), zonal_redundancy, committed, cpu, memory_gib,
    min_instances, max_instances, concurrency, idle, start, max_wait, collect_by, batch_by, job_tasks and job_start.
    Times are in seconds. CPUs and memory are what the GPU needs, unless they are set.
    """
    now = _settings(Settings(), settings)
    if measured:
        _figures(list(_documents(session, since)), since, now, as_json)
        return
    traffic = _traffic(session, inputs, since).traffic
    scenarios = {"now": now}
    if changes:
        scenarios[" ".join(f"{name}={value}" for name, value in changes)] = _settings(now, changes)
    bills = {name: _bill(traffic, each) for name, each in scenarios.items()}
    answered = {name: p95(traffic, each) for name, each in scenarios.items()}
    if as_json:
        output.print_json({
            "inputs": traffic.inputs,
            "scenarios": [
                {"name": name, "settings": asdict(each), "p95_seconds": _finite(answered[name]), **_json(bills[name])}
                for name, each in scenarios.items()
            ],
        })  # fmt: skip
        return
    resources = dict.fromkeys(line.resource for month in bills.values() for line in month.lines)
    rows = [[resource, *(_dollars(month, resource) for month in bills.values())] for resource in resources]
    rows.append(["a month", *(dollars(month.band) for month in bills.values())])
    rows.append(["95 % answered in", *(_seconds(seconds) for seconds in answered.values())])
    output.table(rows, "resource", *bills)
    for reason in dict.fromkeys(reason for month in bills.values() for reason in month.band.reasons):
        output.remark(f"Uncertain: {reason}.")


@command(examples=_RECOMMEND)
@_scenario
@click.option("--larger-gpu", type=click.FloatRange(min=0), help="Measured speed of an RTX PRO 6000 over an L4.")
@click.option("--on-cpu", type=click.FloatRange(min=0), metavar="SECONDS", help="Measured time of an input on a CPU.")
@click.option("--daily", is_flag=True, help="Those that the pipeline itself wrote last, instead.")
def recommend(
    session: Session,
    inputs: float | None,
    since: float,
    settings: Sequence[Any],
    larger_gpu: float | None,
    on_cpu: float | None,
    daily: bool,
    as_json: bool,
) -> None:
    """List changes of the settings that would save money or time, each with the command that makes it.

    Every day the pipeline writes such a list for its own settings, recommendations/DATE.json in the output bucket.
    """
    if daily:
        content = _written(session)
        traffic = content["measured"]
        output.remark(f"{content['date']}: {traffic['inputs_per_month']:,} inputs a month, by {traffic['documents']:,}")
    else:
        found = _traffic(session, inputs, since)
        measured = Measured(found.traffic, _settings(Settings(), settings), found.seen, larger_gpu, on_cpu)
        content = {
            "recommendations": [described(each) for each in recommended(measured, published())],
            "not_considered": unmeasured(measured),
            "missing": missing(measured),
        }
    for lack in content["missing"]:
        output.remark(f"Missing: {lack}.")
    for lack in content["not_considered"]:
        output.remark(f"Not considered: {lack}.")
    for each in content["recommendations"]:
        if as_json:
            output.print_json(each)
            continue
        before, after = each["p95_seconds"]["before"], each["p95_seconds"]["after"]
        time = "" if before == after else f", 95 % answered in {_seconds(after)} instead of {_seconds(before)}"
        click.echo(f"{each['name']}: {each['effect']}{time}")
        click.echo(f"  {each['reason']}")
        for reason in each["saves_band"]["reasons"]:
            click.echo(f"  Uncertain: {reason}.")
        click.echo(f"  {each['action']}")


def _written(session: Session) -> dict[str, Any]:
    content: dict[str, Any] | None = session.client().recommendations()
    if content is None:
        raise InputError('There is none yet. The pipeline writes one every day, or on the message {"recommend": {}}.')
    return content


def _traffic(session: Session, inputs: float | None, since: float) -> Measurement:
    if inputs is not None:
        return Measurement(Traffic(inputs=inputs), seen=int(inputs))
    measurement = measure(_documents(session, since), since)
    traffic = measurement.traffic
    months = f"{traffic.inputs:,.0f} inputs and {traffic.batches:,.0f} batches a month"
    start = datetime.now(UTC) - timedelta(seconds=since)
    output.remark(f"{measurement.seen:,} inputs since {start:%Y-%m-%d %H:%M} UTC, or {months}")
    return measurement


def _documents(session: Session, since: float) -> Iterator[dict[str, Any]]:
    """The terminal documents of the last seconds, whatever their status."""
    client = session.client()
    criteria: dict[str, Any] = {"since": datetime.now(UTC) - timedelta(seconds=since), "every_generation": True}
    for found in (client.results(**criteria), client.rejected(**criteria), client.failed(**criteria)):
        for document in found:
            yield document.content


def _figures(documents: list[dict[str, Any]], since: float, settings: Settings, as_json: bool) -> None:
    """Print what the documents cost, by the names that the dashboard has."""
    found = figures(documents, since, settings, published())
    whole, between = asdict(found), band(found, documents, settings, published())
    models = by_model(documents)
    if as_json:
        named = [{"model": name, "version": version, **row} for (name, version), row in models.items()]
        output.print_json({**whole, "band": asdict(between), "models": named})
        return
    output.table([[name, _figure(name, value)] for name, value in whole.items()], "figure", "value")
    if models:
        columns = list(next(iter(models.values())))
        rows = [[*key, *(_figure(name, row[name]) for name in columns)] for key, row in models.items()]
        output.table(rows, "model", "version", *columns)
    for reason in between.reasons:
        output.remark(f"usd is {dollars(between)}, since {reason}.")


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if "usd" in name:
        return f"${value:,.6f}" if value < 1 else f"${value:,.2f}"
    if name == "utilization":
        return f"{value:.2%}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}"


def _settings(base: Settings, pairs: Sequence[tuple[str, Any]]) -> Settings:
    hints = get_type_hints(Settings)
    known = {field.name for field in fields(Settings)}
    changes: dict[str, Any] = {}
    for spelling, value in pairs:
        name = spelling.replace("-", "_")
        if name not in known:
            near = get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]}?" if near else f"use {', '.join(sorted(known))}."
            raise InputError(f"{spelling} is not a setting; {advice}")
        changes[name] = _value(name, value, hints[name])
    return replace(base, **changes)


def _value(name: str, value: Any, kind: Any) -> Any:
    if choices := get_args(kind):
        if value not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}.")
        return value
    if kind is bool:
        if value not in ("true", "false"):
            raise InputError(f"{name} must be true or false.")
        return value == "true"
    if kind is str:
        return str(value)
    if not isinstance(value, int | float) or value < 0 or kind(value) != value:
        raise InputError(f"{name} must be a {'whole ' if kind is int else ''}number, 0 or more.")
    return kind(value)


def _bill(traffic: Traffic, settings: Settings) -> Bill:
    try:
        return monthly_bill(traffic, settings, published())
    except PriceFileError as error:
        raise InputError(str(error)) from error


def _dollars(month: Bill, resource: str) -> str:
    line = next((line for line in month.lines if line.resource == resource), None)
    if line is None:
        return ""
    return dollars(line.band)


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None or not math.isfinite(seconds) else f"{seconds:,.2f} s"


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def _json(month: Bill) -> dict[str, Any]:
    return {
        "usd": cents(month.usd),
        "list_usd": cents(month.list_usd),
        "band": in_cents(month.band),
        "lines": [
            {"resource": line.resource, "amount": line.amount, "unit": line.price.unit, "usd": line.usd,
             "price_usd": line.price.usd, "price_usd_at_most": line.price.usd_at_most,
             "uncertainty": line.price.uncertainty, "source": line.price.source, "date": line.price.date}
            for line in month.lines
        ],
    }  # fmt: skip
