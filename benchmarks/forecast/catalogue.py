"""Public time series that AutoTS, vega_datasets and statsmodels ship in their wheels, by frequency."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

# The horizons of the M4 competition; business days have that of days.
HORIZONS = {"hourly": 48, "daily": 14, "business-daily": 14, "weekly": 13, "monthly": 18, "quarterly": 8, "yearly": 6}


@dataclass(frozen=True)
class PublicSeries:
    """A series without missing values, in order of time."""

    name: str
    frequency: str
    values: "pd.Series[float]"  # by timestamp

    @property
    def horizon(self) -> int:
        return HORIZONS[self.frequency]


def load() -> Iterator[PublicSeries]:
    """All series; the packages' own code, which is slow to import, is not run."""
    for source in (_hourly, _daily, _weekly, _monthly, _quarterly, _yearly):
        frequency = source.__name__.removeprefix("_")
        for name, values in source():
            complete = values.dropna().sort_index()
            weekdays = pd.DatetimeIndex(complete.index).weekday
            kind = "business-daily" if frequency == "daily" and weekdays.max() < 5 else frequency
            yield PublicSeries(name, kind, complete.astype(float))


def _hourly() -> Iterator[tuple[str, "pd.Series[float]"]]:
    traffic = _read("autots/datasets/data/traffic_hourly.zip", "datetime")
    yield "traffic volume", traffic["traffic_volume"]
    yield "traffic temperature", traffic["temp"]
    yield "Seattle temperature", _read("vega_datasets/_data/seattle-temps.csv", "date")["temp"]
    yield "San Francisco temperature", _read("vega_datasets/_data/sf-temps.csv", "date")["temp"]


def _daily() -> Iterator[tuple[str, "pd.Series[float]"]]:
    """Page views, weather, and rates of exchanges, which the filter of weekends tells apart."""
    yield from _columns(_read("autots/datasets/data/holidays.zip", "datetime"))
    weather = _read("vega_datasets/_data/seattle-weather.csv", "date").drop(columns="weather")
    yield from _columns(weather, "Seattle ")


def _weekly() -> Iterator[tuple[str, "pd.Series[float]"]]:
    yield from _groups(_read("autots/datasets/data/eia_weekly.zip", "datetime"), "series_id", "value")
    yield "CO2", _read("statsmodels/datasets/co2/co2.csv", "date", "%Y%m%d")["co2"]


def _monthly() -> Iterator[tuple[str, "pd.Series[float]"]]:
    yield from _groups(_read("autots/datasets/data/fred_monthly.zip", "datetime"), "series_name", "value")
    employment = _read("vega_datasets/_data/us-employment.csv", "month")
    yield from _columns(employment[employment.columns[::3]], "employment ")  # most of them move together
    yield from _groups(_read("vega_datasets/_data/stocks.csv", "date", "%b %d %Y"), "symbol", "price")
    yield from _columns(_read("statsmodels/datasets/elec_equip/elec_equip.csv", "DATE", "%b-%d-%Y"), "equipment ")
    nino = _table("statsmodels/datasets/elnino/elnino.csv").melt("YEAR")
    nino.index = pd.to_datetime(nino["YEAR"].astype(str) + nino["variable"], format="%Y%b")
    yield "El Nino", nino["value"]


def _quarterly() -> Iterator[tuple[str, "pd.Series[float]"]]:
    for path in ("macrodata/macrodata.csv", "interest_inflation/E6.csv"):
        table = _table(f"statsmodels/datasets/{path}")
        quarters = table["year"].astype(str) + "Q" + table["quarter"].astype(str)
        table.index = pd.PeriodIndex(quarters, freq="Q").to_timestamp()
        yield from _columns(table.drop(columns=["year", "quarter"]), f"{Path(path).stem} ")


def _yearly() -> Iterator[tuple[str, "pd.Series[float]"]]:
    yield from _groups(_read("autots/datasets/data/fred_yearly.zip", "datetime"), "series_name", "value")
    for path, year in (("sunspots/sunspots.csv", "YEAR"), ("nile/nile.csv", "year"), ("copper/copper.csv", "YEAR")):
        table = _read(f"statsmodels/datasets/{path}", year, "%Y")
        yield from _columns(table.drop(columns="TIME", errors="ignore"), f"{Path(path).stem} ")


def _read(path: str, column: str, pattern: str | None = None) -> pd.DataFrame:
    """The table, indexed by the timestamps in a column."""
    table = _table(path)
    stamps = pd.to_datetime(table[column].astype(str), format=pattern)
    return table.drop(columns=column).set_index(pd.DatetimeIndex(stamps))


def _table(path: str) -> pd.DataFrame:
    package, _, rest = path.partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed: run `make benchmark-forecast`, which installs it.")
    return pd.read_csv(Path(spec.submodule_search_locations[0]) / rest)


def _groups(table: pd.DataFrame, key: str, value: str) -> Iterator[tuple[str, "pd.Series[float]"]]:
    for name, group in table.groupby(key):
        yield str(name), group[value]


def _columns(table: pd.DataFrame, prefix: str = "") -> Iterator[tuple[str, "pd.Series[float]"]]:
    for name in table.columns:
        yield prefix + str(name), table[name]
