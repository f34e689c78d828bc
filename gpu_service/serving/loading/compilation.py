"""Fuses what follows attention in each layer with torch.compile; where that fails, the model runs uncompiled."""

import logging
import os
from dataclasses import replace
from typing import Any

import torch

from gpu_service import logs
from gpu_service.batching.threads import Threads
from gpu_service.networks.bert import PackedClassifier
from gpu_service.networks.transformer import Layer, after_attention
from gpu_service.networks.vit import VisionClassifier
from gpu_service.serving.loading import precision
from gpu_service.serving.model import Model

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3  # for scores of compiled and uncompiled layers, in float32

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # one graph for each model needs no process pool


def compile_layers(model: Model) -> None:
    """Compiles the model's layers for any number of rows, or logs why it cannot.

    Nothing is compiled later, so no request waits for it: inputs that the compiled code does not cover run uncompiled.
    """
    network = model.network
    if not isinstance(network, PackedClassifier | VisionClassifier):
        logger.warning("models of this architecture are not compiled", extra=logs.fields(model=model.key))
        return
    model.threads = Threads(model.threads.way.threads, fixed=True)  # compiled code depends on their number
    model.set_threads()
    layers, expected = network.layers, precision.scores(model)
    torch.compiler.set_stance("default")
    try:
        network.layers = compiled(layers)
        _check(model, expected)
    except Exception as error:  # noqa: BLE001  a compiler may fail in any way
        network.layers = layers
        fields = logs.fields(model=model.key, error=type(error).__name__, reason=str(error).partition("\n")[0])
        logger.warning("compiling failed, the model runs uncompiled", extra=fields)
    else:
        model.is_compiled = True
    finally:
        torch.compiler.set_stance("eager_on_recompile")


def compiled(layers: list[Layer]) -> list[Layer]:
    """The layers with one graph for all of them, which is made when the first one runs."""
    compile_: Any = torch.compile  # its annotations lack the last argument
    finish = compile_(after_attention, dynamic=True, fullgraph=True, isolate_recompiles=True)
    return [replace(layer, finish=finish) for layer in layers]


def _check(model: Model, expected: torch.Tensor) -> None:
    tolerance = TOLERANCE if model.device.dtype == torch.float32 else precision.TOLERANCE
    difference = float((precision.scores(model) - expected).abs().max())
    if not difference <= tolerance:  # False for NaN
        raise ValueError(f"The compiled model's scores differ by {difference:.2g}.")
