"""Runs each model for real before it is ready: proves that it works, and measures what batches cost."""

import time
from collections.abc import Callable

import torch

from .costs import Cost, fit
from .errors import StartError
from .model import Model, samples

SHORT, LONG = 16, 128  # tokens of a made-up text
BUDGET_S = 0.25  # for measuring one model
MAX_UNITS = {"cpu": 16_384, "cuda": 262_144}  # tokens in a batch
MAX_IMAGES = {"cpu": 64, "cuda": 512}


def measure(model: Model, max_seconds: float, clock: Callable[[], float] = time.perf_counter) -> Cost:
    """The cost of the model's batches.

    Raises:
        StartError: the model cannot run, or its scores are no numbers.
    """
    kind = model.device.torch.type
    is_text = model.inputs.kind == "text"
    few, many = ([SHORT], [LONG] * 8) if is_text else ([1], [1] * 8)
    try:
        _run(model, few)
        little = _timed(model, few, clock)
        if little * len(many) * 4 > BUDGET_S:
            many = many[: max(2, int(BUDGET_S / (4 * little)))]
        _run(model, many)
        much = _timed(model, many, clock)
    except (RuntimeError, ValueError, IndexError) as error:
        raise StartError(f"The model {model.key} cannot run: {error}") from error
    limit = MAX_UNITS[kind] if is_text else MAX_IMAGES[kind]
    return fit(
        [(sum(few), little), (sum(many), much)], packed=model.is_packed, max_seconds=max_seconds, max_units=limit
    )


def _timed(model: Model, sizes: list[int], clock: Callable[[], float]) -> float:
    """The best of a few, since others may use the processor too."""
    best, spent = float("inf"), 0.0
    for _ in range(3):
        began = clock()
        _run(model, sizes)
        best = min(best, clock() - began)
        spent += best
        if spent > BUDGET_S / 4:
            break
    return best


def _run(model: Model, sizes: list[int]) -> None:
    rows = model.launch(samples(model, sizes), 5).rows()
    if not all(score == score for row in rows for score in row.scores):
        raise ValueError("its scores are no numbers")
    if model.device.is_cuda:
        torch.cuda.synchronize(model.device.torch)
