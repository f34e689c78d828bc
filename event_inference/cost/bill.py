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
        return tuple(line.resource for line in self.lines if line.usd is None and line.amount)

    def __getitem__(self, resource: str) -> Decimal | None:
        """What the resource costs after its free amount; None if unknown."""
        return next(line.usd for line in self.lines if line.resource == resource)


def bill(amounts: Mapping[str, Decimal | float], prices: Prices, region: str, variants: Mapping[str, str]) -> Bill:
    """The bill for amounts per month, each in the unit of its price.

    Args:
        amounts: by resource of the price file.
        variants: of resources that have several, such as the type of GPU.
    """
    return Bill(
        tuple(
            _line(resource, amount, prices.of(resource, region, variants.get(resource, "")))
            for resource, amount in amounts.items()
        )
    )


def cents(usd: Decimal) -> Decimal:
    """Rounded half up to the cent, as only totals are."""
    return usd.quantize(CENT, ROUND_HALF_UP)


def _line(resource: str, amount: Decimal | float, price: Price) -> Line:
    exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    if price.usd is None:
        return Line(resource, exact, price, None, None)
    return Line(resource, exact, price, exact * price.usd, max(exact - price.free, Decimal(0)) * price.usd)
