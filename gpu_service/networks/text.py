"""Decides how a text model runs: packed, in this service's own code, or padded, through transformers."""

import logging
from dataclasses import dataclass
from typing import Literal

from gpu_service import logs
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.networks import families
from gpu_service.networks.bert import PackedClassifier, PackedEncoder, PackedTagger, PackedTexts
from gpu_service.networks.completeness import refuse_mismatched, refuse_missing
from gpu_service.networks.families import Family
from gpu_service.networks.padded import PaddedClassifier, PaddedEncoder, PaddedTagger, PaddedTexts


@dataclass(frozen=True, slots=True)
class Paths:
    """Both ways to compute the same."""

    packed: type[PackedTexts]
    padded: type[PaddedTexts]


CLASSIFIER = Paths(PackedClassifier, PaddedClassifier)
TAGGER = Paths(PackedTagger, PaddedTagger)
ENCODER = Paths(PackedEncoder, PaddedEncoder)

NEEDS_KERNEL = ("mra",)  # model types whose answers are silently wrong without it

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is for the log."""

    path: Literal["packed", "fallback"]
    reason: str


def network(checkpoint: Checkpoint, device: Device, paths: Paths) -> PackedTexts | PaddedTexts:
    """Raises StartError when neither path gives the answers that the checkpoint was trained for."""
    decision = decide(checkpoint, paths)
    if decision.path == "packed":
        return paths.packed(checkpoint, device)
    made = paths.padded(checkpoint, device)
    fields = logs.fields(model=checkpoint.entry.name, reason=decision.reason, padding=made.padding)
    logger.info("the model runs through transformers", extra=fields)
    return made


def decide(checkpoint: Checkpoint, paths: Paths = CLASSIFIER) -> Decision:
    """Packed, where every setting is one that the packed code follows; the weights must then be complete.

    Raises:
        StartError: neither path can run the checkpoint.
    """
    checkpoint.check()
    config = checkpoint.config
    if str(config.get("position_embedding_type")).startswith("relative_key"):
        raise StartError(
            f"{checkpoint.folder} has the position_embedding_type {config['position_embedding_type']}, which "
            "transformers 5 no longer computes: train it again with absolute positions."
        )
    if config.get("model_type") in NEEDS_KERNEL:
        raise StartError(
            f"{checkpoint.folder} is of the type {config['model_type']}, whose attention transformers computes only "
            "with a CUDA kernel from the hub, and takes for zero without: train another architecture, such as roberta."
        )
    names = families.named(config)
    if names is None:
        kind = config.get("model_type")
        if not kind:
            raise StartError(f"{checkpoint.folder / 'config.json'} has no model_type: add it, such as distilbert.")
        return Decision("fallback", f"models of the type {kind} run through transformers")
    if reason := families.unusual(config, names):
        return Decision("fallback", f"the packed code does not follow {reason}")
    _check_weights(checkpoint, names, paths.packed)
    return Decision("packed", f"{names.prefix} with settings that the packed code follows")


def _check_weights(checkpoint: Checkpoint, names: Family, packed: type[PackedTexts]) -> None:
    """Refuses what transformers would fill with random numbers, or could not load either."""
    expected = packed.shapes(checkpoint, names)
    shapes = {name.removeprefix(f"{names.prefix}."): shape for name, shape in checkpoint.shapes.items()}
    refuse_missing(checkpoint, [name for name in expected if name not in shapes])
    refuse_mismatched(
        checkpoint, {name: (shapes[name], shape) for name, shape in expected.items() if shapes[name] != shape}
    )
