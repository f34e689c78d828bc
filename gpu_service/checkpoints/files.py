"""Which files of a model's folder the service needs: one format of the weights, and nothing of the training."""

import re
from collections.abc import Iterable

# At the top, or in a module's folder of sentence-transformers such as 1_Pooling.
_PLACE = re.compile(r"(\d+_\w+/)?[^/]+")
_SAFETENSORS = re.compile(r"(.+/)?model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(r"(.+/)?pytorch_model(-\d+-of-\d+)?\.bin")
_OTHERS = (".json", ".txt", ".model", ".vocab", ".codes", ".spm", ".bpe", ".tiktoken", ".jinja")
_TRAINING = ("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")
MANIFEST = "MANIFEST.json"


def needed(names: Iterable[str]) -> list[str]:
    """Those of a folder's files, by their relative names, that make up the model."""
    placed = [name for name in names if _PLACE.fullmatch(name)]
    weights = [name for name in placed if _SAFETENSORS.fullmatch(name)]
    weights = weights or [name for name in placed if _PICKLED.fullmatch(name)]
    return weights + [name for name in placed if name.endswith(_OTHERS) and not name.endswith(_TRAINING)]
