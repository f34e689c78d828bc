"""Checks the GPU paths around the models: the choice of the device, the service, lack of memory, compiling."""

import argparse
import asyncio
import base64
import io
import logging
import shutil
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import checkpoints, parity, speed
from benchmarks.gpu.service import serving
from gpu_service.batching.batcher import Batcher
from gpu_service.batching.cost_model import Cost
from gpu_service.batching.order import Order
from gpu_service.batching.scheduler import Scheduler, Ticket
from gpu_service.checkpoints import device
from gpu_service.errors import ServiceError, StartError
from gpu_service.parameters import DEFAULTS
from gpu_service.serving.loading import compilation, precision
from gpu_service.serving.metrics import Metrics
from gpu_service.serving.model import Model
from gpu_service.serving.predictions import Outcome
from gpu_service.settings import Settings
from gpu_service.tasks.classification import Row
from gpu_service.tasks.predictions import Classification

INSTANCES: list[Any] = [
    {"text": "A warm and funny film."},
    {"text": ""},
    {"text": " \n"},
    {"text": "dull " * 3000},
    {"text": "x"},
    *({"text": "A story of " + "very " * length + "long days."} for length in range(40)),
]
SPARE_BYTES = 192 << 20  # beside the model, when memory is made scarce
LONG_TEXTS = 128  # of 512 tokens: more than that memory holds at once


class Skipped(Exception):  # noqa: N818  not a failure
    """The check does not apply to this machine."""


def choice(options: argparse.Namespace) -> dict[str, Any]:
    """The device is found by every way to ask for it, and a missing one is a clear error."""
    if options.device == "cpu":
        return {"device": device.choose("cpu").name, "problems": []}
    chosen = [device.choose(requested, required=True) for requested in ("auto", "cuda", "cuda:0")]
    problems = [] if len(set(chosen)) == 1 else [f"auto, cuda and cuda:0 are different devices: {chosen}"]
    try:
        device.choose("cuda:99")
        problems.append("cuda:99 was accepted")
    except StartError:
        pass
    except Exception as error:  # noqa: BLE001  the type is what is checked
        problems.append(f"cuda:99 raises {type(error).__name__} rather than StartError: {error}")
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": chosen[0].name,
        "dtype": str(chosen[0].dtype),
        "capability": f"{properties.major}.{properties.minor}",
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "problems": problems,
    }


def service(options: argparse.Namespace) -> dict[str, Any]:
    """The starter models behind the batcher answer as on the CPU, to one request and to many at once."""
    return asyncio.run(_service(options))


async def _service(options: argparse.Namespace) -> dict[str, Any]:
    instances = [*INSTANCES, *(_picture(shade) for shade in range(0, 256, 32))]
    async with serving(Settings(profile="starter", device="cpu")) as (plain, _):
        expected = (await plain.predict(instances, None, {})).outcomes
    async with serving(Settings(profile="starter", device=options.device)) as (tested, metrics):
        together = (await tested.predict(instances, None, {})).outcomes
        results = await asyncio.gather(*(tested.predict([each], None, {}) for each in instances))
        text = metrics.text().decode()
        formats = {key: str(model.device.dtype) for key, model in tested.catalog.models.items()}
    alone = [result.outcomes[0] for result in results]
    problems = [*_disagreements("one request", expected, together), *_disagreements("many", expected, alone)]
    lines = {line.split(" ")[0]: float(line.split(" ")[1]) for line in text.splitlines() if line.startswith("gpu_")}
    used = lines.get('gpu_service_gpu_memory_bytes{state="used"}', 0.0)
    if options.device != "cpu" and not used > 0:
        problems.append("the metrics do not show the GPU's memory")
    utilization = lines.get("gpu_service_gpu_utilization_ratio")
    return {"formats": formats, "memory_used": used, "utilization": utilization, "problems": problems}


def _picture(shade: int) -> dict[str, Any]:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 255 - shade, 90)).save(out, "PNG")
    return {"image": {"b64": base64.b64encode(out.getvalue()).decode()}}


def _disagreements(way: str, expected: list[Outcome], found: list[Outcome]) -> list[str]:
    pairs = zip(expected, found, strict=True)
    return [f"{way}, instance {n}: {b} instead of {a}" for n, (a, b) in enumerate(pairs) if not _agree(a, b)]


def _agree(expected: Outcome, found: Outcome) -> bool:
    if isinstance(expected, ServiceError) or isinstance(found, ServiceError):
        return getattr(expected, "code", None) == getattr(found, "code", "")
    assert isinstance(expected, Classification)
    assert isinstance(found, Classification)
    score = found.scores.get(expected.label, 0.0)  # near 0.5 either label may come first
    return abs(score - expected.score) <= precision.TOLERANCE and found.truncated == expected.truncated


def out_of_memory(options: argparse.Namespace) -> dict[str, Any]:
    """A batch larger than the memory is split, every text gets its scores, and later batches are smaller."""
    if options.device == "cpu":
        raise Skipped("needs a GPU")
    return asyncio.run(_out_of_memory(options))


async def _out_of_memory(options: argparse.Namespace) -> dict[str, Any]:
    checkpoint = checkpoints.checkpoint("distilbert", options.folder, quick=options.quick)
    model = Model(checkpoint, device.choose(options.device, required=True))
    cost = Cost(base=1e-3, each=1e-7, packed=True, limit=LONG_TEXTS * 512, max_seconds=1e3)
    texts = [np.random.default_rng(seed).integers(5, 30_000, 512) for seed in range(4)]
    expected = model.scores(texts).amax(1).tolist()
    scheduler = Scheduler({model.key: cost}, max_queue=10_000, max_wait_s=60)
    batcher = Batcher({model.key: model}, scheduler, Metrics(scheduler))
    halvings = Halvings()
    logging.getLogger("gpu_service.batching.batcher").addHandler(halvings)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + SPARE_BYTES) / total)
    batcher.start()
    rows = await _run(batcher, model, [texts[number % 4] for number in range(LONG_TEXTS)])
    after = await _run(batcher, model, texts)
    await batcher.stop()
    wrong = [
        number
        for number, row in enumerate([*rows, *after])
        if not isinstance(row, Row) or abs(row.scores[0] - expected[number % 4]) > precision.TOLERANCE
    ]
    problems = (
        [f"{len(wrong)} of {len(rows) + len(after)} texts failed or have wrong scores: {wrong[:9]}"] if wrong else []
    )
    problems += [] if halvings.count else ["no batch ran out of memory, so nothing was checked"]
    problems += [] if cost.limit < LONG_TEXTS * 512 else ["the limit of a batch was not lowered"]
    return {"halvings": halvings.count, "limit after": cost.limit, "problems": problems}


class Halvings(logging.Handler):
    """Counts the batches that the batcher reports as halved."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.getMessage() == "a batch failed and is halved"


async def _run(batcher: Batcher, model: Model, texts: list[Any]) -> list[Any]:
    order = Order(asyncio.get_running_loop().create_future(), [DEFAULTS] * len(texts), [None] * len(texts))
    tickets = [
        Ticket(model.key, ids, len(ids), float("inf"), bulk=True, owner=order, index=index)
        for index, ids in enumerate(texts)
    ]
    await batcher.run(order, tickets)
    return order.outcomes


def compiled(options: argparse.Namespace) -> dict[str, Any]:
    """COMPILE=1 gives the scores of the uncompiled layers, also for numbers of rows it has not seen."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        raise Skipped("needs a C compiler")
    checkpoint = checkpoints.checkpoint("distilbert", options.folder, quick=options.quick)
    chosen = device.choose(options.device, required=options.device != "cpu")
    plain, model = Model(checkpoint, chosen), Model(checkpoint, chosen)
    compilation.compile_layers(model)
    batches = parity.inputs(model, quick=options.quick)
    errors = parity.differences(plain, model, batches)
    limit = parity.LIMITS[str(chosen.dtype).removeprefix("torch.")]
    problems = [f"{case}: logits differ by {error:.3g}" for case, error in errors.items() if not error <= limit]
    problems += [] if model.is_compiled else ["compiling failed; the log says why"]
    mixed = batches["mixed lengths"]
    ways = {"plain": plain, "compiled": model}
    rates = {way: speed.rate(each.network, mixed, len(mixed), options) for way, each in ways.items()}
    return {"dtype": str(chosen.dtype), "differences": errors, "texts per second": rates, "problems": problems}
