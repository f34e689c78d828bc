"""Which files of a model's folder the service needs: one format of the weights, and nothing of the training."""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator

# At the top, or in a module's folder of sentence-transformers such as 1_Pooling.
_PLACE = re.compile(r"(\d+_\w+/)?[^/]+")
_SAFETENSORS = re.compile(r"(.+/)?model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(r"(.+/)?pytorch_model(-\d+-of-\d+)?\.bin")
_OTHERS = (".json", ".txt", ".model", ".vocab", ".codes", ".spm", ".bpe", ".tiktoken", ".jinja")
_TRAINING = ("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")
MANIFEST = "MANIFEST.json"
_FIRST = ("config.json", "modules.json")  # of a model, and of one whose every module has a folder


def needed(names: Iterable[str]) -> list[str]:
    """Those of a folder's files, by their relative names, that make up the model."""
    placed = [name for name in names if _PLACE.fullmatch(name)]
    weights = list(_weights(placed))
    return weights + [name for name in placed if name.endswith(_OTHERS) and not name.endswith(_TRAINING)]


def are_of_model(names: Collection[str]) -> bool:
    """Whether a folder with these files is a model."""
    return any(name in names for name in _FIRST)


def _weights(names: Iterable[str]) -> Iterator[str]:
    """Of each module the safetensors, else the pickled ones."""
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(posixpath.dirname(name), []).append(name)
    for module in modules.values():
        safetensors = [name for name in module if _SAFETENSORS.fullmatch(name)]
        yield from safetensors or (name for name in module if _PICKLED.fullmatch(name))
