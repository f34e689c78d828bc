"""Runs BERT-family text classifiers without padding: the tokens of a batch lie in one row.

The last layer computes the row of [CLS] only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.networks.attention import Packed, PackedOnGpu
from gpu_service.networks.transformer import ACTIVATIONS, Layer, Linear, Norm, Weights, encode

Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Family:
    """The names of the weights, and the settings of layers, heads and activation in config.json."""

    prefix: str
    layer: str
    qkv: tuple[str, str, str]
    out: str
    norm_attention: str
    widen: str
    narrow: str
    norm_output: str
    settings: tuple[str, str, str]


DISTILBERT = Family(
    prefix="distilbert",
    layer="transformer.layer",
    qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    out="attention.out_lin",
    norm_attention="sa_layer_norm",
    widen="ffn.lin1",
    narrow="ffn.lin2",
    norm_output="output_layer_norm",
    settings=("n_layers", "n_heads", "activation"),
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
    settings=("num_hidden_layers", "num_attention_heads", "hidden_act"),
)
ROBERTA = replace(BERT, prefix="roberta")
FAMILIES = {
    "DistilBertForSequenceClassification": DISTILBERT,
    "BertForSequenceClassification": BERT,
    "RobertaForSequenceClassification": ROBERTA,
}


def family(config: dict[str, Any]) -> Family | None:
    """The checkpoint's family; None when this module cannot run it."""
    names = FAMILIES.get((config.get("architectures") or [""])[0])
    if names is None or config.get("position_embedding_type", "absolute") != "absolute" or config.get("is_decoder"):
        return None
    activation = config.get(names.settings[2], "gelu")
    return names if activation in ACTIVATIONS else None


class PackedClassifier:
    """Takes the token ids of each text and returns logits (texts, labels)."""

    layout = "packed"
    family = staticmethod(family)

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        config = checkpoint.config
        names = self.family(config)
        if names is None:
            raise ValueError(f"The architecture of {checkpoint.folder} cannot run packed.")
        weights = {
            key.removeprefix(f"{names.prefix}."): tensor.to(device.dtype) if tensor.is_floating_point() else tensor
            for key, tensor in checkpoint.tensors(str(device.handle)).items()
        }
        self.device = device
        self.eps = float(config.get("layer_norm_eps", 1e-12))
        self.offset = int(config.get("pad_token_id", 1)) + 1 if names is ROBERTA else 0
        self.max_length = int(config.get("max_position_embeddings", 512)) - self.offset
        self._read_embeddings(weights)
        self.layers = _layers(weights, names, config, self.eps)
        self.head = self._head(names, weights)
        self.sequences = PackedOnGpu if device.is_cuda and _has_varlen(device, self.layers[0]) else Packed

    def _read_embeddings(self, weights: Weights) -> None:
        self.words = weights["embeddings.word_embeddings.weight"]
        self.positions = weights["embeddings.position_embeddings.weight"][self.offset :]
        types = weights.get("embeddings.token_type_embeddings.weight")
        if types is not None:
            self.positions = self.positions + types[0]
        self.norm = Norm.read(weights, "embeddings.LayerNorm", self.eps)
        self.counting = np.arange(len(self.positions))

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Tokens]) -> Tensor:
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # attention takes equal lengths together
        sorted_texts = [texts[index] for index in order]
        lengths = [len(tokens) for tokens in sorted_texts]
        rows = self.norm(self._embedded(sorted_texts, lengths))
        return self._finish(rows, self.sequences(lengths, self.device.handle), order)

    def _embedded(self, texts: Sequence[Tokens], lengths: list[int]) -> Tensor:
        """The tokens' embeddings before their norm: (tokens, width)."""
        places = np.concatenate([self.counting[:length] for length in lengths])
        ids = self._send(np.stack((np.concatenate(texts), places)))
        return F.embedding(ids[0], self.words).add_(F.embedding(ids[1], self.positions))

    def _finish(self, rows: Tensor, sequences: Packed, order: list[int]) -> Tensor:
        """The result in the order of the texts, of the embeddings of texts that are sorted by `order`."""
        logits = self.head(encode(self.layers, rows, sequences))
        return logits[self._send(np.argsort(order))]

    @staticmethod
    def _head(names: Family, weights: Weights) -> Callable[[Tensor], Tensor]:
        return HEADS[names.prefix](weights)

    def _send(self, array: NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device.handle, non_blocking=True) if self.device.is_cuda else tensor


def _layers(weights: Weights, names: Family, config: dict[str, Any], eps: float) -> list[Layer]:
    count, heads, activation = (
        config.get(name, default) for name, default in zip(names.settings, (12, 12, "gelu"), strict=True)
    )
    layers = []
    for index in range(int(count)):
        at = f"{names.layer}.{index}."
        layers.append(
            Layer(
                qkv=Linear.read(weights, *(at + part for part in names.qkv)),
                out=Linear.read(weights, at + names.out),
                norm_attention=Norm.read(weights, at + names.norm_attention, eps),
                widen=Linear.read(weights, at + names.widen),
                narrow=Linear.read(weights, at + names.narrow),
                norm_output=Norm.read(weights, at + names.norm_output, eps),
                heads=int(heads),
                activation=ACTIVATIONS[activation],
                norm_first=False,
            )
        )
    return layers


def _has_varlen(device: Device, layer: Layer) -> bool:
    capable = torch.cuda.get_device_capability(device.handle) >= (8, 0)
    width = layer.out.weight.shape[1] // layer.heads
    return capable and device.dtype in (torch.float16, torch.bfloat16) and width % 8 == 0 and width <= 256


def _distilbert_head(weights: Weights) -> Callable[[Tensor], Tensor]:
    dense, classifier = Linear.read(weights, "pre_classifier"), Linear.read(weights, "classifier")
    return lambda rows: classifier(F.relu(dense(rows)))


def _bert_head(weights: Weights) -> Callable[[Tensor], Tensor]:
    dense, classifier = Linear.read(weights, "pooler.dense"), Linear.read(weights, "classifier")
    return lambda rows: classifier(torch.tanh(dense(rows)))


def _roberta_head(weights: Weights) -> Callable[[Tensor], Tensor]:
    dense, classifier = Linear.read(weights, "classifier.dense"), Linear.read(weights, "classifier.out_proj")
    return lambda rows: classifier(torch.tanh(dense(rows)))


HEADS = {"distilbert": _distilbert_head, "bert": _bert_head, "roberta": _roberta_head}
