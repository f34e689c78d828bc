"""The table of outcomes."""

import io

import pytest
from rich.console import Console

from samples.outcomes import Outcome, table


def test_control_characters_and_markup_in_documents_are_shown_as_text() -> None:
    reason = {"code": "bad", "message": "a\x1b[2Jb\x9b [red]no colour[/] [/unopened]"}
    outcome = Outcome("texts/\x1b]0;x.txt", [{"status": "rejected", "kind": "text", "reason": reason}], [])
    shown = io.StringIO()
    Console(file=shown, width=200).print(table([outcome]))
    assert r"bad: a\u001b[2Jb\u009b [red]no colour[/] [/unopened]" in shown.getvalue()
    assert r"texts/\u001b]0;x.txt" in shown.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_forecast_is_read_with_the_delimiter_of_its_input(delimiter: str) -> None:
    rows = [delimiter.join(cells) for cells in (["date", "prediction"], ["2025-01-01", "1"], ["2025-02-01", "2"])]
    outcome = Outcome("series/a.csv", [{"status": "succeeded", "kind": "timeseries"}], rows)
    assert outcome.observed()["forecast"] == ["2025-01-01", "2025-02-01"]
    assert outcome.summary() == "2 steps, 2025-01-01 … 2025-02-01"
