"""Compares one model in one number format on the device with float32 on the CPU, over batches of many shapes."""

import argparse
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.gpu import checkpoints
from gpu_service.checkpoints import device
from gpu_service.checkpoints.device import Device
from gpu_service.inputs.texts.tokens import TextInputs
from gpu_service.parameters import DEFAULTS
from gpu_service.serving.loading import precision, warmup
from gpu_service.serving.model import Model, samples
from gpu_service.tasks.classification import Classifier, Row
from gpu_service.tasks.detection import DetectionInputs
from gpu_service.tasks.embedding import FeatureExtraction
from gpu_service.tasks.zero_shot import ZeroShotClassification

# For the difference of a row's numbers (root mean square), in standard deviations between rows: swapped rows or wrong
# attention give about 1. A row is an input's logits, or those of a token, a vector, or an object's logits and box. In
# float32 the service allows TF32, which is as coarse as float16.
LIMITS = {"float32 without TF32": 0.005, "float32": 0.05, "float16": 0.05, "bfloat16": 0.3}
SAME = 1e-3  # for what one model answers, launched singly and several batches ahead, of numbers from 0 to 1
LENGTHS = {
    "one token": [1],
    "longest": [512],
    "batch of 1": [37],
    "equal lengths": [32] * 16,
    "mixed lengths": [1, 512, 7, 64, 64, 3, 300, 2, 128, 1, 33],
    "many short": list(range(1, 65)),
}
COUNTS = {"batch of 1": 1, "two": 2, "odd batch": 17, "large batch": 32}
SHAPES = {  # width and height of photos for detectors, in relation to each other
    "batch of 1": [(4, 3)],
    "equal shapes": [(4, 3)] * 5,
    "mixed shapes": [(4, 3), (3, 4), (4, 3), (1, 1), (3, 4)],
}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    name, number_format = options.model, options.format
    checkpoint = checkpoints.checkpoint(name, options.folder, quick=options.quick)
    cpu, target = Model(checkpoint, device.choose("cpu")), choose(options)
    model = Model(checkpoint, target)
    batches = inputs(model, quick=options.quick)
    errors = differences(cpu, model, batches)
    limit = LIMITS[number_format]
    problems = [f"{case}: the output differs by {error:.3g}" for case, error in errors.items() if not error <= limit]
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
        return {case: [_tokens(rng, model, length) for length in lengths] for case, lengths in LENGTHS.items()}
    if isinstance(model.inputs, DetectionInputs):
        return _photos_of_shapes(rng, model, quick=quick)
    shape = samples(model, [1])[0].shape
    images = [_photo(rng, shape), np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)]
    images += [_photo(rng, shape) for _ in range(max(COUNTS.values()))]
    return {case: images[:count] for case, count in COUNTS.items() if count <= 2 or not quick}


def _tokens(rng: np.random.Generator, model: Model, length: int) -> Any:
    """Ids; for pairs of texts also the segments."""
    assert isinstance(model.inputs, TextInputs)
    length = min(length, model.inputs.max_length)
    ids = rng.integers(5, model.inputs.tokenizer.get_vocab_size(), length)
    return np.stack((ids, np.arange(length) > length / 2), 1) if isinstance(model.task, ZeroShotClassification) else ids


def _photos_of_shapes(rng: np.random.Generator, model: Model, *, quick: bool) -> dict[str, list[Any]]:
    side, prepared = 24 if quick else 200, model.inputs.prepared  # type: ignore[attr-defined]
    photos = {
        case: [prepared(Image.fromarray(_photo(rng, (side * high, side * wide, 3)))) for wide, high in shapes]
        for case, shapes in SHAPES.items()
    }
    network: Any = model.network
    if "pixel_mask" in inspect.signature(network.model.forward).parameters:
        whole = photos["batch of 1"][0]
        mask = np.zeros((1, *whole.shape[1:]), whole.dtype)
        mask[:, : whole.shape[1] // 2] = 1
        photos["with padding"] = [np.concatenate((whole * mask, mask))]
    return photos


def _photo(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Noise of its own brightness and colour, so that images differ also after pooling."""
    colour = rng.integers(0, 200, 3)
    return (colour + rng.integers(0, 56, shape)).astype(np.uint8)


def differences(reference: Model, model: Model, batches: Mapping[str, list[Any]]) -> dict[str, float]:
    """The largest difference of a row in each case, in standard deviations between rows."""
    reference.set_threads()
    expected = {case: _output(reference, batch) for case, batch in batches.items()}
    spread = torch.cat(list(expected.values())).std(0).mean()
    found = {case: _output(model, batch) for case, batch in batches.items()}
    errors = {case: (found[case] - expected[case]).square().mean(1).sqrt().max() for case in batches}
    return {case: round(float(error / spread), 5) for case, error in errors.items()}


@torch.inference_mode()
def _output(model: Model, batch: list[Any]) -> Tensor:
    """The network's numbers on the CPU, (rows, …), or the vectors that are pooled of them on the device."""
    output = model.network(batch)
    if isinstance(model.task, FeatureExtraction):
        output = model.task.reduced(output, batch, [DEFAULTS] * len(batch))
    return output.float().cpu().flatten(0, -2)


def launches_disagree(model: Model, batches: Mapping[str, list[Any]]) -> list[str]:
    """Cases whose rows differ when all batches are sent before the first result is read, as the batcher does."""
    pending = {case: model.launch(batch, [DEFAULTS] * len(batch)) for case, batch in batches.items()}
    ahead = {case: _numbers(sent.rows()) for case, sent in pending.items()}
    problems = []
    for case, batch in batches.items():
        singly = _numbers(model.launch(batch, [DEFAULTS] * len(batch)).rows())
        if not (difference := float(np.abs(ahead[case] - singly).max())) <= SAME * max(1.0, np.abs(singly).max()):
            problems.append(f"{case}: a batch sent ahead differs by {difference:.3g}")
        if isinstance(model.task, Classifier):
            scores = model.scores(batch).cpu().topk(singly.shape[1]).values.numpy()
            if not (difference := float(np.abs(scores - singly).max())) <= SAME:
                problems.append(f"{case}: the scores of a batch differ by {difference:.3g} from all labels' best")
    return problems


def _numbers(rows: list[Any]) -> NDArray[np.float32]:
    """The scores of the best labels, or all numbers of the rows."""
    numbers = [np.array(row.scores, np.float32)[None] if isinstance(row, Row) else row for row in rows]
    return np.concatenate([np.atleast_2d(each) for each in numbers])
