"""The price file: what a unit of each resource costs, where and by which source."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("prices.yaml")
DEFAULT_TIER = 1
DEARER_TIER = 2


@dataclass(frozen=True, slots=True)
class Price:
    """The list price of a resource: between two bounds where no source states it.

    `usd` buys one `unit`, beyond the `free` amount per month; at most it is `usd_at_most` beyond `free_at_least`.
    `uncertainty` says why the bounds differ; empty if they don't.
    """

    resource: str
    usd: Decimal
    usd_at_most: Decimal
    unit: str
    free: Decimal
    free_at_least: Decimal
    source: str
    date: datetime.date
    uncertainty: str = ""

    def cost(self, amount: Decimal) -> Decimal:
        """What an amount costs at least."""
        return max(amount - self.free, Decimal(0)) * self.usd

    def cost_at_most(self, amount: Decimal) -> Decimal:
        return max(amount - self.free_at_least, Decimal(0)) * self.usd_at_most


class PriceFileError(ValueError):
    """The price file is malformed, or lacks a price."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the price file; `usd` is None where no source states a price."""

    usd: Decimal | None
    usd_at_most: Decimal | None
    regions: frozenset[str]
    unit: str
    free: Decimal
    free_regions: frozenset[str]
    source: str
    date: datetime.date


@dataclass(frozen=True, slots=True)
class Prices:
    """All prices, by resource, variant and tier of region (None where a price holds in every region).

    `surcharge` is the largest ratio of a price in the dearer tier to the same in the other.
    """

    table: Mapping[tuple[str, str, int | None], Entry]
    tiers: Mapping[str, int]
    surcharge: Decimal

    def of(self, resource: str, region: str, variant: str = "") -> Price:
        """The price of a resource in a region.

        Raises:
            PriceFileError: the file names no such resource.
        """
        name = f"{resource} {variant}".rstrip()
        everywhere = self.table.get((resource, variant, None))
        if everywhere is not None:
            return _of_region(name, resource, everywhere, region)
        entry = self.table.get((resource, variant, DEFAULT_TIER))
        if entry is None or entry.usd is None:
            raise PriceFileError(f"The price file has no price for {name!r}.")
        known = _exact(resource, entry, entry.usd)
        tier = self.tiers.get(region)
        if tier == DEFAULT_TIER:
            return known
        dearer = self.table.get((resource, variant, DEARER_TIER))
        if dearer is not None and dearer.usd is not None:
            if tier is not None:
                return _exact(resource, dearer, dearer.usd)
            most, bounds = dearer.usd, f"either ${entry.usd:f} or ${dearer.usd:f}"
        else:
            most, bounds = entry.usd * self.surcharge, f"1 to {self.surcharge.normalize():f} times that elsewhere"
        free = entry.free if tier is None else Decimal(0)  # tier 1 alone has it
        between = replace(known, usd_at_most=most, free=free, free_at_least=Decimal(0))
        return replace(between, uncertainty=_unstated(name, region, bounds))


@cache
def published() -> Prices:
    """The prices of the file that this package contains."""
    return parse(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def parse(file: Mapping[str, Any]) -> Prices:
    """The prices of a file's contents.

    Raises:
        PriceFileError: an entry has no source, or two entries price the same.
    """
    table: dict[tuple[str, str, int | None], Entry] = {}
    for resource, entries in file["prices"].items():
        for entry in entries:
            source = file["sources"].get(entry.get("source"))
            if source is None:
                raise PriceFileError(f"A price of {resource} has no source.")
            key = (resource, str(entry.get("variant", "")), entry.get("tier"))
            if key in table:
                raise PriceFileError(f"{resource} {key[1]} has two prices in tier {key[2]}.")
            table[key] = _entry(entry, source)
    return Prices(table, dict(file["tiers"]), _surcharge(table))


def _entry(entry: Mapping[str, Any], source: Mapping[str, Any]) -> Entry:
    per = Decimal(entry.get("per", 1))
    least, most = (None if (usd := entry.get(key)) is None else Decimal(str(usd)) / per for key in ("usd", "at_most"))
    regions, free_regions = (frozenset(entry.get(key, ())) for key in ("regions", "free_regions"))
    free = Decimal(str(entry.get("free", 0)))
    return Entry(least, most, regions, entry["unit"], free, free_regions, source["text"], source["date"])


def _surcharge(table: Mapping[tuple[str, str, int | None], Entry]) -> Decimal:
    ratios = [Decimal(1)]
    for (resource, variant, tier), entry in table.items():
        known = table.get((resource, variant, DEFAULT_TIER))
        if tier == DEARER_TIER and entry.usd is not None and known is not None and known.usd:
            ratios.append(entry.usd / known.usd)
    return max(ratios)


def _exact(resource: str, entry: Entry, usd: Decimal) -> Price:
    return Price(resource, usd, usd, entry.unit, entry.free, entry.free, entry.source, entry.date)


def _of_region(name: str, resource: str, entry: Entry, region: str) -> Price:
    """A price that does not depend on the tier."""
    if entry.usd is None:
        raise PriceFileError(f"The price file has no price for {name!r}.")
    free = Decimal(0) if entry.free_regions and region not in entry.free_regions else entry.free
    price = replace(_exact(resource, entry, entry.usd), free=free, free_at_least=free)
    if entry.usd_at_most is None or region in entry.regions:
        return price
    bounds = f"${entry.usd:f} to ${entry.usd_at_most:f}"
    return replace(price, usd_at_most=entry.usd_at_most, uncertainty=_unstated(name, region, bounds))


def _unstated(name: str, region: str, bounds: str) -> str:
    return f"no source states the price of {name} in {region}, taken as {bounds}"
