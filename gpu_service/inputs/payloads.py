"""What a model reads of one instance, prepared while other batches run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Payload:
    """`size` is the cost: the number of tokens, or 1 for an image.

    `parts` run instead of the payload itself, each on its own. `context` is what the prediction needs of the instance.
    """

    data: NDArray[Any]
    size: int
    truncated: bool = False
    parts: Sequence["Payload"] = ()
    context: Any = None
