"""Files with several rows per date."""

from datetime import date, timedelta

import pytest

from forecasting import series
from forecasting.options import Options
from forecasting.series import Series
from pipeline.errors import RejectedError

DAYS = [date(2024, 1, 1) + timedelta(days=step) for step in range(40)]


def read(lines: list[str], **parameters: str) -> Series:
    return series.read("\n".join(lines) + "\n", Options.parse({"horizon": 5, **parameters}))


def refused(lines: list[str]) -> str:
    with pytest.raises(RejectedError) as caught:
        read(lines)
    assert caught.value.code == "duplicate_timestamps"
    return caught.value.message


def stores(*names: str, header: str = "store,date,sales") -> list[str]:
    """A row for each store and day; the sales of a store rise by one each day."""
    rows = [f"{name},{day},{10 * place + step}" for step, day in enumerate(DAYS) for place, name in enumerate(names)]
    return [header, *rows]


def test_the_column_that_tells_series_apart_is_named():
    message = refused(stores("north", "south", "west", "east"))
    assert "which 'store' tells apart (east, north, south, …): 2024-01-01 occurs more than once" in message
    assert "the parameter combine to sum or mean" in message


def test_series_with_the_same_values_are_not_taken_for_one():
    rows = [f"{name},{day},{step}" for step, day in enumerate(DAYS) for name in ("north", "south")]
    assert "'store' tells apart" in refused(["store,date,sales", *rows])


def test_two_columns_may_tell_series_apart():
    rows = [
        f"{day},{store},{item},{promotion},{step + store * 7 + len(item)}"
        for step, day in enumerate(DAYS)
        for store in (1, 2)
        for item, promotion in (("milk", "no"), ("bread", "no"))
    ]
    message = refused(["date,store_nbr,family,onpromotion,sales", *rows])
    assert "which 'store_nbr' and 'family' tell apart (1 / bread, 1 / milk, 2 / bread, …)" in message


def test_many_series_one_after_the_other():
    rows = [f"{name},{day},{step}" for name in range(300) for step, day in enumerate(DAYS)]
    assert "'id' tells apart" in refused(["id,date,value", *rows])


def test_repeated_rows_are_dropped_with_a_note():
    lines = ["note,date,value", *(f"n{step},{day},{step}" for step, day in enumerate(DAYS))]
    found = read([*lines, lines[3], lines[3], lines[9]])
    assert (len(found.stamps), found.rows) == (40, 43)
    assert "3 rows dropped: they repeat another row." in found.notes


def test_numbered_rows_of_the_same_value_repeat_each_other():
    lines = ["id,date,value", *(f"{step},{day},{step % 7}" for step, day in enumerate(DAYS))]
    found = read([*lines, f"40,{DAYS[3]},3", f"41,{DAYS[4]},4"])
    assert len(found.stamps) == 40
    assert "2 rows dropped: they repeat another row." in found.notes


def test_a_contradiction_is_no_second_series():
    lines = ["date,value", *(f"{day},{step}" for step, day in enumerate(DAYS)), f"{DAYS[7]},1"]
    message = refused(lines)
    assert message.startswith("2024-01-08 occurs more than once with different values.")
    assert "UTC offset" not in message


def test_repeated_hours_are_explained_by_local_time():
    hours = [f"2024-10-27 {hour:02}:00,{hour}" for hour in range(24)]
    message = refused(["time,value", *hours[:3], "2024-10-27 02:00,9", *hours[3:]])
    assert "2024-10-27 02:00:00 occurs more than once" in message
    assert "Local times need their UTC offset." in message


@pytest.mark.parametrize(("by", "first", "last"), [("sum", 30, 147), ("mean", 10, 49)])
def test_rows_are_combined_on_request(by: str, first: int, last: int):
    found = read(stores("north", "south", "west"), combine=by)
    assert [found.values[0], found.values[-1]] == [first, last]
    assert (found.rows, len(found.stamps), found.combined) == (120, 40, 80)
    assert f"120 rows became 40 points: the {by} of each date's values." in found.notes


def test_equal_rows_count_each_when_they_are_combined():
    """Two sales of the same amount on one day are two sales."""
    lines = ["date,amount", *(f"{day},5" for day in DAYS for _ in range(3))]
    assert read(lines, combine="sum").values.tolist() == [15.0] * 40


def test_what_is_combined_needs_a_known_way():
    with pytest.raises(RejectedError, match="combine must be sum or mean"):
        read(stores("north"), combine="maximum")
