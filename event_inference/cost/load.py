"""How traffic loads the GPU service: time awake, cold starts, instances, and sizes of batches. Times are in seconds."""

import math

UTILIZATION = 0.6  # of an instance's concurrency, above which Cloud Run adds one (its documentation)
BUSY = 0.7  # of a GPU, above which inputs begin to wait for each other
MAX_EXPONENT = 700.0  # math.exp overflows beyond 709


def awake_share(rate: float, idle: float, start: float) -> float:
    """The share of time in which an instance that may scale to zero is billed.

    Inputs arrive at random (Poisson) at `rate` per second. An instance takes `start` to start, and ends after `idle`
    without an input. Per cycle it is awake for (x - 1)/rate + start out of x/rate + start, where x = exp(rate * idle).
    """
    if rate <= 0:
        return 0.0
    if rate * idle > MAX_EXPONENT:
        return 1.0
    x = math.exp(rate * idle)
    return (x - 1 + rate * start) / (x + rate * start)


def cold_share(rate: float, idle: float, start: float) -> float:
    """The share of inputs that find no instance and wait for one to start."""
    if rate <= 0:
        return 1.0
    return 0.0 if rate * idle > MAX_EXPONENT else 1 / (math.exp(rate * idle) + rate * start)


def busy(rate: float, response: float, instances: int) -> float:
    """The mean number of instances with at least one request, when `instances` share them."""
    return instances * -math.expm1(-rate * response / instances) if instances else 0.0


def batch_size(rate: float, base: float, each: float) -> float:
    """The mean number of inputs that a GPU takes at once when a batch of b takes `base + each * b`."""
    spare = 1 - rate * each
    return math.inf if spare <= 0 else max(1.0, rate * base / spare)


def gpu_seconds(rate: float, base: float, each: float) -> float:
    """The GPU time of an input: its own part, and its share of the batch's base."""
    return base / batch_size(rate, base, each) + each


def instances(rate: float, response: float, concurrency: int, gpu: float, at_least: int = 0) -> int:
    """The instances that `rate` inputs per second need.

    Args:
        response: of a request, waiting included.
        gpu: GPU time per input.
    """
    return max(at_least, math.ceil(max(rate * response / (UTILIZATION * concurrency), rate * gpu / BUSY)))
