"""Forecasts as numbers for a chart."""

from console.drawing import series

DATA = "date,prediction,lower,upper\n2025-01-02,3,2,4\n2025-01-03,4,3,5\n"


def test_history_and_forecast_meet() -> None:
    about = {"date_column": "day", "value_column": "sales", "date_format": "%Y-%m-%d"}
    chart = series.chart(DATA, "# a title\nday,sales\n2024-12-31,1\n2025-01-01,2\n", about)
    assert chart is not None
    assert chart.history == [1, 2, None, None]
    assert chart.prediction == [None, 2, 3, 4]
    assert chart.upper == [None, 2, 4, 5]
    assert chart.predicted[1:] == [("2025-01-02", 3.0, 2.0, 4.0), ("2025-01-03", 4.0, 3.0, 5.0)]
    assert chart.note == ""


def test_other_delimiters_decimals_and_dates() -> None:
    about = {"date_column": "Monat", "value_column": "Gäste", "date_format": "%d.%m.%Y"}
    chart = series.chart(DATA, "Monat;Gäste\n01.12.2024;1.929,9\n01.01.2025;930\n", about)
    assert chart is not None
    assert chart.history[:2] == [1929.9, 930.0]


def test_without_history_the_forecast_is_drawn_alone() -> None:
    chart = series.chart(DATA, "", {"date_column": "day", "value_column": "sales"})
    assert chart is not None
    assert chart.prediction == [3, 4]
    assert "history is not drawn" in chart.note
    assert series.chart("nothing", "", {}) is None


def test_the_backtest_in_a_sentence() -> None:
    forecast = {
        "backtest": {"mae": 8.96, "naive_mae": 15.9, "origins": 3, "smape": 3.547},
        "series": {"value_column": "sales"},
    }
    assert series.sentence(forecast) == (
        "Tested 3 times on the end of its own history, the forecast missed sales by 8.96 on average (3.5 %), "
        "44 % better than repeating the last season."
    )
    assert series.sentence({}) == "There was too little history to test the forecast on it."
