"""Runs a model before it takes requests: proves that it works, and measures the cost of batches."""

import time
from collections.abc import Callable, Sequence

import torch

from gpu_service.batching.cost_model import Cost, fit
from gpu_service.errors import StartError
from gpu_service.parameters import DEFAULTS
from gpu_service.serving.loading import precision
from gpu_service.serving.model import Model, samples

TOKENS = 32  # of a made-up text
ROWS = 16  # of the larger batch, or as many as PATIENCE_S allows
ROUNDING = 1e-3  # of scores in float32
REPEATS = 5
LEAST_REPEATS = 2  # a single run may have been disturbed
PATIENCE_S = 0.15
MAX_UNITS = {"cpu": 16_384, "cuda": 262_144}  # tokens in a batch
MAX_IMAGES = {"cpu": 64, "cuda": 512}


def verify(model: Model) -> None:
    """Compares the scores of made-up payloads in one batch with those of each payload alone.

    Raises:
        StartError: they differ, are not numbers, or the model cannot run.
    """
    data = samples(model, precision.SIZES)
    model.set_threads()
    try:
        together = model.scores(data).cpu()
        alone = torch.cat([model.scores([item]).cpu() for item in data])
    except (RuntimeError, ValueError, IndexError) as error:
        raise StartError(f"The model {model.key} cannot run: {error}") from error
    if not alone.isfinite().all():
        raise StartError(f"The model {model.key} cannot run: its scores are not numbers")
    tolerance = ROUNDING if model.device.dtype == torch.float32 else precision.TOLERANCE
    difference = float((together - alone).abs().max() / alone.abs().max().clamp(min=1.0))
    if not difference <= tolerance:  # False for NaN
        raise StartError(f"The model {model.key} answers differently in a batch: its scores differ by {difference:.2g}")


def measure(model: Model, max_seconds: float, clock: Callable[[], float] = time.perf_counter) -> Cost:
    """The cost of the model's batches.

    Raises:
        StartError: the model cannot run, or its scores are not numbers.
    """
    size = TOKENS if model.inputs.kind == "text" else 1
    try:
        _run(model, [size])
        rows = max(2, min(ROWS, int(PATIENCE_S / _timed(model, [size], clock))))
        little, much = _fastest(model, ([size], [size] * rows), clock)
    except (RuntimeError, ValueError, IndexError) as error:
        raise StartError(f"The model {model.key} cannot run: {error}") from error
    limits = MAX_UNITS if model.inputs.kind == "text" else MAX_IMAGES
    measured = [(size, little), (size * rows, much)]
    limit = limits[model.device.handle.type]
    return fit(measured, packed=model.is_packed, max_seconds=max_seconds, max_units=limit)


def _fastest(model: Model, batches: Sequence[list[int]], clock: Callable[[], float]) -> list[float]:
    """The least seconds of each batch over a few alternating runs; other processes may slow down some of them."""
    best, spent = [float("inf")] * len(batches), 0.0
    for repeat in range(REPEATS):
        seconds = [_timed(model, sizes, clock) for sizes in batches]
        best, spent = [min(pair) for pair in zip(best, seconds, strict=True)], spent + sum(seconds)
        if repeat + 1 >= LEAST_REPEATS and spent > PATIENCE_S:
            break
    return best


def _timed(model: Model, sizes: list[int], clock: Callable[[], float]) -> float:
    began = clock()
    _run(model, sizes)
    return clock() - began


def _run(model: Model, sizes: list[int]) -> None:
    rows = model.launch(samples(model, sizes), [DEFAULTS] * len(sizes)).rows()
    if not all(map(model.task.is_finite, rows)):
        raise ValueError("its scores are not numbers")
    if model.device.is_cuda:
        torch.cuda.synchronize(model.device.handle)
