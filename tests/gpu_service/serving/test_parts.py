"""A batch in parts that run at the same time has the outputs of the whole batch."""

import random
import threading
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from gpu_service.serving import parts


def network(data: Sequence[list[int]]) -> Tensor:
    return torch.tensor([[len(item), sum(item)] for item in data])


@pytest.mark.parametrize("count", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("parts_", [1, 2, 4, 8])
def test_outputs_have_the_order_of_the_data(count: int, parts_: int):
    rng = random.Random(count)
    data = [[rng.randint(0, 9) for _ in range(rng.randint(1, 40))] for _ in range(count)]
    assert parts.run(network, data, parts_).tolist() == network(data).tolist()


def test_parts_run_at_the_same_time():
    meeting = threading.Barrier(4, timeout=30)

    def waits(data: Sequence[list[int]]) -> Tensor:
        meeting.wait()
        return network(data)

    assert len(parts.run(waits, [[1]] * 8, 4)) == 8


def test_an_error_of_a_part_is_that_of_the_batch():
    def fails(data: Sequence[list[int]]) -> Tensor:
        if [7] in data:
            raise ValueError("seven")
        return network(data)

    with pytest.raises(ValueError, match="seven"):
        parts.run(fails, [[1], [7], [2]], 2)


def test_parts_have_about_the_same_size():
    sizes = [100, 90, 50, 40, 30, 20, 10, 5, 5]
    divided = parts.divide(sizes, 3)
    totals = [sum(sizes[number] for number in numbers) for numbers in divided]
    assert sorted(number for numbers in divided for number in numbers) == list(range(len(sizes)))
    assert max(totals) - min(totals) <= 30
