"""A model's folder on this machine: the files that the GPU service needs, their checksums, and the model's task.

The service chooses the files in the same way (gpu_service/checkpoints/files.py); a test compares both.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from event_inference.errors import InputError

MANIFEST = "MANIFEST.json"
TASKS = {  # by the end of an architecture's name
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
}
ALL_TASKS = (*TASKS.values(), "zero-shot-classification", "feature-extraction")
_EMBEDDING = "feature-extraction"

# At the top, or in a module's folder of sentence-transformers such as 1_Pooling.
_PLACE = re.compile(r"(\d+_\w+/)?[^/]+")
_SAFETENSORS = re.compile(r"(.+/)?model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(r"(.+/)?pytorch_model(-\d+-of-\d+)?\.bin")
_OTHERS = (".json", ".txt", ".model", ".vocab", ".codes", ".spm", ".bpe", ".tiktoken", ".jinja")
_TRAINING = ("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")
_FIRST = ("config.json", "modules.json")


def needed(names: Iterable[str]) -> list[str]:
    """Those of a folder's files, by their relative names, that make up the model: one format of the weights."""
    placed = sorted(name for name in names if _PLACE.fullmatch(name) and name != MANIFEST)
    return [*_weights(placed), *(name for name in placed if name.endswith(_OTHERS) and not name.endswith(_TRAINING))]


def _weights(names: Iterable[str]) -> Iterator[str]:
    """Of each module the safetensors, else the pickled ones."""
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(posixpath.dirname(name), []).append(name)
    for module in modules.values():
        safetensors = [name for name in module if _SAFETENSORS.fullmatch(name)]
        yield from safetensors or (name for name in module if _PICKLED.fullmatch(name))


@dataclass(frozen=True)
class ModelFolder:
    """A folder as `save_pretrained` writes it.

    Raises:
        InputError: it is no folder of a model.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise InputError(f"There is no folder {self.path}.")
        if not any((self.path / name).is_file() for name in _FIRST):
            raise InputError(f"{self.path} has no config.json, so it is not a model as save_pretrained writes it.")
        if not any(name.endswith((".safetensors", ".bin")) for name in self.files):
            raise InputError(f"{self.path} has no weights: neither model.safetensors nor pytorch_model.bin.")

    @cached_property
    def files(self) -> list[str]:
        """The needed files by their names relative to the folder, without the manifest."""
        present = (file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if file.is_file())
        return needed(present)

    @cached_property
    def manifest(self) -> bytes:
        """The content of MANIFEST.json: the files with their sizes and checksums."""
        listed = {name: self._facts(self.path / name) for name in sorted(self.files)}
        return json.dumps({"files": listed}, indent=2).encode()

    @property
    def task(self) -> str | None:
        """The task that the model was made for; None if its files don't tell."""
        if (self.path / "modules.json").is_file():
            return _EMBEDDING
        try:
            config: Any = json.loads((self.path / "config.json").read_bytes())
        except ValueError as error:
            raise InputError(f"{self.path / 'config.json'} is not valid JSON: {error}") from error
        architecture = str((config.get("architectures") or [""])[0]) if isinstance(config, dict) else ""
        return next((task for end, task in TASKS.items() if architecture.endswith(end)), None)

    @staticmethod
    def _facts(file: Path) -> dict[str, Any]:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return {"size": file.stat().st_size, "sha256": digest}
