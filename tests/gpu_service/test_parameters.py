"""The parameters of a request: defaults, unknown names, and invalid values."""

from typing import Any

import pytest

from gpu_service import parameters
from gpu_service.errors import InvalidRequest
from gpu_service.parameters import Parameters


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (None, Parameters()),
        ({}, Parameters()),
        ({"top_k": None}, Parameters()),
        ({"top_k": 1, "horizon": 7}, Parameters(top_k=1)),
        ({"text_column": "review"}, Parameters()),
    ],
)
def test_unknown_names_and_null_leave_the_defaults(values: dict[str, Any] | None, expected: Parameters):
    assert parameters.parse(values) == expected


@pytest.mark.parametrize("top_k", [0, -1, 1001, 1.5, "5", True, [5]])
def test_an_invalid_value_is_reported(top_k: Any):
    with pytest.raises(InvalidRequest, match="top_k") as refused:
        parameters.parse({"top_k": top_k})
    assert refused.value.code == "invalid_parameters"


def test_different_parameters_have_different_encodings():
    encoded = [parameters.encode(Parameters(top_k=count)) for count in (1, 5)]
    assert len(set(encoded)) == 2
    assert parameters.encode(Parameters()) == encoded[1]
