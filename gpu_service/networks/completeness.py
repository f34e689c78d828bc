"""Refuses checkpoints whose weights are not those of the model that config.json describes."""

from collections.abc import Iterable, Mapping

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import StartError

Shape = tuple[int, ...]

SHOWN = 4  # names in a message


def refuse_missing(checkpoint: Checkpoint, names: Iterable[str]) -> None:
    """Raises StartError: weights are missing, which transformers would fill with random numbers."""
    missing = sorted(names)
    if not missing:
        return
    listed = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
    if any("embeddings" in name for name in missing):
        raise StartError(
            f"{checkpoint.folder} lacks weights that its config.json describes ({listed}): "
            "take the config.json and the weights that were saved together."
        )
    architecture = (checkpoint.config.get("architectures") or ["model"])[0]
    if "classification" not in checkpoint.entry.task:
        raise StartError(
            f"{checkpoint.folder} lacks weights for {checkpoint.entry.task} ({listed}): choose the task that its "
            f"{architecture} was trained for, or save it again with save_pretrained()."
        )
    raise StartError(
        f"{checkpoint.folder} lacks weights of a classifier ({listed}): its {architecture} was not trained to "
        "classify, or its head was not saved; fine-tune it, and save it with save_pretrained()."
    )


def refuse_mismatched(checkpoint: Checkpoint, shapes: Mapping[str, tuple[Shape, Shape]]) -> None:
    """Raises StartError: weights (`name: (actual, described)`) have other shapes than config.json describes."""
    if not shapes:
        return
    name, (actual, described) = min(shapes.items(), key=lambda item: _is_head(item[0]), default=("", ((), ())))
    labels = len(checkpoint.labels)
    where = checkpoint.folder / "config.json"
    if actual[1:] == described[1:] and described[:1] == (labels,):
        raise StartError(
            f"{where} describes {labels} labels, but {name} has {actual[0]} rows: name all {actual[0]} labels in "
            "id2label."
        )
    raise StartError(
        f"{where} describes {name} as {_text(described)}, but it is {_text(actual)}: take the config.json that was "
        "saved with these weights."
    )


def _is_head(name: str) -> bool:
    """Sorts the body first: if its weights differ too, the labels are not what is wrong."""
    return any(part in name for part in ("classif", "score", "out_proj", "logits_proj"))


def _text(shape: Shape) -> str:
    return " × ".join(map(str, shape))
