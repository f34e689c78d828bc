"""Makes one vector of a text's rows, for many texts together."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gpu_service.checkpoints.device import Device

Step = Callable[[Tensor], Tensor]  # from vectors to vectors: (texts, width)


class Pooling:
    """Takes the rows of all tokens, (tokens, width), and returns vectors in float32, (texts, width).

    Several modes are concatenated; the steps follow.
    """

    def __init__(self, modes: Sequence[str], steps: Sequence[Step], device: Device) -> None:
        self.modes = [MODES[mode] for mode in modes]
        self.steps = steps
        self.device = device

    def __call__(self, rows: Tensor, lengths: Sequence[int]) -> Tensor:
        on_device = self.device.send(np.array(lengths))
        rows = rows.float()
        vectors = torch.cat([mode(rows, on_device) for mode in self.modes], dim=-1)
        for step in self.steps:
            vectors = step(vectors)
        return vectors


def _sum(rows: Tensor, lengths: Tensor) -> Tensor:
    return torch.segment_reduce(rows, "sum", lengths=lengths, unsafe=True)  # checks would wait for a GPU


def _first(rows: Tensor, lengths: Tensor) -> Tensor:
    return rows[lengths.cumsum(0) - lengths]


def _last(rows: Tensor, lengths: Tensor) -> Tensor:
    return rows[lengths.cumsum(0) - 1]


def _mean(rows: Tensor, lengths: Tensor) -> Tensor:
    return _sum(rows, lengths) / lengths[:, None]


def _mean_of_root(rows: Tensor, lengths: Tensor) -> Tensor:
    return _sum(rows, lengths) / lengths[:, None].sqrt()


def _max(rows: Tensor, lengths: Tensor) -> Tensor:
    return torch.segment_reduce(rows, "max", lengths=lengths, unsafe=True)


def _weighted_mean(rows: Tensor, lengths: Tensor) -> Tensor:
    """Later tokens count more: by their number, from 1."""
    starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths, output_size=len(rows))
    weights = (torch.arange(len(rows), device=rows.device) - starts + 1).float()[:, None]
    return _sum(rows * weights, lengths) / _sum(weights, lengths)


MODES = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_of_root,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
