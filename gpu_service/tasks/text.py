"""What the tasks that read texts share: made-up texts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_service.inputs.text import TextInputs


def samples(inputs: TextInputs, sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """Token ids of made-up texts."""
    limit = inputs.tokenizer.get_vocab_size()
    return [np.arange(size, dtype=np.int64) % limit for size in sizes]
