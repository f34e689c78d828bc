"""The families of encoders that run packed: how transformers names their weights and settings."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gpu_service.networks.transformer import ACTIVATIONS, Linear, Weights

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """The names of the weights, and of the settings in config.json with transformers' defaults."""

    prefix: str
    layer: str
    qkv: tuple[str, str, str]
    out: str
    norm_attention: str
    widen: str
    narrow: str
    norm_output: str
    layers: tuple[str, int]
    heads: tuple[str, int]
    width: tuple[str, int]
    inner: tuple[str, int]
    activation: str
    segments: int | None  # the default of type_vocab_size
    aliases: tuple[str, ...] = ()  # other names that transformers accepts for the settings


@dataclass(frozen=True, slots=True)
class Head:
    """A layer, its activation, and the layer that returns the logits."""

    layers: tuple[str, str]
    activation: Callable[[Tensor], Tensor]

    def read(self, weights: Weights) -> Callable[[Tensor], Tensor]:
        dense, classifier = (Linear.read(weights, name) for name in self.layers)
        return lambda rows: classifier(self.activation(dense(rows)))


HEADS = {
    "distilbert": Head(("pre_classifier", "classifier"), F.relu),
    "bert": Head(("pooler.dense", "classifier"), torch.tanh),
    "roberta": Head(("classifier.dense", "classifier.out_proj"), torch.tanh),
}


DISTILBERT = Family(
    prefix="distilbert",
    layer="transformer.layer",
    qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    out="attention.out_lin",
    norm_attention="sa_layer_norm",
    widen="ffn.lin1",
    narrow="ffn.lin2",
    norm_output="output_layer_norm",
    layers=("n_layers", 6),
    heads=("n_heads", 12),
    width=("dim", 768),
    inner=("hidden_dim", 3072),
    activation="activation",
    segments=None,
    aliases=("hidden_size", "num_attention_heads", "num_hidden_layers"),
)
BERT = Family(
    prefix="bert",
    layer="encoder.layer",
    qkv=("attention.self.query", "attention.self.key", "attention.self.value"),
    out="attention.output.dense",
    norm_attention="attention.output.LayerNorm",
    widen="intermediate.dense",
    narrow="output.dense",
    norm_output="output.LayerNorm",
    layers=("num_hidden_layers", 12),
    heads=("num_attention_heads", 12),
    width=("hidden_size", 768),
    inner=("intermediate_size", 3072),
    activation="hidden_act",
    segments=2,
)
ROBERTA = replace(BERT, prefix="roberta")
FAMILIES = {
    "distilbert": DISTILBERT,
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
}
VOCABULARY = {"roberta": 50_265}
DEFAULT_VOCABULARY, DEFAULT_POSITIONS, DEFAULT_EPS = 30_522, 512, 1e-12
PAD = ("pad_token_id", 1)  # of RoBERTa, whose positions start after it


def family(config: dict[str, Any]) -> Family | None:
    """The checkpoint's family; None when the packed code cannot run it."""
    names = named(config)
    return None if names is None or unusual(config, names) else names


def named(config: dict[str, Any]) -> Family | None:
    """The family by `model_type`, as in transformers; where that is missing, by the name of the architecture."""
    return FAMILIES.get(config.get("model_type") or _kind((config.get("architectures") or [""])[0]))


def unusual(config: dict[str, Any], names: Family) -> str | None:
    """The setting that keeps a checkpoint of the family from running packed."""
    activation = config.get(names.activation, "gelu")
    if activation not in ACTIVATIONS:
        return f"{names.activation} {activation}"
    if names is ROBERTA and not isinstance(config.get(*PAD), int):
        return PAD[0]
    if config.get("is_decoder"):
        return "is_decoder"
    width, heads = setting(config, names.width), setting(config, names.heads)
    if heads < 1 or width % heads or setting(config, names.layers) < 1:
        return names.heads[0]
    return next((alias for alias in names.aliases if alias in config), None)


def setting(config: dict[str, Any], name_and_default: tuple[str, int]) -> int:
    return int(config.get(*name_and_default))


def encoder_shapes(config: dict[str, Any], names: Family) -> dict[str, Shape]:
    """The shape of each weight of the encoder, by its name without the prefix."""
    width, inner = setting(config, names.width), setting(config, names.inner)
    vocabulary = VOCABULARY.get(config.get("model_type", names.prefix), DEFAULT_VOCABULARY)
    tables: dict[str, Any] = {
        "word": config.get("vocab_size", vocabulary),
        "position": config.get("max_position_embeddings", DEFAULT_POSITIONS),
    }
    if names.segments is not None:
        tables["token_type"] = config.get("type_vocab_size", names.segments)
    shapes: dict[str, Shape] = {
        f"embeddings.{table}_embeddings.weight": (int(rows), width) for table, rows in tables.items()
    }
    _add_norm(shapes, "embeddings.LayerNorm", width)
    for index in range(setting(config, names.layers)):
        at = f"{names.layer}.{index}."
        for part in (*names.qkv, names.out):
            _add_linear(shapes, at + part, width, width)
        _add_linear(shapes, at + names.widen, inner, width)
        _add_linear(shapes, at + names.narrow, width, inner)
        _add_norm(shapes, at + names.norm_attention, width)
        _add_norm(shapes, at + names.norm_output, width)
    return shapes


def classifier_shapes(config: dict[str, Any], names: Family, labels: int) -> dict[str, Shape]:
    """Of the head that classifies texts."""
    width = setting(config, names.width)
    dense, classifier = HEADS[names.prefix].layers
    shapes: dict[str, Shape] = {}
    _add_linear(shapes, dense, width, width)
    _add_linear(shapes, classifier, labels, width)
    return shapes


def tagger_shapes(config: dict[str, Any], names: Family, labels: int) -> dict[str, Shape]:
    """Of the head that classifies tokens."""
    shapes: dict[str, Shape] = {}
    _add_linear(shapes, "classifier", labels, setting(config, names.width))
    return shapes


def _kind(architecture: str) -> str:
    known = {"DistilBert": "distilbert", "Bert": "bert", "Roberta": "roberta", "XLMRoberta": "xlm-roberta"}
    return known.get(re.sub("(For[A-Za-z]+|Model)$", "", architecture), "")


def _add_linear(shapes: dict[str, Shape], name: str, rows: int, columns: int) -> None:
    shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (rows, columns), (rows,)


def _add_norm(shapes: dict[str, Shape], name: str, width: int) -> None:
    shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)
