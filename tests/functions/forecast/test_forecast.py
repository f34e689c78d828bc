"""The forecast function, called with a file in a bucket."""

import csv
import io
import resource
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import functions_framework
import numpy as np
import pandas as pd
import pytest
import uvicorn

from emulator.storage import Store, app
from forecasting import model
from forecasting.answer import answer
from pipeline import storage as pipeline_storage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prophet.*")

MAIN = Path(__file__).parents[3] / "functions" / "forecast" / "main.py"


@pytest.fixture(scope="module")
def storage():
    """The emulated Cloud Storage with an input bucket, and the official client that the function will use."""
    patch = pytest.MonkeyPatch()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    store = Store(base_url=url)
    server = uvicorn.Server(uvicorn.Config(app(store), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    patch.setenv("STORAGE_EMULATOR_HOST", url)
    patch.setenv("GOOGLE_CLOUD_PROJECT", "local-project")
    for name in ("input", "work", "output"):
        patch.setenv(f"{name.upper()}_BUCKET", name)
    pipeline_storage.client.cache_clear()
    pipeline_storage.client().create_bucket("input")
    yield pipeline_storage.client()
    pipeline_storage.client.cache_clear()
    patch.undo()
    server.should_exit = True
    thread.join(10)
    store.close()
    listening.close()


@pytest.fixture(scope="module")
def function(storage):
    return functions_framework.create_app("forecast", str(MAIN)).test_client()


@pytest.fixture(scope="module")
def post(storage, function):
    """Uploads content, requests its forecast and returns the response."""

    def ask(content: str | bytes, **parameters: object):
        blob = storage.bucket("input").blob("series.csv")
        blob.upload_from_string(content, content_type="text/csv")
        return function.post("/", json=argument(blob.generation, blob.size, parameters))

    return ask


@pytest.fixture(scope="module")
def forecast(post):
    """The successful response for content."""

    def ask(content: str | bytes, **parameters: object) -> dict:
        answer = post(content, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    return ask


@pytest.fixture(scope="module")
def rejection(post):
    """The error for content that cannot be forecast."""

    def ask(content: str | bytes, **parameters: object) -> dict:
        answer = post(content, **parameters)
        assert answer.status_code == 422, answer.text
        return answer.get_json()["error"]

    return ask


def argument(generation: int, size: int, parameters: dict) -> dict:
    return {
        "job": "0" * 32,
        "document": f"series.csv/{generation}",
        "event_id": "1",
        "received_at": "2024-01-01T00:00:00Z",
        "input": {
            "bucket": "input",
            "name": "series.csv",
            "generation": str(generation),
            "size": size,
            "content_type": "text/csv",
        },
        "kind": "timeseries",
        "model": None,
        "parameters": parameters,
        "trace": None,
    }


def values(count: int, season: int = 7, trend: float = 0.5, noise: float = 1.0, level: float = 100.0) -> np.ndarray:
    steps = np.arange(count)
    shape = 10 * np.sin(2 * np.pi * steps / season) + 5 * np.cos(4 * np.pi * steps / season)
    return level + trend * steps + shape + noise * np.random.default_rng(11).normal(size=count)


def table(stamps, numbers, pattern: str = "%Y-%m-%d", delimiter: str = ",", decimal: str = ".", name: str = "value"):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["date", name])
    writer.writerows(
        (stamp.strftime(pattern), f"{value:.2f}".replace(".", decimal))
        for stamp, value in zip(stamps, numbers, strict=True)
    )
    return out.getvalue()


def dated(answer: dict) -> list[str]:
    return [entry["date"] for entry in answer["predictions"]]


DAILY = pd.date_range("2024-01-01", periods=120, freq="D")


# --- the answer ------------------------------------------------------------------------------------


def test_the_response_has_every_field_of_the_contract(forecast):
    answer = forecast(table(DAILY, values(120)))
    assert len(answer["predictions"]) == 28
    assert answer["predictions"][0].keys() == {"date", "prediction", "lower", "upper"}
    assert all(entry["lower"] <= entry["prediction"] <= entry["upper"] for entry in answer["predictions"])
    assert answer["model"]["name"] in answer["backtest"]["errors"]
    assert answer["model"].keys() == {"name", "version", "task", "source", "revision"}
    assert answer["device"] == "cpu"
    assert answer["timing"]["inference_ms"] > 0
    assert answer["revision"] == "local"
    series = answer["series"]
    assert (series["rows"], series["used"], series["dropped"]) == (120, 120, 0)
    assert (series["date_column"], series["value_column"], series["frequency"]) == ("date", "value", "D")
    assert (series["start"], series["end"], series["date_format"]) == ("2024-01-01", "2024-04-29", "%Y-%m-%d")
    tested = answer["backtest"]
    assert tested["origins"] == 3
    assert tested["horizon"] == 28
    assert tested["seasonality_mode"] == answer["model"]["revision"]
    assert tested["errors"].keys() == {"prophet", "holt-winters", "prophet+holt-winters"}
    assert tested["mae"] == tested["errors"][answer["model"]["name"]]


@pytest.mark.parametrize(
    ("freq", "season", "count", "pattern", "first", "last", "alias"),
    [
        ("D", 7, 120, "%Y-%m-%d", "2024-04-30", "2024-05-27", "D"),
        ("W-MON", 52, 120, "%Y-%m-%d", "2026-04-20", "2026-10-26", "W-MON"),
        ("W-SUN", 52, 60, "%d.%m.%Y", "2025-03-02", "2025-09-07", "W-SUN"),
        ("MS", 12, 48, "%Y-%m-%d", "2028-01-01", "2030-04-01", "MS"),
        ("MS", 12, 48, "%Y-%m", "2028-01-01", "2030-04-01", "MS"),
        ("MS", 12, 48, "%b %Y", "2028-01-01", "2030-04-01", "MS"),
        ("ME", 12, 48, "%Y-%m-%d", "2028-01-31", "2030-04-30", "ME"),
        ("QS", 4, 24, "%Y-%m-%d", "2030-01-01", "2036-10-01", "QS-JAN"),
        ("QE", 4, 24, "%Y-%m-%d", "2030-03-31", "2036-12-31", "QE-DEC"),
        ("YS", 1, 20, "%Y", "2044-01-01", "2071-01-01", "YS-JAN"),
        ("B", 5, 120, "%Y-%m-%d", "2024-06-17", "2024-07-24", "B"),
        ("h", 24, 240, "%Y-%m-%d %H:%M", "2024-01-11T00:00:00", "2024-01-12T03:00:00", "h"),
        ("15min", 96, 400, "%Y-%m-%dT%H:%M:%S", "2024-01-05T04:00:00", "2024-01-05T10:45:00", "15min"),
    ],
)
def test_dates_continue_in_the_frequency_of_the_file(forecast, freq, season, count, pattern, first, last, alias):
    name = "year" if pattern == "%Y" else "date"
    text = table(pd.date_range("2024-01-01", periods=count, freq=freq), values(count, season), pattern)
    answer = forecast(text.replace("date", name, 1))
    assert (dated(answer)[0], dated(answer)[-1]) == (first, last)
    assert answer["series"]["frequency"] == alias
    kind = datetime if "T" in first else date
    expected = pd.date_range(kind.fromisoformat(first), periods=28, freq=freq)
    assert [kind.fromisoformat(day) for day in dated(answer)] == [
        stamp.to_pydatetime() if kind is datetime else stamp.date() for stamp in expected
    ]


# --- dates in parts --------------------------------------------------------------------------------

MONTHS = [(2018 + index // 12, index % 12 + 1) for index in range(48)]
HOURS = pd.date_range("2024-01-25", periods=240, freq="h")
PARTS: dict[str, tuple[str, list[str], str, str, str]] = {
    # header, the dates' cells, the columns read as the date, the frequency, the first date that is forecast
    "year and month": ("year,month", [f"{y},{m}" for y, m in MONTHS], "year + month", "MS", "2022-01-01"),
    "name of the month": (
        "Year;Month",
        [f"{y};{stamp:%B}" for (y, _), stamp in zip(MONTHS, pd.date_range("2018", periods=48, freq="MS"), strict=True)],
        "Year + Month",
        "MS",
        "2022-01-01",
    ),
    "year and quarter": (
        "year,quarter",
        [f"{2000 + i // 4},{i % 4 + 1}" for i in range(40)],
        "year + quarter",
        "QS-JAN",
        "2010-01-01",
    ),
    "year and Q1": ("yr,qtr", [f"{2000 + i // 4},Q{i % 4 + 1}" for i in range(40)], "yr + qtr", "QS-JAN", "2010-01-01"),
    "year and week": (
        "year,week",
        ["{},{}".format(*stamp.isocalendar()) for stamp in pd.date_range("2020-01-06", periods=60, freq="7D")],
        "year + week",
        "W-MON",
        "2021-03-01",
    ),
    "year, month and day": (
        "month,day,year",
        [f"{stamp.month},{stamp.day},{stamp.year}" for stamp in DAILY],
        "year + month + day",
        "D",
        "2024-04-30",
    ),
    "as pandas writes numbers with gaps": (
        "year,month,day",
        [f"{stamp.year}.0,{stamp.month}.0,{stamp.day}.0" for stamp in DAILY],
        "year + month + day",
        "D",
        "2024-04-30",
    ),
    "year, month, day and hour": (
        "year,month,day,hour",
        [f"{stamp.year},{stamp.month},{stamp.day},{stamp.hour}" for stamp in HOURS],
        "year + month + day + hour",
        "h",
        "2024-02-04T00:00:00",
    ),
    "date and time": (
        "date,time",
        [f"{stamp:%Y-%m-%d,%H:%M:%S}" for stamp in HOURS],
        "date + time",
        "h",
        "2024-02-04T00:00:00",
    ),
    "time with points": (
        "Date;Time",
        [f"{stamp:%d/%m/%Y;%H.%M.%S}" for stamp in HOURS],
        "Date + Time",
        "h",
        "2024-02-04T00:00:00",
    ),
    "hour and minute": (
        "date,time",
        [f"{stamp:%Y-%m-%d},{stamp.hour * 100}" for stamp in HOURS],
        "date + time",
        "h",
        "2024-02-04T00:00:00",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_columns_with_parts_of_the_date_are_read_together(forecast: Callable[..., dict], name: str) -> None:
    header, cells, columns, alias, first = PARTS[name]
    delimiter = ";" if ";" in header else ","
    numbers = values(len(cells))
    rows = [f"{cell}{delimiter}{value:.2f}" for cell, value in zip(cells, numbers, strict=True)]
    answer = forecast("\n".join([f"{header}{delimiter}sales", *rows]), horizon=4)
    series = answer["series"]
    assert (series["date_column"], series["value_column"], series["frequency"]) == (columns, "sales", alias)
    assert dated(answer)[0] == first
    assert any("were read together as the date" in note for note in series["notes"])


def test_a_named_date_column_is_read_alone(forecast: Callable[..., dict]) -> None:
    rows = [f"{2000 + index},1,{index * 7 % 5}.5" for index in range(24)]
    answer = forecast("\n".join(["year,month,sales", *rows]), horizon=4, date_column="year")
    assert (answer["series"]["date_column"], answer["series"]["frequency"]) == ("year", "YS-JAN")


# --- how files are written -------------------------------------------------------------------------


@pytest.mark.release
def test_every_notation_of_a_series_gives_the_same_forecast(forecast):
    numbers = values(120) * 30
    plain = table(DAILY, numbers)
    german = table(DAILY, numbers, "%d.%m.%Y", ";", ",")
    grouped = "sep=;\n" + "\n".join(
        f"{day:%d.%m.%Y};" + f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
        for day, value in zip(DAILY, numbers, strict=True)
    )
    backwards = "\n".join([plain.splitlines()[0], *reversed(plain.splitlines()[1:])])
    written = {
        "german": german,
        "grouped": grouped,
        "tab": table(DAILY, numbers, delimiter="\t"),
        "american": table(DAILY, numbers, "%m/%d/%Y"),
        "utf-8 with a mark": b"\xef\xbb\xbf" + plain.encode(),
        "utf-16": german.encode("utf-16"),
        "windows": plain.replace("\n", "\r\n"),
        "backwards": backwards,
        "midnights": table(DAILY, numbers, "%Y-%m-%dT00:00:00Z"),
    }
    expected = forecast(plain, horizon=5)["predictions"]
    for name, content in written.items():
        assert forecast(content, horizon=5)["predictions"] == expected, name


def test_ambiguous_days_and_months_are_rejected_unless_a_parameter_settles_them(rejection, forecast):
    text = table(pd.date_range("2024-02-01", periods=12, freq="D"), values(12), "%d/%m/%Y")
    error = rejection(text)
    assert error["code"] == "ambiguous_dates"
    assert "date_format" in error["message"]
    assert dated(forecast(text, date_format="%d/%m/%Y", horizon=1)) == ["2024-02-13"]
    assert dated(forecast(text, date_format="%m/%d/%Y", horizon=1)) == ["2025-01-02"]


def test_offsets_are_converted_to_utc_with_a_note(forecast):
    stamps = pd.date_range("2024-03-29", periods=100, freq="h", tz="Europe/Berlin")
    answer = forecast(table(stamps, values(100, 24), "%Y-%m-%dT%H:%M:%S%z"), horizon=2)
    assert dated(answer) == ["2024-04-02T03:00:00", "2024-04-02T04:00:00"]
    assert any("UTC" in note for note in answer["series"]["notes"])


# --- rows that are dropped -------------------------------------------------------------------------


def test_gaps_are_bridged_and_counted(forecast):
    kept = [index for index in range(120) if index not in (5, 50, 51)]
    answer = forecast(table(DAILY[kept], values(120)[kept]))
    assert dated(answer)[0] == "2024-04-30"
    assert any("3 of 120 steps are missing" in note for note in answer["series"]["notes"])


def test_rows_without_value_are_dropped_and_counted(forecast):
    lines = table(DAILY, values(120)).splitlines()
    lines[10] = lines[10].partition(",")[0] + ","
    lines[11] = lines[11].partition(",")[0] + ",NaN"
    lines[12] = lines[12].partition(",")[0] + ",inf"
    lines[13] = lines[13].partition(",")[0] + ",closed"
    answer = forecast("\n".join([*lines, "Total,12345"]))
    assert (answer["series"]["rows"], answer["series"]["used"], answer["series"]["dropped"]) == (121, 116, 5)
    notes = " ".join(answer["series"]["notes"])
    assert "2 rows without a value" in notes
    assert "2 rows dropped: the value is not a finite number" in notes
    assert "1 row without a readable date" in notes


def test_comments_above_the_series_are_skipped_and_notes_within_are_counted(forecast):
    header, *lines = table(DAILY, values(120)).splitlines()
    lines[40:40] = ["# the shop was closed", "", "#2,"]
    answer = forecast("\n".join(["# by hand", "# in euros, net", header, *lines]))
    assert (answer["series"]["rows"], answer["series"]["used"], answer["series"]["dropped"]) == (122, 120, 2)
    assert any("2 rows without a value" in note for note in answer["series"]["notes"])


def test_few_rows_with_notes_among_them_are_a_series(forecast):
    header, *lines = table(DAILY[:9], values(9)).splitlines()
    answer = forecast("\n".join([header, "# a note", *lines[:5], "# a note", *lines[5:]]), horizon=2)
    assert (answer["series"]["rows"], answer["series"]["used"]) == (11, 9)


def test_days_without_values_at_the_end_are_forecast(forecast):
    text = table(DAILY, values(120)) + "2024-04-30,\n2024-05-01,\n"
    assert dated(forecast(text, horizon=2)) == ["2024-04-30", "2024-05-01"]


def test_identical_rows_count_once(forecast):
    lines = table(DAILY, values(120)).splitlines()
    answer = forecast("\n".join([*lines, lines[5]]))
    assert answer["series"]["dropped"] == 1
    assert answer["predictions"] == forecast("\n".join(lines))["predictions"]


def test_a_date_with_two_values_is_rejected(rejection):
    error = rejection(table(DAILY, values(120)) + "2024-01-05,1\n")
    assert error["code"] == "duplicate_timestamps"
    assert "2024-01-05" in error["message"]


def test_irregular_dates_are_rejected_unless_a_frequency_is_requested(rejection, forecast):
    kept = np.flatnonzero(np.random.default_rng(2).random(400) < 0.2)
    days = pd.date_range("2024-01-01", periods=400, freq="D")[kept]
    text = table(days, values(400)[kept])
    assert rejection(text)["code"] == "irregular_series"
    answer = forecast(text, frequency="daily", horizon=2)
    following = [(days[-1] + timedelta(days=step)).date().isoformat() for step in (1, 2)]
    assert dated(answer) == following


@pytest.mark.release
def test_only_the_latest_points_of_a_long_series_are_used(forecast):
    stamps = pd.date_range("2024-01-01", periods=21_000, freq="min")
    answer = forecast(table(stamps, values(21_000, 1440), "%Y-%m-%d %H:%M"), horizon=1)
    assert (answer["series"]["rows"], answer["series"]["used"]) == (21_000, 20_000)
    assert any("latest 20000 of 21000" in note for note in answer["series"]["notes"])


@pytest.mark.parametrize("yearly", [0, 10])
@pytest.mark.parametrize("count", [8, 8_000, 8_001, 20_000])
def test_a_long_series_is_fitted_in_part(count: int, yearly: int):
    chosen = model.fitted(count, model.Seasonality(yearly=yearly, weekly=3, daily=4))
    assert chosen[-8_000:] == list(range(max(0, count - 8_000), count))
    earlier = chosen[:-8_000]
    assert len(earlier) == ((count - 8_000) // 5 if yearly and count > 8_000 else 0)
    if len(earlier) > 168:
        assert {index % 168 for index in earlier} == set(range(168)), "each hour of the week"


# --- which series ----------------------------------------------------------------------------------


@pytest.mark.release
def test_two_years_of_hours_take_seconds():
    """About 3 s of processor time; the bound leaves room for slower machines."""
    stamps = pd.date_range("2022-01-01", periods=17_520, freq="h")
    steps = np.arange(len(stamps))
    waves = sum(np.sin(2 * np.pi * steps / period) for period in (24, 168, 8766))
    text = table(stamps, 100 + 10 * waves + np.random.default_rng(6).normal(0, 5, len(stamps)), "%Y-%m-%d %H:%M")
    started = processor_seconds()
    response = answer(text, {"horizon": 48}, "1")
    assert processor_seconds() - started < 10
    assert response["series"]["used"] == 17_520
    assert response["backtest"]["beats_naive"]


def processor_seconds() -> float:
    """Of this process and the optimizers that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def test_conventional_names_come_first(forecast):
    numbers = values(60)
    text = "id,temperature,day,sales\n" + "\n".join(
        f"{index},{20 + index % 3},{day:%Y-%m-%d},{value:.2f}"
        for index, (day, value) in enumerate(zip(DAILY[:60], numbers, strict=True))
    )
    answer = forecast(text, horizon=1)
    assert answer["series"]["value_column"] == "sales"
    assert any("value_column" in note for note in answer["series"]["notes"])
    assert forecast(text, horizon=1, value_column="Temperature")["predictions"][0]["prediction"] < 30


def test_an_unknown_column_is_rejected(rejection):
    error = rejection(table(DAILY, values(120)), value_column="profit")
    assert error["code"] == "no_usable_column"
    assert "date, value" in error["message"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a,b\n1,2\n3,4\n5,6\n", "no_usable_column"),
        ("date,name\n" + "".join(f"{day:%Y-%m-%d},n{day.day}\n" for day in DAILY), "no_usable_column"),
        ("Only a sentence.", "invalid_csv"),
        (table(DAILY, values(120)) + '2024-05-01,"1\n', "invalid_csv"),
        ("date,value\n" + "".join(f"{day:%Y-%m-%d},{day.day},5\n" for day in DAILY), "invalid_csv"),
        (table(DAILY[:7], values(7)), "too_short"),
    ],
)
def test_files_without_a_series_are_rejected(rejection, text, code):
    assert rejection(text)["code"] == code


# --- parameters ------------------------------------------------------------------------------------


def test_parameters_may_be_text_as_metadata_is(forecast):
    text = table(DAILY, values(120))
    answer = forecast(text, horizon="3", interval_width="0.95", frequency="W-SUN")
    assert dated(answer) == ["2024-05-05", "2024-05-12", "2024-05-19"]
    narrow = forecast(text, horizon=3, interval_width=0.5, frequency="W-SUN")
    width = [entry["upper"] - entry["lower"] for entry in answer["predictions"]]
    assert all(a > e["upper"] - e["lower"] for a, e in zip(width, narrow["predictions"], strict=True))


@pytest.mark.parametrize(
    "parameters",
    [
        {"horizon": 0},
        {"horizon": 1001},
        {"horizon": 2.5},
        {"horizon": "many"},
        {"horizon": True},
        {"horizon": [3]},
        {"horizon": float("1e400")},
        {"interval_width": 1},
        {"interval_width": "wide"},
        {"frequency": "sometimes"},
        {"frequency": 7},
        {"value_column": ""},
        {"date_column": {"a": 1}},
        {"decimal": "."[:0] or ";"},
    ],
)
def test_bad_parameters_are_rejected(rejection, parameters):
    assert rejection(table(DAILY, values(120)), **parameters)["code"] == "invalid_parameters"


def test_a_horizon_too_long_for_the_history(rejection, forecast):
    error = rejection(table(DAILY, values(120)), horizon=1000)
    assert error["code"] == "too_short"
    assert "250" in error["message"]
    assert len(forecast(table(DAILY, values(120)), horizon=400)["predictions"]) == 400


# --- the model -------------------------------------------------------------------------------------


def test_the_same_file_gives_the_same_forecast(forecast):
    text = table(DAILY, values(120))
    first, second = forecast(text), forecast(text)
    assert first["predictions"] == second["predictions"]
    assert first["backtest"] == second["backtest"]


def test_concurrent_requests_do_not_affect_each_other(storage):
    # Prophet draws its futures from a generator that all threads share.
    app_ = functions_framework.create_app("forecast", str(MAIN))
    blob = storage.bucket("input").blob("series.csv")
    blob.upload_from_string(table(DAILY, values(120)))
    body = argument(blob.generation, blob.size, {"horizon": 5})
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: app_.test_client().post("/", json=body).get_json()["predictions"], range(4)))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("value", [0, 5, -3.5])
def test_a_constant_series_stays_constant(forecast, value):
    answer = forecast(table(DAILY, np.full(120, value)))
    assert [entry["prediction"] for entry in answer["predictions"]] == pytest.approx([value] * 28, abs=1e-6)
    assert answer["backtest"]["mae"] == pytest.approx(0, abs=1e-6)
    assert answer["backtest"]["beats_naive"] is False


def test_a_history_without_negative_values_is_not_continued_below_zero(forecast):
    falling = np.maximum(0, np.linspace(100, 2, 120) + np.random.default_rng(1).normal(size=120))
    answer = forecast(table(DAILY, falling))
    assert min(entry["lower"] for entry in answer["predictions"]) == 0
    assert min(entry["prediction"] for entry in answer["predictions"]) == 0
    assert any("kept at 0" in note for note in answer["series"]["notes"])


def test_a_history_with_negative_values_may_continue_to_fall(forecast):
    answer = forecast(table(DAILY, np.linspace(10, -100, 120)))
    assert answer["predictions"][-1]["prediction"] < -110
    assert answer["model"]["revision"] == "additive"


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1e12, 1e90])
def test_any_scale(forecast, size):
    text = "date,value\n" + "".join(
        f"{day:%Y-%m-%d},{value * size!r}\n" for day, value in zip(DAILY, values(120).tolist(), strict=True)
    )
    expected = forecast(table(DAILY, values(120)))["predictions"][0]["prediction"]
    assert forecast(text)["predictions"][0]["prediction"] == pytest.approx(expected * size, rel=1e-2)


def test_growing_seasons_are_recognised_as_multiplicative(forecast):
    months = pd.date_range("2014-01-01", periods=120, freq="MS")
    steps = np.arange(120)
    numbers = (100 + 3 * steps) * (1 + 0.4 * np.sin(2 * np.pi * steps / 12))
    assert forecast(table(months, numbers), horizon=12)["backtest"]["seasonality_mode"] == "multiplicative"


def test_a_history_too_short_for_a_season_gets_a_note(forecast):
    months = pd.date_range("2023-01-01", periods=18, freq="MS")
    answer = forecast(table(months, values(18, 12)), horizon=3)
    assert any("no yearly pattern" in note for note in answer["series"]["notes"])


@pytest.mark.parametrize(
    ("freq", "season", "count"), [("D", 7, 365), ("MS", 12, 96), ("h", 24, 480), ("W-MON", 52, 208)]
)
def test_beats_the_seasonal_naive_out_of_sample(forecast, freq, season, count):
    horizon = min(28, season)
    stamps, truth = pd.date_range("2018-01-01", periods=count + horizon, freq=freq), values(count + horizon, season)
    pattern = "%Y-%m-%d %H:%M" if freq == "h" else "%Y-%m-%d"
    answer = forecast(table(stamps[:count], truth[:count], pattern), horizon=horizon)
    predicted = np.array([entry["prediction"] for entry in answer["predictions"]])
    naive = np.resize(truth[count - season : count], horizon)
    assert np.abs(predicted - truth[count:]).mean() < 0.8 * np.abs(naive - truth[count:]).mean()
    assert answer["backtest"]["beats_naive"] is True
    inside = [
        low["lower"] <= value <= low["upper"] for low, value in zip(answer["predictions"], truth[count:], strict=True)
    ]
    assert np.mean(inside) >= 0.5


def test_intervals_widen_to_the_errors_of_the_backtest(forecast):
    days = pd.date_range("2023-01-01", periods=400, freq="D")
    steps = np.arange(400)
    spread = np.random.default_rng(4).normal(size=400) * (
        1 + steps / 20
    )  # it grows, which the model assumes it does not
    tested = forecast(table(days, 1000 + spread), horizon=7)
    assert tested["backtest"]["interval_widening"] > 1.2
    assert any("times as wide" in note for note in tested["series"]["notes"])


def test_a_random_walk_does_not_beat_the_naive_forecast_and_gets_a_note(forecast):
    walk = np.random.default_rng(3).normal(size=200).cumsum() + 500
    answer = forecast(table(pd.date_range("2024-01-01", periods=200, freq="D"), walk))
    tested = answer["backtest"]
    assert tested["beats_naive"] == (tested["mae"] < tested["naive_mae"])


# --- requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "{}", '{"input": 5}', '{"job": "a", "input": {"bucket": "b"}}'],
)
def test_malformed_requests_are_400(function, body):
    answer = function.post("/", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["error"].keys() == {"code", "message"}


def test_an_object_that_is_gone_is_rejected(storage, function):
    answer = function.post("/", json=argument(12345, 10, {}))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["code"] == "input_gone"


def test_an_object_that_is_too_large_is_not_read(function):
    answer = function.post("/", json=argument(12345, 10 << 30, {}))
    assert answer.status_code == 422
    assert answer.get_json()["error"]["code"] == "too_large"


def test_the_announced_generation_is_read(storage, function):
    blob = storage.bucket("input").blob("series.csv")
    blob.upload_from_string(table(DAILY, values(120)))
    announced = argument(blob.generation, blob.size, {"horizon": 1})
    assert function.post("/", json=announced).status_code == 200
    blob.upload_from_string(table(DAILY, values(120)))
    assert function.post("/", json=announced).get_json()["error"]["code"] == "input_gone"
