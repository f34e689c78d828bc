"""Has torch.compile fuse what follows attention in each layer; a model stays as it is where that fails."""

import logging
import os
from dataclasses import replace
from typing import Any

import torch

from gpu_service import logs
from gpu_service.networks.bert import PackedClassifier
from gpu_service.networks.transformer import Layer, after_attention
from gpu_service.networks.vit import VisionClassifier
from gpu_service.serving_model import precision
from gpu_service.serving_model.model import Model

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3  # between the scores of compiled layers and plain ones, in float32

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # one graph for each model: no pool of processes for that


def attempt(model: Model) -> None:
    """Compiles the model's layers once, for any number of rows; says in the log when it cannot, and leaves them.

    From then on nothing more is compiled: whatever the compiled code is not for runs plain, so no request waits.
    """
    network = model.network
    if not isinstance(network, PackedClassifier | VisionClassifier):
        logger.warning("a model of this kind is not compiled", extra=logs.fields(model=model.key))
        return
    model.set_threads()  # compiled code is for so many
    plain, expected = network.layers, precision.scores(model)
    torch.compiler.set_stance("default")
    try:
        network.layers = compiled(plain)
        _check(model, expected)
    except Exception as error:  # noqa: BLE001  a compiler may fail in any way, and the model runs without it
        network.layers = plain
        fields = logs.fields(model=model.key, error=type(error).__name__, reason=str(error).partition("\n")[0])
        logger.warning("compiling failed, the model runs without", extra=fields)
    else:
        model.is_compiled = True
    finally:
        torch.compiler.set_stance("eager_on_recompile")


def compiled(layers: list[Layer]) -> list[Layer]:
    """With one graph for all of them; it is made when the first one runs."""
    compile_: Any = torch.compile  # whose annotations lack the last argument
    finish = compile_(after_attention, dynamic=True, fullgraph=True, isolate_recompiles=True)
    return [replace(layer, finish=finish) for layer in layers]


def _check(model: Model, expected: torch.Tensor) -> None:
    tolerance = TOLERANCE if model.device.dtype == torch.float32 else precision.TOLERANCE
    difference = float((precision.scores(model) - expected).abs().max())
    if not difference <= tolerance:  # nor is NaN
        raise ValueError(f"Compiled, the model's scores differ by {difference:.2g}.")
