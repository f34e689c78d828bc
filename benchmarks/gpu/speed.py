"""Measures one number format on the device: the models alone, the service under load, images, and a shard."""

import argparse
import asyncio
import base64
import io
import itertools
import json
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.gpu import checkpoints
from benchmarks.serving import load, models, peers, process
from benchmarks.serving.paths import ROOT
from benchmarks.serving.run import Durations, closed
from gpu_service.serving.loading import precision

PIPELINE_ROWS = 32  # in a batch of transformers' pipeline
FALLBACKS = (  # in the service's log
    "the number format is not precise enough for the model",
    "the model does not run in the number format",
)
BUCKET = "work"


def ceiling(options: argparse.Namespace) -> dict[str, Any]:
    """Texts per second of the packed forward pass alone, by texts in a batch, and of transformers' pipeline."""
    from gpu_service.serving.model import Model

    texts = [reference["text"] for reference in models.references(checkpoints.served_name(quick=options.quick))]
    checkpoint = checkpoints.checkpoint("distilbert", options.folder, quick=options.quick)
    model = Model(checkpoint, _device(options))
    ids = [payload.data for payload in model.inputs.payloads(texts)]  # type: ignore[union-attr]
    rates = {rows: rate(model.network, ids, rows, options) for rows in (1, 8, 32, 128, 512)}
    figures: dict[str, Any] = {"packed": rates, "problems": []}
    try:
        figures["pipeline"] = _pipeline_rate(options, texts)
    except Exception as error:  # noqa: BLE001  the peer's failure must not hide our figures
        figures["problems"].append(f"transformers' pipeline: {type(error).__name__}: {error}")
    return figures


def _pipeline_rate(options: argparse.Namespace, texts: Sequence[str]) -> float:
    from transformers import pipeline

    chosen = _device(options)
    folder = str(models.folder(checkpoints.served_name(quick=options.quick)))
    classify: Any = pipeline(
        "text-classification", model=folder, tokenizer=folder, device=chosen.handle, dtype=chosen.dtype
    )
    return rate(lambda batch: classify(list(batch), batch_size=PIPELINE_ROWS, truncation=True), texts, 256, options)


def rate(run: Callable[[Any], Any], items: Sequence[Any], rows: int, options: argparse.Namespace) -> float:
    """Items per second in batches of `rows`; the device has finished them all when the time is taken."""
    batches = [items[start : start + rows] for start in range(0, len(items) - len(items) % rows or 1, rows)]
    run(batches[0])
    _synchronize(options)
    began, done = time.perf_counter(), 0
    for batch in itertools.cycle(batches):
        run(batch)
        done += len(batch)
        if time.perf_counter() - began > options.cell:
            break
    _synchronize(options)
    return round(done / (time.perf_counter() - began), 1)


def images(options: argparse.Namespace) -> dict[str, Any]:
    """ViT images per second: the forward pass alone by images in a batch, and the service with JPEGs to decode."""
    from gpu_service.serving.model import Model, samples

    checkpoint = checkpoints.checkpoint("vit", options.folder, quick=options.quick)
    model = Model(checkpoint, _device(options))
    counts = (1, 8) if options.quick else (1, 8, 64, 256)
    alone = {rows: rate(model.network, samples(model, [1] * max(counts)), rows, options) for rows in counts}
    return {"alone": alone, "service": asyncio.run(_service_rate(options)), "problems": []}


async def _service_rate(options: argparse.Namespace) -> float:
    from benchmarks.gpu import service as in_process
    from gpu_service.settings import Settings

    profile = {"gpu": [{"name": "vit", "task": "image-classification", "source": "vit"}]}
    (path := options.folder / f"models-{options.format}.json").write_text(json.dumps(profile))
    request = [_jpeg(number) for number in range(64)]
    settings = Settings(profile="gpu", models=path, device=options.device, dtype=options.format)
    async with in_process.serving(settings) as (service, _):
        await service.predict(request, None, {})
        began, done = time.perf_counter(), 0

        async def client() -> None:
            nonlocal done
            while time.perf_counter() - began < options.cell:
                done += len((await service.predict(request, None, {})).outcomes)

        await asyncio.gather(*(client() for _ in range(4)))
        return round(done / (time.perf_counter() - began), 1)


def _jpeg(number: int) -> dict[str, Any]:
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((640, 480)).save(out := io.BytesIO(), "JPEG")
    return {"image": {"b64": base64.b64encode(out.getvalue()).decode()}}


def serving(options: argparse.Namespace) -> dict[str, Any]:
    """A closed loop for each number of clients against the service as a process."""
    import uvloop

    return uvloop.run(_serving(options))


async def _serving(options: argparse.Namespace) -> dict[str, Any]:
    durations = Durations(cell=options.cell + options.cell / 2, warmup=options.cell / 2, open_loop=0, ceilings=0)
    async with process.serving(_peer(options), *_served(options)) as server:
        cells = {clients: await closed(server.target, clients, durations) for clients in options.clients}
        problems = _fallbacks(server)
    bad = {
        outcome: count for cell in cells.values() for outcome, count in cell["outcomes"].items() if outcome != load.OK
    }
    problems += [f"{count} answers were {outcome}" for outcome, count in bad.items()]
    return {"ready_s": round(server.ready_seconds, 2), "cells": cells, "problems": problems}


def shard(options: argparse.Namespace) -> dict[str, Any]:
    """Rows per second of one shard through /predict-shard, with storage in another process."""
    return asyncio.run(_shard(options))


async def _shard(options: argparse.Namespace) -> dict[str, Any]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    references = models.references(checkpoints.served_name(quick=options.quick))
    expected = list(itertools.islice(itertools.cycle(references), options.rows))
    with _store() as address:
        os.environ["STORAGE_EMULATOR_HOST"] = address
        bucket = storage.Client(project="local", credentials=AnonymousCredentials()).create_bucket(BUCKET)
        lines = "".join(json.dumps({"text": each["text"]}) + "\n" for each in expected)
        bucket.blob("shards/in.jsonl").upload_from_string(lines)
        peer = _peer(options, STORAGE_EMULATOR_HOST=address, WORK_BUCKET=BUCKET)
        async with process.serving(peer, *_served(options)) as server:
            began = time.perf_counter()
            summary = await asyncio.to_thread(_predict_shard, server.port)
            seconds = time.perf_counter() - began
            problems = _fallbacks(server)
        answers = [json.loads(line) for line in bucket.blob("shards/out.jsonl").download_as_bytes().splitlines()]
    wrong = sum(answer.get("label") != each["label"] for answer, each in zip(answers, expected, strict=True))
    failed = sum(summary["failed"].values())
    problems += [f"{failed} rows failed: {summary['failed']}"] if failed else []
    problems += [f"{wrong} of {len(expected)} labels differ from float32's"] if wrong > len(expected) / 50 else []
    gpu_seconds = summary["timing"]["gpu_seconds"]
    return {
        "rows": len(expected),
        "seconds": round(seconds, 2),
        "rows_per_second": round(len(expected) / seconds, 1),
        "device_seconds": round(gpu_seconds, 2),
        "other_labels": wrong,
        "problems": problems,
    }


def _predict_shard(port: int) -> dict[str, Any]:
    body = json.dumps({"input": f"gs://{BUCKET}/shards/in.jsonl", "output": f"gs://{BUCKET}/shards/out.jsonl"}).encode()
    request = urllib.request.Request(
        f"http://{load.HOST}:{port}/predict-shard", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        summary: dict[str, Any] = json.load(response)
    return summary


@contextmanager
def _store() -> Iterator[str]:
    """The emulated Cloud Storage in a thread of this process; yields its URL."""
    import uvicorn

    from emulator.storage import Store, app

    store = Store()
    with socket.socket() as listener:
        listener.bind((load.HOST, 0))
        server = uvicorn.Server(uvicorn.Config(app(store), log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://{load.HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            store.close()


def _peer(options: argparse.Namespace, **env: str) -> peers.Peer:
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    tolerance = models.TOLERANCE if options.device == "cpu" else precision.TOLERANCE
    return peers.gpu_service(options.device, tolerance, DTYPE=options.format, PYTHONPATH=paths, **env)


def _served(options: argparse.Namespace) -> tuple[str, int]:
    """The model, and the number of threads."""
    return checkpoints.served_name(quick=options.quick), process.default_threads()


def _fallbacks(server: process.Server) -> list[str]:
    log = server.log.read_text(errors="replace")
    return [f"the service chose another number format: {reason}" for reason in FALLBACKS if reason in log]


def _device(options: argparse.Namespace) -> Any:
    from gpu_service.checkpoints import device

    return device.choose(options.device, options.format, required=options.device != "cpu")


def _synchronize(options: argparse.Namespace) -> None:
    import torch

    if options.device != "cpu":
        torch.cuda.synchronize()
