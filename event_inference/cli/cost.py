"""`einf cost`: what a month costs at list prices, what other settings would change, and which are worth it."""

from dataclasses import fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click

from event_inference.cli import output
from event_inference.cli.session import DocumentedCommand
from event_inference.cli.values import METADATA
from event_inference.errors import InputError

if TYPE_CHECKING:
    from event_inference.cost.bill import Bill
    from event_inference.cost.scenario import Settings, Traffic

_EXAMPLES = """
$ einf cost --inputs 10000
resource         unit         amount      USD
gpu              second       2,362,094   441.00
…
in all 682.77 USD a month
95 % answered within 20.05 s
$ einf cost --inputs 10000 --what-if min-instances=1
…
in all 682.77 USD → 760.06 USD a month
95 % answered within 20.05 s → 0.05 s
"""


@click.command(
    cls=DocumentedCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=_EXAMPLES,
)
@click.option("--inputs", type=click.FloatRange(0), required=True, help="Inputs in a month, which arrive at random.")
@click.option("--set", "current", multiple=True, type=METADATA, help="A setting of the deployment.")
@click.option("--what-if", "changed", multiple=True, type=METADATA, help="A setting to compare with.")
@click.option("--recommend", is_flag=True, help="Also name the changes that are worth it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(
    inputs: float, current: tuple[tuple[str, str], ...], changed: tuple[tuple[str, str], ...], recommend: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Estimate what a month of a deployment costs, at Google's list prices less the free amounts.

    This asks no cloud. docs/cli.md lists the settings, and docs/operations.md what an input takes. The prices have
    their sources in event_inference/cost/prices.yaml.
    """
    from event_inference.cost.prices import published
    from event_inference.cost.recommendations import Measured
    from event_inference.cost.recommendations import recommend as recommended
    from event_inference.cost.scenario import Settings, Traffic, monthly_bill

    traffic = Traffic(inputs=inputs)
    settings = [_settings(Settings(), current)]
    if changed:
        settings.append(_settings(settings[0], changed))
    bills = [monthly_bill(traffic, each, published()) for each in settings]
    advice = recommended(Measured(traffic, settings[0], seen=inputs), published()) if recommend else []
    if as_json:
        output.print_json({
            "bills": [_fields(traffic, *pair) for pair in zip(settings, bills, strict=True)],
            "recommendations": [
                {"name": each.name, "reason": each.reason, "action": each.action, "saves_usd": float(each.saves_usd)}
                for each in advice
            ],
        })  # fmt: skip
        return
    _print(traffic, settings, bills)
    for each in advice:
        effect = f"saves {each.saves_usd:,.2f}" if each.saves_usd > 0 else f"costs {-each.saves_usd:,.2f}"
        click.echo(f"\n{each.name} {effect} USD a month. {each.reason}\n  {each.action}")


def _settings(base: "Settings", pairs: tuple[tuple[str, str], ...]) -> "Settings":
    """The settings with some replaced.

    Raises:
        InputError: there is no such setting, or its value is not possible.
    """
    types = get_type_hints(type(base))
    names = [field.name for field in fields(base)]
    values = {}
    for key, text in pairs:
        name = key.replace("-", "_")
        if name not in names:
            near = get_close_matches(name, names, 1)
            raise InputError(f"{key} is not a setting. {f'Did you mean {near[0]}?' if near else ', '.join(names)}")
        values[name] = _value(key, text, types[name])
    return replace(base, **values)


def _value(name: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise InputError(f"{name} must be one of {', '.join(get_args(kind))}, not {text}.")
        return text
    if kind is bool:
        if text not in ("true", "false"):
            raise InputError(f"{name} must be true or false, not {text}.")
        return text == "true"
    try:
        value = kind(text)
    except ValueError as error:
        raise InputError(f"{name} must be a number, not {text}.") from error
    if kind is not str and not 0 <= value < float("inf"):
        raise InputError(f"{name} must be 0 or more, not {text}.")
    return value


def _print(traffic: "Traffic", settings: "list[Settings]", bills: "list[Bill]") -> None:
    from event_inference.cost.bill import cents
    from event_inference.cost.scenario import p95

    resources = list(dict.fromkeys(line.resource for bill in bills for line in bill.lines))
    rows = [row for resource in resources if (row := _row(resource, bills))]
    output.table(rows, "resource", "unit", "amount", *(["USD"] if len(bills) == 1 else ["USD", "then", "USD then"]))
    click.echo("in all " + " → ".join(f"{cents(bill.usd):,} USD" for bill in bills) + " a month")
    click.echo("95 % answered within " + " → ".join(f"{p95(traffic, each):.2f} s" for each in settings))
    unknown = sorted({resource for bill in bills for resource in bill.unknown})
    if unknown:
        output.remark(f"Not included, since no price is known in this region: {', '.join(unknown)}")


def _row(resource: str, bills: "list[Bill]") -> tuple[str, ...] | None:
    """A resource's amount and cost in each bill; None if no bill has any of it."""
    cells: list[str] = []
    unit, is_used = "", False
    for bill in bills:
        line = next((line for line in bill.lines if line.resource == resource), None)
        is_used = is_used or bool(line and line.amount)
        unit = line.price.unit if line else unit
        usd = "unknown" if line and line.usd is None else f"{line.usd:,.2f}" if line else "0.00"
        cells += [f"{line.amount:,.0f}" if line else "0", usd]
    return (resource, unit, *cells) if is_used else None


def _fields(traffic: "Traffic", settings: "Settings", bill: "Bill") -> dict[str, Any]:
    from event_inference.cost.scenario import p95

    return {
        "settings": {field.name: getattr(settings, field.name) for field in fields(settings)},
        "usd": float(bill.usd),
        "list_usd": float(bill.list_usd),
        "p95_s": p95(traffic, settings),
        "unknown": list(bill.unknown),
        "lines": [
            {
                "resource": line.resource,
                "amount": float(line.amount),
                "unit": line.price.unit,
                "usd": None if line.usd is None else float(line.usd),
            }
            for line in bill.lines
        ],
    }
