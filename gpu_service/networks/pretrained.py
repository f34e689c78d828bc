"""Loads checkpoints through transformers' Auto classes, complete or not at all."""

from typing import Any

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.networks.completeness import refuse_mismatched, refuse_missing

AUTO_CLASSES = (
    "AutoModel",
    "AutoModelForImageClassification",
    "AutoModelForObjectDetection",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoImageProcessor",
    "AutoTokenizer",
)


def prepare() -> None:
    """Imports what most models need. That takes seconds, in which other threads hardly run."""
    import transformers

    for name in AUTO_CLASSES:
        getattr(transformers, name)


def load(checkpoint: Checkpoint, device: Device, auto_class: str, *, unused: str | None = None) -> Any:
    """The model, on the device.

    Args:
        unused: a part of the model that the caller does not use, whose weights may be missing.

    Raises:
        StartError: transformers cannot load it, or only with random weights.
    """
    import transformers

    try:
        model, report = getattr(transformers, auto_class).from_pretrained(
            checkpoint.folder,
            dtype=device.dtype,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to refuse them by name
        )
    except Exception as error:
        raise StartError(f"{checkpoint.folder} cannot be loaded by transformers: {first_line(error)}.") from error
    missing = [name for name in report["missing_keys"] if unused is None or unused not in name]
    refuse_missing(checkpoint, missing)
    refuse_mismatched(checkpoint, {name: (tuple(was), tuple(is_)) for name, was, is_ in report["mismatched_keys"]})
    return model.to(device.handle).eval()


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
