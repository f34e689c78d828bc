"""Chooses a model's number format: half precision on a GPU only where its scores agree with float32."""

import logging
from dataclasses import replace

import torch

from gpu_service import logs
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.serving.model import Model, samples

logger = logging.getLogger(__name__)

TOLERANCE = 0.02  # for scores in two formats
SIZES = [8, 16, 32]


def load(checkpoint: Checkpoint, device: Device) -> Model:
    """The model in the device's format if its scores agree with float32, else in bfloat16 or float32."""
    if device.dtype == torch.float32:
        return Model(checkpoint, device)
    reference = scores(Model(checkpoint, replace(device, dtype=torch.float32)))
    for dtype in dict.fromkeys((device.dtype, torch.bfloat16)):
        if model := _agreeing(checkpoint, replace(device, dtype=dtype), reference):
            return model
    return Model(checkpoint, replace(device, dtype=torch.float32))


def _agreeing(checkpoint: Checkpoint, device: Device, reference: torch.Tensor) -> Model | None:
    """The model in the device's format; None if its scores differ from the reference, or it does not run."""
    name, dtype = checkpoint.entry.name, str(device.dtype)
    try:
        model = Model(checkpoint, device)
        difference = float((scores(model) - reference).abs().max())
    except (StartError, RuntimeError) as error:  # as of models that mix their own float32 with the format
        fields = logs.fields(model=name, dtype=dtype, reason=str(error).partition("\n")[0])
        logger.warning("the model does not run in the number format", extra=fields)
        return None
    if difference <= TOLERANCE:  # False for NaN
        return model
    fields = logs.fields(model=name, dtype=dtype, difference=difference)
    logger.warning("the number format is not precise enough for the model", extra=fields)
    return None


def scores(model: Model) -> torch.Tensor:
    """Scores of made-up inputs, in float32 on the CPU."""
    return model.scores(samples(model, SIZES)).cpu()
