"""Finds a checkpoint and reads its files without transformers."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from gpu_service.checkpoints import bucket, hub, sources, weights
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import StartError
from gpu_service.parameters import Requested

PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")

Scoring = Literal["none", "sigmoid", "softmax"]


@dataclass(frozen=True)
class Checkpoint:
    """A folder in the layout that `save_pretrained` writes; `defaults` are those that the deployment sets."""

    entry: Entry
    folder: Path
    defaults: Requested = field(default_factory=dict)

    @cached_property
    def config(self) -> dict[str, Any]:
        return self.read("config.json")

    @cached_property
    def labels(self) -> list[str]:
        """The labels' names by their numbers; without id2label the names that transformers makes up.

        Raises:
            StartError: the numbers are not 0 to n - 1.
        """
        names = self.config.get("id2label")
        if names is None:
            return [f"LABEL_{index}" for index in range(int(self.config.get("num_labels") or 2))]
        expected = [str(index) for index in range(len(names))] if isinstance(names, dict) else []
        if not expected or sorted(names) != sorted(expected):
            where = self.folder / "config.json"
            raise StartError(f'{where}: id2label must give a name to each label from "0" on, without gaps.')
        return [str(names[index]) for index in expected]

    @cached_property
    def scoring(self) -> Scoring:
        """What turns logits into scores, as in transformers' pipelines for classification."""
        problem = self.config.get("problem_type")
        if problem == "regression":
            return "none"
        return "sigmoid" if problem == "multi_label_classification" or len(self.labels) == 1 else "softmax"

    @cached_property
    def revision(self) -> str | None:
        """The commit on the hub, or the newest generation of the objects in Cloud Storage."""
        return self.folder.name if self.folder.parent.name == "snapshots" else self.entry.revision

    @cached_property
    def state(self) -> str:
        """Tells its weights from others of the same name: the revision, or of a folder the files' sizes and times."""
        if self.revision is not None:
            return self.revision
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        facts = [(str(path.relative_to(self.folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each weight. Raises StartError: they are missing or damaged."""
        return weights.shapes(self.folder)

    @property
    def dense_weights(self) -> int:
        """How many weights each token or pixel is multiplied with: all but the embeddings."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if "embeddings" not in name)

    def read(self, name: str) -> dict[str, Any]:
        """The content of a JSON file in the folder; empty when there is no such file."""
        path = self.folder / name
        try:
            content: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
        except ValueError as error:
            weights.refuse_pointer(path)
            raise StartError(f"{path} is not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise StartError(f"{path} must be a JSON object.")
        return content

    def tensors(self, device: str = "cpu") -> dict[str, Tensor]:
        """All weights, on the device. Raises StartError: they are missing or damaged."""
        return weights.read(self.folder, device)

    def check(self) -> None:
        """Refuses a checkpoint that would load but not answer as it was trained.

        Raises:
            StartError: it needs code, an adapter or a quantisation of its own, or config.json contradicts itself.
        """
        weights.files(self.folder)
        for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
            if self.read(name).get("auto_map"):
                raise StartError(
                    f"{self.folder / name} names code of its own (auto_map), which the service never runs: "
                    "remove auto_map if transformers' own class of this architecture computes the same."
                )
        if quantisation := self.config.get("quantization_config"):
            method = quantisation.get("quant_method") if isinstance(quantisation, dict) else None
            raise StartError(
                f"{self.folder} is quantised ({method or 'somehow'}): take the checkpoint from before that, or save it "
                "again after transformers' model.dequantize(); a GPU runs it in float16 anyway."
            )
        if (self.folder / "adapter_config.json").is_file():
            raise StartError(
                f"{self.folder} has an adapter: merge it with peft's merge_and_unload(), save_pretrained() the result."
            )
        self._check_problem()

    def _check_problem(self) -> None:
        problem = self.config.get("problem_type")
        where = f"{self.folder / 'config.json'}: problem_type"
        if problem not in (None, *PROBLEMS):
            raise StartError(f"{where} must be one of {', '.join(PROBLEMS)}, or absent, not {problem!r}.")
        if problem == "single_label_classification" and len(self.labels) == 1:
            raise StartError(f"{where} single_label_classification needs two labels; for one, take regression.")


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


def is_local(entry: Entry, models: Path | str) -> bool:
    """Whether the files are on the local disk without a download. Raises StartError, StorageFailed."""
    return isinstance(sources.locate(entry.source, models), sources.Folder)


def _from_hub(name: str, revision: str | None, models: Path | str) -> Path:
    try:
        return hub.download(name, revision)
    except StartError as error:
        similar = sources.similar_folder(name, models)
        hint = f", such as {similar!r}," if similar else ""
        raise StartError(f"{error.message} If a folder{hint} is meant, write ./{name}.") from error
