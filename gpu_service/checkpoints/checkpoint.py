"""Finds a checkpoint and reads its files without transformers."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from gpu_service.checkpoints import bucket, hub, sources
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import StartError


@dataclass(frozen=True)
class Checkpoint:
    """A folder in the layout that `save_pretrained` writes."""

    entry: Entry
    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        return self.read("config.json")

    @cached_property
    def labels(self) -> list[str]:
        names = self.config.get("id2label") or {}
        count = len(names) or int(self.config.get("num_labels", 2))
        return [str(names.get(str(index), f"LABEL_{index}")) for index in range(count)]

    @cached_property
    def revision(self) -> str | None:
        """The commit on the hub, or the newest generation of the objects in Cloud Storage."""
        return self.folder.name if self.folder.parent.name == "snapshots" else self.entry.revision

    @cached_property
    def dense_weights(self) -> int:
        """How many weights each token or pixel is multiplied with: all but the embeddings."""
        from safetensors import safe_open

        count = 0
        for path in self.folder.glob("model*.safetensors"):
            with safe_open(path, "pt") as file:
                shapes = (file.get_slice(name).get_shape() for name in file.keys() if "embeddings" not in name)  # noqa: SIM118
                count += sum(math.prod(shape) for shape in shapes)
        return count

    def read(self, name: str) -> dict[str, Any]:
        """The content of a JSON file in the folder; empty when there is no such file."""
        path = self.folder / name
        try:
            content: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
        except ValueError as error:
            raise StartError(f"{path} is not valid JSON: {error}") from error
        return content

    def tensors(self, device: str = "cpu") -> dict[str, Tensor]:
        """All weights, mapped from the files and copied directly to the device.

        Raises:
            StartError: there is no safetensors file, or it is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        files = sorted(self.folder.glob("model*.safetensors"))
        if not files:
            raise StartError(f"{self.folder} has no model.safetensors.")
        try:
            return {name: tensor for file in files for name, tensor in load_file(file, device=device).items()}
        except SafetensorError as error:
            raise StartError(f"{self.folder}: the weights cannot be read: {error}") from error


def find(entry: Entry, models: Path | str) -> Checkpoint:
    """The checkpoint of an entry of a models.json on the local disk; downloaded from Cloud Storage or the hub.

    Raises:
        StartError, StorageFailed: it is not available.
    """
    match sources.locate(entry.source, models):
        case sources.Folder(path):
            return Checkpoint(entry, path)
        case sources.BucketFolder(uri):
            return Checkpoint(entry, bucket.download(uri))
        case sources.Repository(name):
            return Checkpoint(entry, _from_hub(name, entry.revision, models))


def _from_hub(name: str, revision: str | None, models: Path | str) -> Path:
    try:
        return hub.download(name, revision)
    except StartError as error:
        similar = sources.similar_folder(name, models)
        hint = f", such as {similar!r}," if similar else ""
        raise StartError(f"{error.message} If a folder{hint} is meant, write ./{name}.") from error
