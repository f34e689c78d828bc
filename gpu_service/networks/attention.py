"""Attention within each sequence, for packed sequences of any length or for equally long ones."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention as sdpa


@dataclass(frozen=True)
class Packed:
    """Sequences of any length, one after another in the same rows."""

    lengths: list[int]
    device: torch.device

    @cached_property
    def offsets(self) -> Tensor:
        """The start of each sequence, and the end of the last: int32, as the varlen kernels require."""
        offsets = torch.zeros(len(self.lengths) + 1, dtype=torch.int32)
        torch.cumsum(torch.tensor(self.lengths), 0, out=offsets[1:])
        return offsets.to(self.device, non_blocking=True)

    @cached_property
    def first(self) -> Tensor:
        return self.offsets[:-1].long()

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """(sequences, length) of equally long neighbours, which take one call together."""
        return [(len(list(run)), length) for length, run in itertools.groupby(self.lengths)]

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        rows = [count * length for count, length in self.runs]
        out = torch.empty_like(queries)
        parts = zip(self.runs, *(part.split(rows) for part in (queries, keys, values, out)), strict=True)
        for (count, _), q, k, v, target in parts:
            target.copy_(_equal_lengths(count, q, k, v))
        return out.flatten(1)

    def attend_first(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        rows = [count * length for count, length in self.runs]
        firsts = queries.split([count for count, _ in self.runs])
        parts = zip(self.runs, firsts, keys.split(rows), values.split(rows), strict=True)
        return torch.cat([_equal_lengths(count, q, k, v) for (count, _), q, k, v in parts]).flatten(1)


def _equal_lengths(count: int, *parts: Tensor) -> Tensor:
    """Attention of `count` equally long sequences; parts and result are (rows, heads, width)."""
    q, k, v = (part.unflatten(0, (count, -1)).transpose(1, 2) for part in parts)
    return sdpa(q, k, v).transpose(1, 2).flatten(0, 1)


@dataclass(frozen=True)
class PackedOnGpu(Packed):
    """The same with the varlen kernel, which requires half precision."""

    @cached_property
    def longest(self) -> int:
        return max(self.lengths)

    @cached_property
    def singles(self) -> Tensor:
        return torch.arange(len(self.lengths) + 1, dtype=torch.int32, device=self.device)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self._varlen(queries, keys, values, self.offsets, self.longest)

    def attend_first(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self._varlen(queries, keys, values, self.singles, 1)

    def _varlen(self, q: Tensor, k: Tensor, v: Tensor, q_offsets: Tensor, longest: int) -> Tensor:
        out = torch.ops.aten._flash_attention_forward(
            q, k, v, q_offsets, self.offsets, longest, self.longest, 0.0, False, False
        )
        attended: Tensor = out[0]
        return attended.flatten(1)


@dataclass(frozen=True)
class Uniform:
    """`count` sequences of `length` rows each."""

    count: int
    length: int
    device: torch.device

    @cached_property
    def first(self) -> Tensor:
        return torch.arange(0, self.count * self.length, self.length, device=self.device)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self._batched(queries, keys, values)

    def attend_first(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self._batched(queries, keys, values)

    def _batched(self, *parts: Tensor) -> Tensor:
        q, k, v = (part.unflatten(0, (self.count, -1)).transpose(1, 2) for part in parts)
        return sdpa(q, k, v).transpose(1, 2).flatten(2).flatten(0, 1)
