"""Runs encoders of the BERT family without padding: the tokens of a batch lie in one row."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.networks import families
from gpu_service.networks.attention import Packed, PackedOnGpu
from gpu_service.networks.families import DEFAULT_EPS, DISTILBERT, HEADS, PAD, ROBERTA, Family, Shape, family, setting
from gpu_service.networks.transformer import ACTIVATIONS, Layer, Linear, Norm, Weights, encode

Tokens = NDArray[np.int64]  # the ids (tokens,), or ids and segments (tokens, 2) where a segment is not 0


class PackedTexts(ABC):
    """Takes the tokens of each text; what it returns depends on the head."""

    layout = "packed"

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        config = checkpoint.config
        names = family(config)
        if names is None:
            raise ValueError(f"The architecture of {checkpoint.folder} cannot run packed.")
        weights = _weights(checkpoint, names, self.shapes(checkpoint, names), device)
        self.device = device
        self.eps = DEFAULT_EPS if names is DISTILBERT else float(config.get("layer_norm_eps", DEFAULT_EPS))
        self.pad = setting(config, PAD) if names is ROBERTA else None
        self.offset = 0 if self.pad is None else self.pad + 1
        self._read_embeddings(weights)
        self.layers = _layers(weights, names, config, self.eps)
        self.head = self.read_head(names, weights)
        self.sequences = PackedOnGpu if device.is_cuda and _has_varlen(device, self.layers[0]) else Packed

    @classmethod
    def shapes(cls, checkpoint: Checkpoint, names: Family) -> dict[str, Shape]:
        """The shape of each weight that the checkpoint must have, by its name without the prefix."""
        config = checkpoint.config
        return families.encoder_shapes(config, names) | cls.head_shapes(config, names, len(checkpoint.labels))

    @staticmethod
    @abstractmethod
    def head_shapes(config: dict[str, Any], names: Family, labels: int, /) -> dict[str, Shape]: ...

    @staticmethod
    @abstractmethod
    def read_head(names: Family, weights: Weights, /) -> Callable[[Tensor], Tensor]: ...

    @abstractmethod
    def finish(self, rows: Tensor, sequences: Packed, order: list[int]) -> Tensor:
        """The result in the order of the texts, of the embeddings of texts that are sorted by `order`."""

    def _read_embeddings(self, weights: Weights) -> None:
        """The first segment's embedding, which nearly all tokens have, is part of each position's."""
        self.words = weights["embeddings.word_embeddings.weight"]
        self.positions = weights["embeddings.position_embeddings.weight"]
        segments = weights.get("embeddings.token_type_embeddings.weight")
        self.segments: Tensor | None = None
        if segments is not None:
            self.positions = self.positions + segments[0]
            self.segments = segments - segments[0] if len(segments) > 1 else None
        self.norm = Norm.read(weights, "embeddings.LayerNorm", self.eps)
        self.counting = np.arange(self.offset, len(self.positions))
        self.max_length = len(self.counting)
        self.vocabulary = len(self.words)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Tokens]) -> Tensor:
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # attention groups equal lengths
        sorted_texts = [texts[index] for index in order]
        lengths = [len(text) for text in sorted_texts]
        return self.finish(self._embed(sorted_texts, lengths), self.sequences(lengths, self.device.handle), order)

    def _embed(self, texts: Sequence[Tokens], lengths: Sequence[int]) -> Tensor:
        ids = [text if text.ndim == 1 else text[:, 0] for text in texts]
        places = np.concatenate([self.counting[:length] for length in lengths])
        together = np.concatenate(ids)
        if self.pad is not None and (together == self.pad).any():  # a text may contain "<pad>"
            places = np.concatenate([self._places(tokens) for tokens in ids])
        sent = self.device.send(np.stack((together, places)))
        rows = F.embedding(sent[0], self.words).add_(F.embedding(sent[1], self.positions))
        if self.segments is not None and any(text.ndim == 2 for text in texts):
            segments = [np.zeros_like(text) if text.ndim == 1 else text[:, 1] for text in texts]
            rows.add_(F.embedding(self.device.send(np.concatenate(segments)), self.segments))
        return self.norm(rows)

    def _places(self, ids: Tokens) -> Tokens:
        """Padding tokens are not counted, and all have the position before the first."""
        counted = ids != self.pad
        places: Tokens = np.cumsum(counted) * counted + (self.offset - 1)
        return places


class PackedClassifier(PackedTexts):
    """Returns logits (texts, labels); the last layer computes the row of [CLS] only."""

    head_shapes = staticmethod(families.classifier_shapes)

    @staticmethod
    def read_head(names: Family, weights: Weights) -> Callable[[Tensor], Tensor]:
        return HEADS[names.prefix].read(weights)

    def finish(self, rows: Tensor, sequences: Packed, order: list[int]) -> Tensor:
        logits = self.head(encode(self.layers, rows, sequences))
        return logits[self.device.send(np.argsort(order))]


class PackedTokens(PackedTexts):
    """Returns a row for each token: (tokens, width)."""

    def finish(self, rows: Tensor, sequences: Packed, order: list[int]) -> Tensor:
        for layer in self.layers:
            rows = layer(rows, sequences)
        return self.head(rows[self.device.send(_unsorted(sequences.lengths, order))])


class PackedTagger(PackedTokens):
    """Returns logits (tokens, labels)."""

    head_shapes = staticmethod(families.tagger_shapes)

    @staticmethod
    def read_head(_: Family, weights: Weights) -> Callable[[Tensor], Tensor]:
        return Linear.read(weights, "classifier")


class PackedEncoder(PackedTokens):
    """Returns the last layer's rows; a head in the checkpoint is left out."""

    @staticmethod
    def head_shapes(*_: object) -> dict[str, Shape]:
        return {}

    @staticmethod
    def read_head(*_: object) -> Callable[[Tensor], Tensor]:
        return lambda rows: rows


def _unsorted(lengths: list[int], order: list[int]) -> Tokens:
    """For each token in the order of the texts, its row among texts that are sorted by `order`."""
    ends = np.cumsum(lengths)
    rows = [np.arange(end - length, end) for length, end in zip(lengths, ends, strict=True)]
    return np.concatenate([rows[place] for place in np.argsort(order)])


def _weights(checkpoint: Checkpoint, names: Family, expected: dict[str, Shape], device: Device) -> Weights:
    """Raises StartError: they are whole numbers, as quantised weights are."""
    weights = {}
    for name, tensor in checkpoint.tensors(str(device.handle)).items():
        short = name.removeprefix(f"{names.prefix}.")
        if short not in expected:
            continue
        if not tensor.is_floating_point():
            raise StartError(f"{checkpoint.folder} has {name} as {tensor.dtype}: save the model without quantisation.")
        weights[short] = tensor.to(device.dtype)
    return weights


def _layers(weights: Weights, names: Family, config: dict[str, Any], eps: float) -> list[Layer]:
    heads, activation = setting(config, names.heads), config.get(names.activation, "gelu")
    layers = []
    for index in range(setting(config, names.layers)):
        at = f"{names.layer}.{index}."
        layers.append(
            Layer(
                qkv=Linear.read(weights, *(at + part for part in names.qkv)),
                out=Linear.read(weights, at + names.out),
                norm_attention=Norm.read(weights, at + names.norm_attention, eps),
                widen=Linear.read(weights, at + names.widen),
                narrow=Linear.read(weights, at + names.narrow),
                norm_output=Norm.read(weights, at + names.norm_output, eps),
                heads=heads,
                activation=ACTIVATIONS[activation],
                norm_first=False,
            )
        )
    return layers


def _has_varlen(device: Device, layer: Layer) -> bool:
    capable = torch.cuda.get_device_capability(device.handle) >= (8, 0)
    width = layer.out.weight.shape[1] // layer.heads
    return capable and device.dtype in (torch.float16, torch.bfloat16) and width % 8 == 0 and width <= 256
