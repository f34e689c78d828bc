"""What a model reads of one instance, made ready while others run."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Payload:
    """`size` is what it costs: its tokens, or 1 for an image."""

    data: NDArray[Any]
    size: int
    truncated: bool = False
