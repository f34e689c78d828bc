"""How much memory instances take once they are prepared, so that few enough are prepared at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

from gpu_service.errors import InstanceError
from gpu_service.inputs import instances
from gpu_service.parameters import Requested
from gpu_service.serving.model import Model

MAX_PREPARED_BYTES = 64 << 20  # of instances that are prepared together, apart from a single larger one
OBJECT_BYTES = 128 << 10  # assumed size of an object that an instance names


def prepared_bytes(value: object, size: int, models: Sequence[Model], requested: Requested) -> int:
    """The most memory that an instance of `size` bytes takes for any of the models that may read it."""
    kind = instances.kind(value)
    readers = [model for model in models if kind in ("uri", model.task.kind)]
    try:
        own = instances.parameters(value)
    except InstanceError:
        own = {}
    size = OBJECT_BYTES if kind == "uri" else size
    return max((model.task.prepared_bytes(size, model.effective({**requested, **own})) for model in readers), default=0)


def chunks(values: Sequence[Any], models: Sequence[Model], requested: Requested) -> Iterator[Sequence[Any]]:
    """The instances in parts that may be prepared together."""
    start = held = 0
    for index, value in enumerate(values):
        size = prepared_bytes(value, _size(value), models, requested)
        if held and held + size > MAX_PREPARED_BYTES:
            yield values[start:index]
            start, held = index, 0
        held += size
    yield values[start:]


def _size(value: object) -> int:
    """The bytes of a text or of two, at most."""
    texts = (value.get("text"), value.get("text_pair")) if isinstance(value, dict) else (value,)
    return sum(4 * len(text) for text in texts if isinstance(text, str))
