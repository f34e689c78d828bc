"""Reads a folder in the layout of sentence-transformers: modules.json and a folder per module."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.networks.pooling import MODES, Step
from gpu_service.networks.transformer import Linear

FLAGS = {  # of older 1_Pooling/config.json, in the order in which several modes are concatenated
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Tanh": torch.tanh,
    "Identity": lambda vectors: vectors,
    "ReLU": F.relu,
    "GELU": F.gelu,
    "Sigmoid": torch.sigmoid,
}
SETTINGS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


@dataclass(frozen=True)
class SentenceTransformer:
    """The encoder, and what makes a vector of its rows; a plain encoder has the defaults.

    `max_length` is None where the encoder and its tokenizer decide.
    """

    encoder: Checkpoint
    max_length: int | None = None
    modes: tuple[str, ...] = ("mean",)
    modules: tuple[tuple[str, Checkpoint], ...] = ()  # after pooling, by their kinds
    is_listed: bool = False
    lowers_case: bool = False
    prompt: str = ""

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> Self:
        """Raises StartError when a module is not supported."""
        path = checkpoint.folder / "modules.json"
        if not path.is_file():
            return cls(checkpoint)
        try:
            listed = [(entry["type"].rpartition(".")[2], entry["path"]) for entry in json.loads(path.read_bytes())]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StartError(f"{path} is not a list of sentence-transformers' modules.") from error
        kinds = [kind for kind, _ in listed]
        unsupported = next((kind for kind in kinds[2:] if kind not in ("Normalize", "Dense")), None)
        if kinds[:2] != ["Transformer", "Pooling"] or unsupported:
            raise StartError(
                f"{path} lists {', '.join(kinds) or 'nothing'}; supported are Transformer and Pooling, "
                "followed by Dense and Normalize."
            )
        parts = [replace(checkpoint, folder=checkpoint.folder / place) for _, place in listed]
        settings = next((found for name in SETTINGS if (found := parts[0].read(f"sentence_{name}_config.json"))), {})
        limit = settings.get("max_seq_length")
        pooling = parts[1].read("config.json")
        return cls(
            encoder=parts[0],
            max_length=None if limit is None else int(limit),
            modes=_modes(parts[1], pooling),
            modules=tuple(zip(kinds[2:], parts[2:], strict=True)),
            is_listed=True,
            lowers_case=bool(settings.get("do_lower_case")),
            prompt=_prompt(checkpoint, pooling),
        )

    def prepared(self, text: Any) -> Any:
        """The text as sentence-transformers hands it to the tokenizer."""
        if not self.is_listed or not isinstance(text, str) or not text.strip():
            return text
        text = (self.prompt + text).strip()
        return text.lower() if self.lowers_case else text

    def steps(self, device: Device) -> list[Step]:
        return [_dense(module, device) if kind == "Dense" else F.normalize for kind, module in self.modules]


def _modes(module: Checkpoint, config: dict[str, Any]) -> tuple[str, ...]:
    """Raises StartError."""
    named = config.get("pooling_mode") or [mode for flag, mode in FLAGS.items() if config.get(flag)]
    modes = (named,) if isinstance(named, str) else tuple(named)
    if unknown := next((mode for mode in modes if mode not in MODES), None):
        raise StartError(f"{module.folder} pools by {unknown!r}; supported are {', '.join(MODES)}.")
    return modes or ("mean",)


def _prompt(checkpoint: Checkpoint, pooling: dict[str, Any]) -> str:
    """The prompt that precedes every text. Raises StartError."""
    config = checkpoint.read("config_sentence_transformers.json")
    prompt = str((config.get("prompts") or {}).get(config.get("default_prompt_name") or "", ""))
    if prompt and not pooling.get("include_prompt", True):
        raise StartError(f"{checkpoint.folder} leaves its prompt out of the pooling, which is not supported.")
    return prompt


def _dense(module: Checkpoint, device: Device) -> Step:
    """Raises StartError."""
    config = module.read("config.json")
    name = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise StartError(f"{module.folder} has the activation {name}; supported are {', '.join(ACTIVATIONS)}.")
    activation = ACTIVATIONS[name]
    weights = {key: tensor.float() for key, tensor in module.tensors(str(device.handle)).items()}
    expected = ["linear.weight", *(["linear.bias"] if config.get("bias", True) else [])]
    if missing := [key for key in expected if key not in weights]:
        raise StartError(
            f"{module.folder} lacks {' and '.join(missing)}: copy the module's folder again, or save the model again "
            "with sentence-transformers."
        )
    linear = Linear.read(weights, "linear")
    return lambda vectors: activation(linear(vectors))
