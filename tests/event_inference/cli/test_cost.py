"""`einf cost`: the cost model's figures, with the settings that were asked for."""

from collections.abc import Callable
from dataclasses import fields

import pytest

from event_inference.cost.prices import published
from event_inference.cost.recommendations import Measured, recommend
from event_inference.cost.scenario import Settings, Traffic, monthly_bill, p95
from event_inference.errors import USAGE
from tests.event_inference.conftest import ROOT, Ended

Invoke = Callable[..., Ended]


def test_the_bills_are_those_of_the_model(invoke: Invoke):
    arguments = ["--set", "cpu=8", "--what-if", "min-instances=1", "--what-if", "zonal_redundancy=true", "--recommend"]
    (answer,) = invoke("cost", "--inputs", "20000", *arguments, "--json").json
    traffic, before = Traffic(inputs=20000), Settings(cpu=8)
    after = Settings(cpu=8, min_instances=1, zonal_redundancy=True)
    bills = [monthly_bill(traffic, settings, published()) for settings in (before, after)]
    assert [each["usd"] for each in answer["bills"]] == [float(bill.usd) for bill in bills]
    assert [each["p95_s"] for each in answer["bills"]] == [p95(traffic, before), p95(traffic, after)]
    expected = recommend(Measured(traffic, before, seen=20000), published())
    assert [each["name"] for each in answer["recommendations"]] == [each.name for each in expected]
    assert expected


def test_a_price_that_is_not_known_is_named(invoke: Invoke):
    ended = invoke("cost", "--inputs", "1000", "--set", "region=asia-southeast1")
    assert "Not included, since no price is known in this region: gpu" in ended.err
    assert "unknown" in ended.out


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("min-instnces=1", "Did you mean min_instances?"),
        ("gpu=h100", "gpu must be one of nvidia-l4"),
        ("min_instances=many", "min_instances must be a number"),
        ("min_instances=-1", "must be 0 or more"),
        ("idle=nan", "must be 0 or more"),
        ("committed=yes", "committed must be true or false"),
        ("committed", "must be NAME=VALUE"),
    ],
)
def test_settings_that_are_not_possible(invoke: Invoke, setting: str, expected: str):
    ended = invoke("cost", "--inputs", "1", "--set", setting)
    assert (ended.status, ended.out) == (USAGE, "")
    assert expected in ended.err


def test_every_setting_is_described():
    page = (ROOT / "docs" / "cli.md").read_text()
    assert [field.name for field in fields(Settings) if f"`{field.name}`" not in page] == []
