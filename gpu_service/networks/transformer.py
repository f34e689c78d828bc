"""The layers that BERT-family encoders and vision transformers share, for rows of many sequences together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}

Weights = Mapping[str, Tensor]


class Sequences(Protocol):
    """Which rows attend to which."""

    @property
    def first(self) -> Tensor:
        """The index of each sequence's first row, which the heads read."""

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """From (rows, heads, width of a head) each to (rows, width)."""

    def attend_first(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """One query per sequence against all of its rows: (sequences, width)."""


@dataclass(frozen=True, slots=True)
class Linear:
    weight: Tensor
    bias: Tensor | None

    def __call__(self, rows: Tensor) -> Tensor:
        return F.linear(rows, self.weight, self.bias)

    @staticmethod
    def read(weights: Weights, *names: str) -> "Linear":
        """Reads one projection, or several projections of the same rows as one."""
        biases = [weights[f"{name}.bias"] for name in names if f"{name}.bias" in weights]
        if len(names) == 1:
            return Linear(weights[f"{names[0]}.weight"], biases[0] if biases else None)
        return Linear(torch.cat([weights[f"{name}.weight"] for name in names]), torch.cat(biases) if biases else None)


@dataclass(frozen=True, slots=True)
class Norm:
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, rows: Tensor) -> Tensor:
        return F.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.eps)

    @staticmethod
    def read(weights: Weights, name: str, eps: float) -> "Norm":
        return Norm(weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def after_attention(layer: "Layer", rows: Tensor, attended: Tensor) -> Tensor:
    """The layer's output from its input and the attention's output: (rows, width) each."""
    rows = layer.out(attended).add_(rows)
    if layer.norm_first:
        return layer.narrow(layer.activation(layer.widen(layer.norm_output(rows)))).add_(rows)
    rows = layer.norm_attention(rows)
    return layer.norm_output(layer.narrow(layer.activation(layer.widen(rows))).add_(rows))


@dataclass(frozen=True, slots=True)
class Layer:
    """`norm_first` normalises before each part, as vision transformers do, rather than after it, as BERT does.

    `finish` may be a compiled `after_attention`.
    """

    qkv: Linear
    out: Linear
    norm_attention: Norm
    widen: Linear
    narrow: Linear
    norm_output: Norm
    heads: int
    activation: Callable[[Tensor], Tensor]
    norm_first: bool
    finish: Callable[["Layer", Tensor, Tensor], Tensor] = after_attention

    def __call__(self, rows: Tensor, sequences: Sequences) -> Tensor:
        normed = self.norm_attention(rows) if self.norm_first else rows
        queries, keys, values = self._split(self.qkv(normed), 3)
        return self.finish(self, rows, sequences.attend(queries, keys, values))

    def first_rows(self, rows: Tensor, sequences: Sequences) -> Tensor:
        """The output for each sequence's first row only: (sequences, width)."""
        normed = self.norm_attention(rows) if self.norm_first else rows
        width = self.out.weight.shape[0]
        bias = self.qkv.bias
        first = normed[sequences.first]
        (queries,) = self._split(F.linear(first, self.qkv.weight[:width], None if bias is None else bias[:width]), 1)
        keys, values = self._split(F.linear(normed, self.qkv.weight[width:], None if bias is None else bias[width:]), 2)
        residual = rows[sequences.first] if self.norm_first else first
        return after_attention(self, residual, sequences.attend_first(queries, keys, values))

    def _split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        return projected.view(projected.shape[0], parts, self.heads, -1).unbind(1)


def encode(layers: list[Layer], rows: Tensor, sequences: Sequences) -> Tensor:
    """The first row of each sequence after all layers: (sequences, width)."""
    for layer in layers[:-1]:
        rows = layer(rows, sequences)
    return layers[-1].first_rows(rows, sequences)
