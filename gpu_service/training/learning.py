"""Trains both models: AdamW, a one-cycle learning rate, and the running mean of the weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedModel

LARGEST_GRADIENT = 1.0


class Batch(NamedTuple):
    """The model's keyword arguments, and the target probability of each class per row."""

    inputs: dict[str, Tensor]
    targets: Tensor


def make_deterministic(seed: int) -> torch.Generator:
    """Uses one thread and one seed, so that the same machine learns the same weights."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def fit(
    model: PreTrainedModel, batches: Iterable[Batch], steps: int, rate: float, keep: float = 0.999, decay: float = 0.02
) -> PreTrainedModel:
    """Trains on at most `steps` batches; the result has the running mean of the weights, with decay `keep`."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1, cycle_momentum=False)
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(keep), use_buffers=True)
    model.train()
    for _, batch in zip(range(steps), batches, strict=False):
        loss = cross_entropy(model(**batch.inputs).logits, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        mean.update_parameters(model)
    learned = mean.module
    assert isinstance(learned, PreTrainedModel)
    return learned.eval()  # type: ignore[no-any-return]
