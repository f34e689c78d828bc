"""Keeps latest/<object name> at the newest generation's document, whatever order executions end in."""

from typing import TYPE_CHECKING

from pipeline.jobs import Input, fit
from pipeline.objects import INPUT_GENERATION, copy, put, supersede

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket


def advance(
    output: "Bucket", source: Input, metadata: dict[str, str], attempt: int, document: str, data: "Blob | None"
) -> None:
    """Copies a terminal document of any status, and the data beside it first, unless newer copies are there."""
    metadata = metadata | {INPUT_GENERATION: str(source.generation)}
    rank = (source.generation, attempt)
    if data is not None:
        target = output.blob(f"latest/{fit(source.name)}.{data.name.rpartition('.')[2]}")
        supersede(target, rank, lambda seen: copy(data, target, metadata, generation=seen))
    copied = output.blob(f"latest/{fit(source.name)}.json")
    supersede(copied, rank, lambda seen: put(copied, document, metadata, generation=seen))
