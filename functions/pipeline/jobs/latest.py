"""latest/: for each object a copy of the newest generation's document and data file.

latest/<name>.json                   the document
latest/<name>.predictions.<format>   the data

A copy's metadata hold the generation and the attempt that it comes from; a lower one never replaces a higher one. The
data file is copied first. A data file older than the document, of another format or of a generation that was overtaken,
is removed after that.
"""

import contextlib
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline.jobs.job import Input, fit
from pipeline.storage import INPUT_GENERATION, copy, put, rank, supersede

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FORMATS = ("csv", "jsonl")


def advance(
    output: "Bucket", source: Input, metadata: dict[str, str], attempt: int, document: str, data: "Blob | None"
) -> None:
    """Copies the data file and writes the document, unless what is there is of a newer generation or attempt."""
    metadata = metadata | {INPUT_GENERATION: str(source.generation)}
    order = (source.generation, attempt)
    if data is not None:
        target = output.blob(_data(source, data.name.rpartition(".")[2]))
        supersede(target, order, lambda generation: copy(data, target, metadata, generation=generation))
    newest = output.blob(f"latest/{fit(source.name)}.json")
    is_first = supersede(newest, order, lambda generation: put(newest, document, metadata, generation=generation))
    if not is_first:
        _remove_older_data(output, source, newest.name)


def _remove_older_data(output: "Bucket", source: Input, name: str) -> None:
    document = output.get_blob(name)
    for format in FORMATS:
        data = output.get_blob(_data(source, format))
        if document and data and rank(data) < rank(document):
            with contextlib.suppress(NotFound, PreconditionFailed):  # another writer has removed or replaced it
                data.delete(if_generation_match=data.generation)


def _data(source: Input, format: str) -> str:
    """The data file's name, which no document and no other object's data has."""
    return f"latest/{fit(source.name, f'.predictions.{format}')}"
