"""Finds a checkpoint, in a folder or in the hub's cache, and reads its files without transformers."""

import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from gpu_service.checkpoints import registry
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import StartError
from gpu_service.parameters import DEFAULTS, Parameters

PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]


@dataclass(frozen=True)
class Checkpoint:
    """A folder in the layout that `save_pretrained` writes; `defaults` are the deployment's parameters."""

    entry: Entry
    folder: Path
    defaults: Parameters = DEFAULTS

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
        """The commit of the hub's snapshot, or the entry's revision."""
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


def find(entry: Entry, models_file: Path) -> Checkpoint:
    """The checkpoint in a local folder or the hub's cache; downloaded unless HF_HUB_OFFLINE forbids it.

    Raises:
        StartError: it is not available.
    """
    if local := registry.folder(entry, models_file):
        return Checkpoint(entry, local)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    reason = "not downloaded"
    for offline in (True, False):
        if not offline and os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            break
        try:
            snapshot = snapshot_download(
                entry.source, revision=entry.revision, allow_patterns=PATTERNS, local_files_only=offline
            )
            if (Path(snapshot) / "config.json").is_file():
                return Checkpoint(entry, Path(snapshot))
        except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
            reason = str(error).splitlines()[0]
    model = f"{entry.name} ({entry.source})"
    raise StartError(f"The model {model} is neither a local folder nor in the hub's cache: {reason}")
