"""A monthly bill: metered amounts multiplied by their prices, less the free amounts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from event_inference.cost.prices import Price, Prices

CENT = Decimal("0.01")
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Band:
    """An amount of USD between two bounds, unrounded, and why they differ; without reasons they are the same."""

    low: Decimal
    high: Decimal
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One resource of a bill."""

    resource: str
    amount: Decimal
    price: Price

    @property
    def usd(self) -> Decimal:
        """The least that it costs, after the free amount."""
        return self.price.cost(self.amount)

    @property
    def band(self) -> Band:
        return _between(self.usd, self.price.cost_at_most(self.amount), self.price.uncertainty)

    @property
    def list_band(self) -> Band:
        """Before the free amount."""
        return _between(self.amount * self.price.usd, self.amount * self.price.usd_at_most, self.price.uncertainty)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a month costs in a region. Where no source states a price, `usd` is the least that it can be."""

    lines: tuple[Line, ...]

    @property
    def usd(self) -> Decimal:
        """The sum after the free amounts, unrounded."""
        return self.band.low

    @property
    def list_usd(self) -> Decimal:
        """The sum before the free amounts, unrounded."""
        return self.list_band.low

    @property
    def band(self) -> Band:
        return _sum(line.band for line in self.lines)

    @property
    def list_band(self) -> Band:
        return _sum(line.list_band for line in self.lines)

    def __getitem__(self, resource: str) -> Decimal:
        """What all variants of a resource cost at least after their free amounts."""
        return sum((line.usd for line in self.lines if line.price.resource == resource), NOTHING)


def bill(amounts: Mapping[str, Decimal | float], prices: Prices, region: str) -> Bill:
    """The bill for amounts per month, each in the unit of its price.

    Args:
        amounts: by resource of the price file, followed by its variant if it has several: `gpu nvidia-l4 zonal`.
    """
    return Bill(tuple(_line(resource, amount, prices, region) for resource, amount in amounts.items()))


def saving(before: Bill, after: Bill) -> Band:
    """What the second bill saves. An uncertain price in both is the same in both, whatever it is."""
    lines = [{line.resource: line for line in each.lines} for each in (before, after)]
    return _sum(_saved(*(each.get(resource) for each in lines)) for resource in {**lines[0], **lines[1]})


def dollars(band: Band) -> str:
    """An amount for people: `$12.30`, or `$12.30–$14.00`."""
    low, high = cents(band.low), cents(band.high)
    return f"${low:,}" if low == high else f"${low:,}–${high:,}"


def cents(usd: Decimal) -> Decimal:
    """Rounded half up to the cent, as only totals are."""
    return usd.quantize(CENT, ROUND_HALF_UP)


def _line(resource: str, amount: Decimal | float, prices: Prices, region: str) -> Line:
    name, _, variant = resource.partition(" ")
    exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    return Line(resource, exact, prices.of(name, region, variant))


def _saved(before: Line | None, after: Line | None) -> Band:
    old, new = (Band(NOTHING, NOTHING) if line is None else line.band for line in (before, after))
    bounds = (old.low - new.low, old.high - new.high)
    if before is None or after is None or before.price != after.price:
        bounds = (old.low - new.high, old.high - new.low)
    reasons = tuple(dict.fromkeys((*old.reasons, *new.reasons))) if bounds[0] != bounds[1] else ()
    return Band(min(bounds), max(bounds), reasons)


def _between(low: Decimal, high: Decimal, uncertainty: str) -> Band:
    return Band(low, high, (uncertainty,) if low != high else ())


def _sum(bands: Iterable[Band]) -> Band:
    low, high, reasons = NOTHING, NOTHING, dict[str, None]()
    for band in bands:
        low, high = low + band.low, high + band.high
        reasons.update(dict.fromkeys(band.reasons))
    return Band(low, high, tuple(reasons))
