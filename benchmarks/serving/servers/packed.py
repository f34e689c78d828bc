"""A DistilBERT classifier's forward pass without padding, as a reference for what the model alone can do.

All tokens of a pack lie in one row; positions restart and attention stays within each sequence; the last block computes
only the [CLS] rows, which are all that the head reads. The weights are those of the transformers model it is given.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention


class Projection:
    """Queries, keys and values of one block, in one matrix product."""

    def __init__(self, attention: Any) -> None:
        parts = (attention.q_lin, attention.k_lin, attention.v_lin)
        self.weight = torch.cat([part.weight for part in parts]).detach()
        self.bias = torch.cat([part.bias for part in parts]).detach()
        self.width: int = attention.q_lin.out_features
        self.heads: int = attention.n_heads

    def all_rows(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """(rows, width) to three of (heads, rows, width / heads)."""
        return self.split(linear(hidden, self.weight, self.bias), 3)

    def keys_and_values(self, hidden: Tensor) -> tuple[Tensor, ...]:
        return self.split(linear(hidden, self.weight[self.width :], self.bias[self.width :]), 2)

    def queries(self, hidden: Tensor) -> Tensor:
        return self.split(linear(hidden, self.weight[: self.width], self.bias[: self.width]), 1)[0]

    def split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        return projected.view(len(projected), parts, self.heads, -1).permute(1, 2, 0, 3).unbind()


class PackedDistilBert:
    """Logits of many token sequences in one pass: `packed([[2, 17, 3], [2, 5, 9, 3]])` has shape (2, labels)."""

    def __init__(self, model: Any) -> None:
        self.embeddings = model.distilbert.embeddings
        self.blocks = [(block, Projection(block.attention)) for block in model.distilbert.transformer.layer]
        self.head = nn.Sequential(model.pre_classifier, nn.ReLU(), model.classifier)

    def __call__(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        lengths = [len(sequence) for sequence in sequences]
        tokens = torch.tensor([[token for sequence in sequences for token in sequence]])
        positions = torch.cat([torch.arange(length) for length in lengths])[None]
        hidden = self.embeddings(tokens, position_ids=positions)[0]
        for block, projection in self.blocks[:-1]:
            hidden = finish(block, whole(projection, hidden, lengths), hidden)
        logits: Tensor = self.head(self.first_rows(hidden, lengths))
        return logits

    def first_rows(self, hidden: Tensor, lengths: list[int]) -> Tensor:
        """The last block, for each sequence's first row alone: (sequences, width)."""
        block, projection = self.blocks[-1]
        starts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
        first = hidden[starts]
        queries = projection.queries(first)
        keys, values = (part.split(lengths, dim=1) for part in projection.keys_and_values(hidden))
        attended = [
            scaled_dot_product_attention(queries[None, :, n : n + 1], keys[n][None], values[n][None])
            for n in range(len(lengths))
        ]
        return finish(block, rows(torch.cat(attended, dim=2)), first)


def whole(projection: Projection, hidden: Tensor, lengths: list[int]) -> Tensor:
    """Attention of each sequence to itself, for all rows: (rows, width)."""
    parts = [part.split(lengths, dim=1) for part in projection.all_rows(hidden)]
    attended = [scaled_dot_product_attention(q[None], k[None], v[None]) for q, k, v in zip(*parts, strict=True)]
    return rows(torch.cat(attended, dim=2))


def rows(attended: Tensor) -> Tensor:
    """(1, heads, rows, width / heads) to (rows, width)."""
    return attended[0].transpose(0, 1).flatten(1)


def finish(block: Any, attended: Tensor, hidden: Tensor) -> Tensor:
    """What follows attention in a block: output projection, residuals, norms, feed-forward."""
    hidden = block.sa_layer_norm(block.attention.out_lin(attended) + hidden)
    finished: Tensor = block.output_layer_norm(block.ffn.ff_chunk(hidden) + hidden)
    return finished
