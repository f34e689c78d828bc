"""What the batcher asks of a model."""

from collections.abc import Sequence
from typing import Any, Protocol

from gpu_service.batching.cost_model import Slowness
from gpu_service.parameters import Parameters


class Pending(Protocol):
    """A batch that was sent to the device."""

    @property
    def is_async(self) -> bool: ...

    def rows(self) -> list[Any]: ...


class Runner(Protocol):
    """A model as the batcher sees it."""

    def launch(self, data: Sequence[Any], parameters: Sequence[Parameters]) -> Pending: ...

    def ran(self, slowness: Slowness) -> None:
        """Is told how much slower than on a calm machine a batch was."""

    def check(self) -> None:
        """Raises any error when the device no longer computes."""
