"""The formulas of load against simulations of what they describe."""

import random

import pytest

from event_inference.cost import load


def simulated(rate: float, idle: float, start: float, inputs: int = 40_000) -> tuple[float, float]:
    """The shares of time awake and of inputs that meet a cold start, of an instance that may scale to zero."""
    chance = random.Random(1)
    now = awake = 0.0
    asleep_from = 0.0  # the instance is gone from then on
    cold = 0
    for _ in range(inputs):
        now += chance.expovariate(rate)
        if now < asleep_from:  # also while it is starting
            awake += max(0.0, now + idle - asleep_from)
            asleep_from = max(asleep_from, now + idle)
            continue
        cold += 1
        awake += start + idle
        asleep_from = now + start + idle
    return awake / max(now, asleep_from), cold / inputs


@pytest.mark.parametrize("per_hour", [0.5, 1, 5, 13.7, 40])
@pytest.mark.parametrize(("idle", "start"), [(600, 20), (60, 20), (900, 60)])
def test_time_awake_and_cold_starts(per_hour: float, idle: float, start: float) -> None:
    rate = per_hour / 3600
    awake, cold = simulated(rate, idle, start)
    assert load.awake_share(rate, idle, start) == pytest.approx(awake, rel=0.05)
    assert load.cold_share(rate, idle, start) == pytest.approx(cold, rel=0.1, abs=0.002)


@pytest.mark.parametrize(("rate", "size", "milliseconds"), [(500, 4.62, 1.998), (100, 1.0, 6.7), (1, 1.0, 6.7)])
def test_batches(rate: float, size: float, milliseconds: float) -> None:
    assert load.batch_size(rate, 0.006, 0.0007) == pytest.approx(size, abs=0.01)
    assert load.gpu_seconds(rate, 0.006, 0.0007) == pytest.approx(milliseconds / 1000, abs=1e-5)


def test_limits() -> None:
    assert load.awake_share(0, 600, 20) == 0
    assert load.cold_share(0, 600, 20) == 1
    assert load.awake_share(100, 600, 20) == 1
    assert load.cold_share(100, 600, 20) == 0
    assert load.instances(20, 0.5, 8, 0.007) == 3
    assert load.instances(20, 0.5, 32, 0.007) == 1
    assert load.instances(0, 0.5, 32, 0.007, at_least=1) == 1
