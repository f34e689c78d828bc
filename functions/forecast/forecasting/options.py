"""The parameters of a forecast, checked."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from forecasting.repeats import COMBINATIONS
from pipeline.errors import RejectedError

MAX_HORIZON = 1000


@dataclass(frozen=True, slots=True)
class Options:
    """Parameters of a forecast; None means that it depends on the file."""

    horizon: int = 28
    frequency: str | None = None
    date_column: str | None = None
    value_column: str | None = None
    date_format: str | None = None
    decimal: str | None = None
    combine: str | None = None
    interval_width: float = 0.8

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> "Options":
        """Reads the parameters of a job; numbers may be strings, as they are in object metadata.

        Raises:
            RejectedError: `invalid_parameters`.
        """
        horizon = _number(parameters, "horizon", 28)
        if horizon != int(horizon) or not 1 <= horizon <= MAX_HORIZON:
            raise _invalid(f"horizon must be a whole number from 1 to {MAX_HORIZON}.")
        width = _number(parameters, "interval_width", 0.8)
        if not 0.01 <= width <= 0.99:
            raise _invalid("interval_width must be between 0.01 and 0.99.")
        decimal = _text(parameters, "decimal")
        if decimal not in (None, ".", ","):
            raise _invalid('decimal must be "." or ",".')
        combine = _text(parameters, "combine")
        if combine not in (None, *COMBINATIONS):
            raise _invalid("combine must be sum or mean.")
        names = ("frequency", "date_column", "value_column", "date_format")
        return cls(
            horizon=int(horizon),
            interval_width=width,
            decimal=decimal,
            combine=combine,
            **{name: _text(parameters, name) for name in names},
        )

    def json(self) -> dict[str, Any]:
        """Those that do not depend on the file."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _number(parameters: Mapping[str, Any], name: str, default: float) -> float:
    value = parameters.get(name)
    if value is None:
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _invalid(f"{name} must be a number.")
    return number


def _text(parameters: Mapping[str, Any], name: str) -> str | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > 256:
        raise _invalid(f"{name} must be a string of 1 to 256 characters.")
    return value.strip()


def _invalid(message: str) -> RejectedError:
    return RejectedError("invalid_parameters", message)
