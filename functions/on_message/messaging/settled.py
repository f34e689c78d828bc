"""Finds the uploads of a listed page that have their document, by listing the documents with the same names.

A page of 1,000 uploads takes about four requests that way, where asking for each document would take up to 3,000.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

FOLDERS = ("results", "rejected", "failed")
NAMES_PER_UPLOAD = 10  # listed at most, on average: a range may be full of documents of inputs deleted long ago
SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Listed:
    """The documents of a folder up to `end`, where the listing was cut off; to the end of the range if it is None."""

    documents: frozenset[str]
    end: str | None

    def holds(self, document: str) -> bool | None:
        """Whether the folder holds the document; None if the listing does not say."""
        if document in self.documents:
            return True
        return None if self.end is not None and document + SUFFIX > self.end else False


def folders(output: "Bucket", documents: Mapping[str, str]) -> dict[str, list[str]]:
    """The folders that hold each document, in the order of FOLDERS; a document of which that is unknown is left out.

    Args:
        documents: the documents' names by those of their uploads. A name that was cut lies outside the listed range.
    """
    plain = {name: document for name, document in documents.items() if document.startswith(f"{name}/")}
    if not plain:
        return {}
    listed = {folder: _list(output, folder, plain) for folder in FOLDERS}
    found: dict[str, list[str]] = {}
    for document in plain.values():
        holds = [listed[folder].holds(document) for folder in FOLDERS]
        if None not in holds:
            found[document] = [folder for folder, is_there in zip(FOLDERS, holds, strict=True) if is_there]
    return found


def _list(output: "Bucket", folder: str, names: Iterable[str]) -> Listed:
    """The documents of the uploads with these names, and whatever lies between."""
    ordered: Sequence[str] = sorted(names)
    last = max(f"{name}0" for name in ordered)  # the character after the slash that follows a name
    limit = NAMES_PER_UPLOAD * len(ordered)
    blobs = output.list_blobs(
        prefix=f"{folder}/",
        start_offset=f"{folder}/{ordered[0]}",
        end_offset=f"{folder}/{last}",
        fields="items(name),nextPageToken",
    )
    objects = [blob.name.removeprefix(f"{folder}/") for blob in islice(blobs, limit)]
    documents = frozenset(name.removesuffix(SUFFIX) for name in objects if name.endswith(SUFFIX))
    return Listed(documents, objects[-1] if len(objects) == limit else None)
