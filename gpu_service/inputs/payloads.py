"""What a model reads of one instance, prepared while other batches run."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Payload:
    """`size` is the cost: the number of tokens, or 1 for an image."""

    data: NDArray[Any]
    size: int
    truncated: bool = False
