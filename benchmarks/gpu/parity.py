"""Compares one model in one number format on the device with float32 on the CPU, over batches of many shapes."""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import checkpoints
from gpu_service.checkpoints import device
from gpu_service.checkpoints.device import Device
from gpu_service.inputs.text import TextInputs
from gpu_service.parameters import DEFAULTS
from gpu_service.serving import precision, warmup
from gpu_service.serving.model import Model, samples

# For the difference of an input's logits (root mean square), in standard deviations between inputs: swapped rows or
# wrong attention give about 1. In float32 the service allows TF32, which is as coarse as float16.
LIMITS = {"float32 without TF32": 0.005, "float32": 0.05, "float16": 0.05, "bfloat16": 0.3}
SAME = 1e-3  # for scores of one model, launched singly and several batches ahead
LENGTHS = {
    "one token": [1],
    "longest": [512],
    "batch of 1": [37],
    "equal lengths": [32] * 16,
    "mixed lengths": [1, 512, 7, 64, 64, 3, 300, 2, 128, 1, 33],
    "many short": list(range(1, 65)),
}
COUNTS = {"batch of 1": 1, "two": 2, "odd batch": 17, "large batch": 32}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    name, number_format = options.model, options.format
    checkpoint = checkpoints.checkpoint(name, options.folder, quick=options.quick)
    cpu, target = Model(checkpoint, device.choose("cpu")), choose(options)
    model = Model(checkpoint, target)
    batches = inputs(model, quick=options.quick)
    errors = differences(cpu, model, batches)
    limit = LIMITS[number_format]
    problems = [f"{case}: logits differ by {error:.3g}" for case, error in errors.items() if not error <= limit]
    problems += launches_disagree(model, batches)
    cost = warmup.measure(model, max_seconds=0.5)
    return {
        "attention": getattr(getattr(model.network, "sequences", None), "__name__", type(model.network).__name__),
        "served as": str(precision.load(checkpoint, target).device.dtype).removeprefix("torch."),
        "differences": errors,
        "limit": limit,
        "cost": {"base_ms": round(1e3 * cost.base, 3), "each_us": round(1e6 * cost.each, 3), "budget": cost.budget},
        "problems": problems,
    }


def choose(options: argparse.Namespace) -> Device:
    number_format = options.format
    chosen = device.choose(options.device, number_format.split()[0], required=options.device != "cpu")
    if number_format.endswith("without TF32"):
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return chosen


def inputs(model: Model, *, quick: bool) -> dict[str, list[Any]]:
    """Token ids or pixels of each case."""
    rng = np.random.default_rng(7)
    if isinstance(model.inputs, TextInputs):
        words, longest = model.inputs.tokenizer.get_vocab_size(), model.inputs.max_length
        return {
            case: [rng.integers(5, words, min(length, longest)) for length in lengths]
            for case, lengths in LENGTHS.items()
        }
    shape = samples(model, [1])[0].shape
    images = [_photo(rng, shape), np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)]
    images += [_photo(rng, shape) for _ in range(max(COUNTS.values()))]
    return {case: images[:count] for case, count in COUNTS.items() if count <= 2 or not quick}


def _photo(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Noise of its own brightness and colour, so that images differ also after pooling."""
    colour = rng.integers(0, 200, 3)
    return (colour + rng.integers(0, 56, shape)).astype(np.uint8)


def differences(reference: Model, model: Model, batches: Mapping[str, list[Any]]) -> dict[str, float]:
    """The largest difference of an input's logits in each case, in standard deviations between inputs."""
    reference.set_threads()
    expected = {case: reference.network(batch).float().cpu() for case, batch in batches.items()}
    spread = torch.cat(list(expected.values())).std(0).mean()
    found = {case: model.network(batch).float().cpu() for case, batch in batches.items()}
    errors = {case: (found[case] - expected[case]).square().mean(1).sqrt().max() for case in batches}
    return {case: round(float(error / spread), 5) for case, error in errors.items()}


def launches_disagree(model: Model, batches: Mapping[str, list[Any]]) -> list[str]:
    """Cases whose scores differ when all batches are sent before the first result is read, as the batcher does."""
    pending = {case: model.launch(batch, [DEFAULTS] * len(batch)) for case, batch in batches.items()}
    problems = []
    for case, sent in pending.items():
        ahead = torch.tensor([row.scores for row in sent.rows()])
        singly = model.scores(batches[case]).cpu().topk(ahead.shape[1]).values
        if not (difference := float((ahead - singly).abs().max())) <= SAME:
            problems.append(f"{case}: scores of a batch sent ahead differ by {difference:.3g}")
    return problems
