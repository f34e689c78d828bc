"""The tasks other than classification behind the batcher: their predictions beside the CPU's, and their speed."""

import argparse
import asyncio
import base64
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu import checkpoints, tasks
from benchmarks.gpu.service import serving
from benchmarks.gpu.speed import rate
from benchmarks.serving import models
from gpu_service.checkpoints import device
from gpu_service.errors import ServiceError
from gpu_service.parameters import DEFAULTS
from gpu_service.serving.loading import precision
from gpu_service.serving.model import Model, samples
from gpu_service.serving.predictions import Outcome
from gpu_service.settings import Settings
from gpu_service.tasks.predictions import Classification, Detection, Embedding, Entities

PARAMETERS: dict[str, dict[str, Any]] = {
    "token-classification": {"aggregation": "none"},
    "zero-shot-classification": {"labels": [f"the topic {number}" for number in range(10)], "multi_label": True},
    "object-detection": {"threshold": 0.1},
}
TEXTS = 64
CLIENTS = 4
LEAST_COSINE = 0.999
LEAST_OVERLAP = 0.9  # of two boxes of one object
ROWS = {"text": 128, "image": 16}  # of a batch for the forward pass alone
TOKENS = 64


def predictions(options: argparse.Namespace) -> dict[str, Any]:
    """A model's answers to one request, and to many at once, agree with those on the CPU."""
    return asyncio.run(_predictions(options))


async def _predictions(options: argparse.Namespace) -> dict[str, Any]:
    path, parameters = _models_file(options.folder, options.model), PARAMETERS.get(tasks.TASKS[options.model], {})
    instances = _instances(options.model, quick=options.quick)
    async with serving(Settings(profile="gpu", models=path, device="cpu")) as (plain, _):
        expected = (await plain.predict(instances, None, parameters)).outcomes
    async with serving(Settings(profile="gpu", models=path, device=options.device)) as (tested, _):
        together = (await tested.predict(instances, None, parameters)).outcomes
        results = await asyncio.gather(*(tested.predict([each], None, parameters) for each in instances))
        served_as = str(next(iter(tested.catalog.models.values())).device.dtype).removeprefix("torch.")
    alone = [result.outcomes[0] for result in results]
    ways = {"one request": together, "many requests": alone}
    problems = [
        f"{way}, instance {number}: {b} instead of {a}"[:500]
        for way, found in ways.items()
        for number, (a, b) in enumerate(zip(expected, found, strict=True))
        if not agree(a, b)
    ]
    return {"served as": served_as, "compared": _compared(expected), "problems": problems}


def _models_file(folder: Path, name: str) -> Path:
    path = folder / f"models-{name}.json"
    path.write_text(json.dumps({"gpu": [{"name": name, "task": tasks.TASKS[name], "source": name}]}))
    return path


def _instances(name: str, *, quick: bool) -> list[Any]:
    if tasks.TASKS[name] != "object-detection":
        return [{"text": reference["text"]} for reference in models.references("tiny")[: 8 if quick else TEXTS]]
    return [_photo(number) for number in range(4 if quick else 16)]


def _photo(number: int) -> dict[str, Any]:
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    size = (640, 480) if number % 2 else (480, 640)
    Image.fromarray(pixels).resize(size).save(out := io.BytesIO(), "PNG")
    return {"image": {"b64": base64.b64encode(out.getvalue()).decode()}}


def _compared(expected: list[Outcome]) -> int:
    """How many entities, objects or predictions there were to compare."""
    return sum(
        len(each.entities) if isinstance(each, Entities) else len(each.objects) if isinstance(each, Detection) else 1
        for each in expected
    )


def agree(expected: Outcome, found: Outcome) -> bool:
    """Whether they say the same, apart from what the number format's tolerance lets change places."""
    if isinstance(expected, ServiceError) or isinstance(found, ServiceError):
        return getattr(expected, "code", None) == getattr(found, "code", "")
    if expected.truncated != found.truncated:
        return False
    match expected, found:
        case Classification(), Classification():
            scores = found.scores
            return all(abs(scores[label] - score) <= precision.TOLERANCE for label, score in expected.scores.items())
        case Embedding(), Embedding():
            a, b = np.array(expected.embedding), np.array(found.embedding)
            return bool(a @ b >= LEAST_COSINE * np.linalg.norm(a) * np.linalg.norm(b))
        case Entities(), Entities():
            tagged = {(each.index, each.entity): each.score for each in found.entities}
            certain = [each for each in expected.entities if each.score > 0.5 + precision.TOLERANCE]
            return all(
                abs(tagged.get((each.index, each.entity), 0.0) - each.score) <= 2 * precision.TOLERANCE
                for each in certain
            )
        case Detection(), Detection():
            least = PARAMETERS["object-detection"]["threshold"] + precision.TOLERANCE
            return all(
                any(_is_same_object(one, other) for other in found.objects)
                for one in expected.objects
                if one.score > least
            )
    return False


def _is_same_object(one: Any, other: Any) -> bool:
    return (
        one.label == other.label
        and abs(one.score - other.score) <= 2 * precision.TOLERANCE
        and _overlap(one.box, other.box) >= LEAST_OVERLAP
    )


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union."""
    width = min(one.xmax, other.xmax) - max(one.xmin, other.xmin) + 1
    height = min(one.ymax, other.ymax) - max(one.ymin, other.ymin) + 1
    common = max(0, width) * max(0, height)
    areas = sum((box.xmax - box.xmin + 1) * (box.ymax - box.ymin + 1) for box in (one, other))
    return float(common / (areas - common))


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """For each task, inputs per second of the forward pass alone, and of the service in this process."""
    figures: dict[str, Any] = {"problems": []}
    for name in tasks.SERVED:
        try:
            figures[name] = {"forward": _forward(options, name), "served": asyncio.run(_served(options, name))}
        except Exception as error:  # noqa: BLE001  one task's failure must not hide the others
            figures["problems"].append(f"{name}: {type(error).__name__}: {error}")
    return figures


def _forward(options: argparse.Namespace, name: str) -> float:
    chosen = device.choose(options.device, options.format, required=options.device != "cpu")
    model = Model(checkpoints.checkpoint(name, options.folder, quick=options.quick), chosen)
    size, rows = (TOKENS, ROWS["text"]) if model.task.kind == "text" else (1, ROWS["image"])
    inputs = samples(model, [size] * rows)
    return rate(lambda batch: model.launch(batch, [DEFAULTS] * len(batch)).rows(), inputs, rows, options)


async def _served(options: argparse.Namespace, name: str) -> float:
    parameters = PARAMETERS.get(tasks.TASKS[name], {})
    request = _instances(name, quick=options.quick)
    settings = Settings(
        profile="gpu", models=_models_file(options.folder, name), device=options.device, dtype=options.format
    )
    async with serving(settings) as (service, _):
        await service.predict(request, None, parameters)
        began, done = time.perf_counter(), 0

        async def client() -> None:
            nonlocal done
            while time.perf_counter() - began < options.cell:
                done += len((await service.predict(request, None, parameters)).outcomes)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return round(done / (time.perf_counter() - began), 1)
