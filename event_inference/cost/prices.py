"""The price file: what a unit of each resource costs, where and by which source."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("prices.yaml")
DEFAULT_TIER = 1


@dataclass(frozen=True, slots=True)
class Price:
    """The list price of a resource.

    `usd` buys one `unit`; None if no reliable source is known. `free` is the free amount per month, in `unit`.
    """

    resource: str
    usd: Decimal | None
    unit: str
    free: Decimal
    source: str
    date: datetime.date


class PriceFileError(ValueError):
    """The price file is malformed, or lacks a price."""


@dataclass(frozen=True, slots=True)
class Prices:
    """All prices, by resource, variant and tier of region (None where a price holds in every region)."""

    table: Mapping[tuple[str, str, int | None], Price]
    tiers: Mapping[str, int]

    def of(self, resource: str, region: str, variant: str = "") -> Price:
        """The price of a resource in a region.

        A region whose tier the file doesn't state has no known price for what depends on the tier.

        Raises:
            PriceFileError: the file names no such resource.
        """
        everywhere = self.table.get((resource, variant, None))
        if everywhere is not None:
            return everywhere
        tier = self.tiers.get(region)
        if tier is not None and (price := self.table.get((resource, variant, tier))) is not None:
            return price
        known = self.table.get((resource, variant, DEFAULT_TIER))
        if known is None:
            raise PriceFileError(f"The price file has no price for {resource!r} {variant}".rstrip() + ".")
        return Price(resource, None, known.unit, known.free, f"no price stated for {region}", known.date)


@cache
def published() -> Prices:
    """The prices of the file that this package contains."""
    return parse(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def parse(file: Mapping[str, Any]) -> Prices:
    """The prices of a file's contents.

    Raises:
        PriceFileError: an entry has no source, or two entries price the same.
    """
    table: dict[tuple[str, str, int | None], Price] = {}
    for resource, entries in file["prices"].items():
        for entry in entries:
            source = file["sources"].get(entry.get("source"))
            if source is None:
                raise PriceFileError(f"A price of {resource} has no source.")
            key = (resource, str(entry.get("variant", "")), entry.get("tier"))
            if key in table:
                raise PriceFileError(f"{resource} {key[1]} has two prices in tier {key[2]}.")
            usd = None if entry["usd"] is None else Decimal(str(entry["usd"])) / Decimal(entry.get("per", 1))
            free = Decimal(str(entry.get("free", 0)))
            table[key] = Price(resource, usd, entry["unit"], free, source["text"], source["date"])
    return Prices(table, dict(file["tiers"]))
