"""Forecasts the series in a delimited text file with Prophet and Holt-Winters smoothing."""
