"""Runs the parts of a batch at the same time, each on a thread of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

POOL = ThreadPoolExecutor(2 * torch.get_num_threads(), thread_name_prefix="part")


def run(network: Callable[[Sequence[Any]], Tensor], data: Sequence[Any], parts: int) -> Tensor:
    """The network's output (rows, …) for the data, whose items have a length, computed in so many parts."""
    if parts == 1 or len(data) == 1:
        return network(data)

    def part(numbers: list[int]) -> Tensor:
        torch.set_num_threads(1)
        return network([data[number] for number in numbers])

    divided = divide([len(item) for item in data], parts)
    outputs = list(POOL.map(part, divided))
    order = torch.tensor([number for numbers in divided for number in numbers])
    return torch.cat(outputs)[order.argsort()]


def divide(sizes: Sequence[int], parts: int) -> list[list[int]]:
    """The numbers of the items of each part, such that all parts have about the same total size."""
    divided: list[list[int]] = [[] for _ in range(min(parts, len(sizes)))]
    totals = [0] * len(divided)
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        least = totals.index(min(totals))
        divided[least].append(number)
        totals[least] += sizes[number]
    return divided
