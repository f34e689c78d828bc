"""Finds and reads a checkpoint's weights: in the files that transformers would take, and in no others."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_service.errors import StartError

FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
RENAMED = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))  # of the first releases
LFS_POINTER = b"version https://git-lfs"  # begins what Git keeps in place of a large file
CONVERT = (
    "python -c \"import torch, safetensors.torch as s; t = torch.load('pytorch_model.bin', weights_only=False); "
    "s.save_file({k: v.clone().contiguous() for k, v in t.items()}, 'model.safetensors', {'format': 'pt'})\""
)
OTHER_FORMATS = {
    "adapter_*": "an adapter alone: merge it into its base model with peft's merge_and_unload(), and save_pretrained()",
    "*.h5": "TensorFlow weights: with transformers 4, from_pretrained(…, from_tf=True).save_pretrained(…)",
    "*.msgpack": "Flax weights: with transformers 4, from_pretrained(…, from_flax=True).save_pretrained(…)",
    "*.gguf": "GGUF weights: take the checkpoint that they were converted from",
    "*.onnx": "an ONNX model: take the checkpoint that it was exported from",
    "*.safetensors": "weights under another name: rename the file to model.safetensors, or add its index",
    "*.bin": "weights under another name: rename the file to pytorch_model.bin, or add its index",
}


def files(folder: Path) -> list[Path]:
    """The files with the weights, one or all that the index lists.

    Raises:
        StartError: there are none, or one is missing.
    """
    name = next((name for name in FILES if (folder / name).is_file()), None)
    if name is None:
        raise StartError(_nothing(folder))
    if not name.endswith(".json"):
        refuse_pointer(folder / name)
        return [folder / name]
    try:
        index = json.loads((folder / name).read_bytes())["weight_map"]
        paths = [folder / str(shard) for shard in sorted(set(index.values()))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(f"{folder / name} is not an index of weights: save the model again.") from error
    for path in paths:
        if not path.is_file():
            raise StartError(f"{folder} lacks {path.name}, which {name} lists: copy it there.")
        refuse_pointer(path)
    return paths


def refuse_pointer(path: Path) -> None:
    """Raises StartError: the file is what Git LFS keeps in its place."""
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise StartError(f"{path} is only Git LFS's pointer to the file: fetch it with git lfs pull.")


def read(folder: Path, device: str = "cpu") -> dict[str, Tensor]:
    """All weights by name, mapped from the files and copied directly to the device.

    Raises:
        StartError: a file is missing or damaged, or holds more than weights.
    """
    tensors: dict[str, Tensor] = {}
    for path in files(folder):
        tensors.update(_safetensors(path, device) if path.suffix == ".safetensors" else _pickled(path, device))
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each weight, without reading any."""
    found: dict[str, tuple[int, ...]] = {}
    for path in files(folder):
        if path.suffix == ".safetensors":
            found.update(_safetensors_shapes(path))
        else:
            found.update({name: tuple(tensor.shape) for name, tensor in _pickled(path, "meta").items()})
    return {_renamed(name): shape for name, shape in found.items()}


def _safetensors(path: Path, device: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=device)
    except SafetensorError as error:
        raise StartError(f"{path}: the weights cannot be read: {error}; copy the file again.") from error


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise StartError(f"{path}: the weights cannot be read: {error}; copy the file again.") from error


def _pickled(path: Path, device: str) -> dict[str, Tensor]:
    """Unpickles tensors alone: anything else in the file could run code."""
    import pickle

    try:
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"  # older files cannot be mapped
        loaded: Any = torch.load(path, map_location=device, weights_only=True, mmap=is_zip and device != "meta")
    except pickle.UnpicklingError as error:
        raise StartError(
            f"{path} holds more than weights, which could run code: if you trust it, convert it there with {CONVERT}"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise StartError(f"{path}: the weights cannot be read: {reason}; copy the file again.") from error
    if not isinstance(loaded, dict) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise StartError(f"{path} is not the state of a model: save it with save_pretrained().")
    return loaded


def _renamed(name: str) -> str:
    for old, new in RENAMED:
        name = name.replace(old, new)
    return name


def _nothing(folder: Path) -> str:
    for pattern, explanation in OTHER_FORMATS.items():
        if any(folder.glob(pattern)):
            return f"{folder} has no model.safetensors, but {explanation}."
    return f"{folder} has no model.safetensors: save the model there with save_pretrained()."
