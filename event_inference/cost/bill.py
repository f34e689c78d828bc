"""A monthly bill: metered amounts multiplied by their prices, less the free amounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from event_inference.cost.prices import Price, Prices

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Line:
    """One resource of a bill, in USD; None where the price is unknown."""

    resource: str
    amount: Decimal
    price: Price
    list_usd: Decimal | None
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Bill:
    """What a month costs in a region. Totals leave out the resources in `unknown`, whose prices have no source."""

    lines: tuple[Line, ...]

    @property
    def usd(self) -> Decimal:
        """The sum after the free amounts, unrounded."""
        return sum((line.usd for line in self.lines if line.usd is not None), Decimal(0))

    @property
    def list_usd(self) -> Decimal:
        """The sum before the free amounts, unrounded."""
        return sum((line.list_usd for line in self.lines if line.list_usd is not None), Decimal(0))

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line.price.resource for line in self.lines if line.usd is None and line.amount))

    def __getitem__(self, resource: str) -> Decimal | None:
        """What all variants of a resource cost after its free amount; None if one of them is unknown."""
        known = [line.usd for line in self.lines if line.price.resource == resource]
        return None if None in known else sum((usd for usd in known if usd is not None), Decimal(0))


def bill(amounts: Mapping[str, Decimal | float], prices: Prices, region: str) -> Bill:
    """The bill for amounts per month, each in the unit of its price.

    Args:
        amounts: by resource of the price file, followed by its variant if it has several: `gpu nvidia-l4 zonal`.
    """
    return Bill(tuple(_line(resource, amount, prices, region) for resource, amount in amounts.items()))


def cents(usd: Decimal) -> Decimal:
    """Rounded half up to the cent, as only totals are."""
    return usd.quantize(CENT, ROUND_HALF_UP)


def _line(resource: str, amount: Decimal | float, prices: Prices, region: str) -> Line:
    name, _, variant = resource.partition(" ")
    price = prices.of(name, region, variant)
    exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    if price.usd is None:
        return Line(resource, exact, price, None, None)
    return Line(resource, exact, price, exact * price.usd, max(exact - price.free, Decimal(0)) * price.usd)
