"""Keeps latest/<object name> at the newest generation's document, whatever order executions end in."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from google.api_core.exceptions import PreconditionFailed

from pipeline.jobs import Input, fit
from pipeline.objects import copy, put
from pipeline.stamps import stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

GENERATION = "input-generation"


def advance(output: "Bucket", job: str, source: Input, document: str, data: "Blob | None") -> None:
    """Copies a terminal document of any status, and the data beside it first, unless newer copies are there."""
    metadata = stamp(job, **{GENERATION: str(source.generation)})
    if data is not None:
        target = output.blob(f"latest/{fit(source.name)}.{data.name.rpartition('.')[2]}")
        _replace(target, source.generation, lambda seen: copy(data, target, metadata, generation=seen))
    copied = output.blob(f"latest/{fit(source.name)}.json")
    _replace(copied, source.generation, lambda seen: put(copied, document, metadata, generation=seen))


def _replace(target: "Blob", generation: int, write: Callable[[int], None]) -> None:
    """Writes over an older generation's copy; every lost race means that another writer has moved on."""
    seen = 0
    while True:
        try:
            write(seen)
        except PreconditionFailed:
            current = target.bucket.get_blob(target.name)
            if current is None:
                seen = 0
            elif _copied_generation(current) >= generation:
                return
            else:
                seen = current.generation
        else:
            return


def _copied_generation(blob: "Blob") -> int:
    text = (blob.metadata or {}).get(GENERATION, "")
    return int(text) if text.isdecimal() else 0
