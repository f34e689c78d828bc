"""Reads documents and the progress of batches from the output bucket."""

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from event_inference import names
from event_inference.outcomes.documents import Batch, Document, Result, parse, parse_batch

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

CONCURRENCY = 16
_AFTER_DIGITS = ":"  # the character after 9: all documents of an object lie between NAME/ and NAME/:
_FIELDS = "items(name,generation,updated),nextPageToken"

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which documents to read.

    Attributes:
        prefix: of the input's name.
        since, until: when the document was finished; with a time zone.
        kind: of the input.
        code: of a rejection or an error.
        label: one that the predictions contain.
        below: documents whose confidence is lower, from 0 to 1.
        every_generation: not only the newest document of each object.
        known: names of documents to leave out.
    """

    prefix: str = ""
    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    code: str | None = None
    label: str | None = None
    below: float | None = None
    every_generation: bool = False
    known: Collection[str] = ()

    def includes(self, document: Document) -> bool:
        if self.kind is not None and document.kind != self.kind:
            return False
        if self.code is not None and getattr(document, "code", None) != self.code:
            return False
        if (self.since and document.finished_at < self.since) or (self.until and document.finished_at > self.until):
            return False
        return not isinstance(document, Result) or self._includes_result(document)

    def _includes_result(self, document: Result) -> bool:
        if self.label is not None and self.label not in document.labels:
            return False
        return self.below is None or (document.confidence is not None and document.confidence < self.below)


def documents(output: "Bucket", folder: str, selection: Selection) -> Iterator[Document]:
    """The selected documents of a folder in order of their names, read concurrently and with bounded memory."""
    listed = output.list_blobs(prefix=f"{folder}/{selection.prefix}", fields=_FIELDS)
    blobs: Iterable[Blob] = (
        blob for blob in listed if blob.name.endswith(".json") and blob.name not in selection.known
    )
    if not selection.every_generation:
        blobs = _newest(blobs)
    if selection.since:
        since = selection.since  # a document is written after it was finished
        blobs = (blob for blob in blobs if blob.updated >= since)
    for document in concurrently(lambda blob: read(output, blob.name), blobs):
        if document is not None and selection.includes(document):
            yield document


def read(output: "Bucket", name: str) -> Document | None:
    """A document; None if there is none, or if the object is a user's own JSON."""
    content = read_json(output, name)
    if not isinstance(content, dict) or "schema" not in content or "timing" not in content:
        return None
    return parse(name, content)


def document_of(output: "Bucket", document: str) -> Document | None:
    """The terminal document of a job; None if there is none yet.

    Args:
        document: its name without folder and suffix.
    """
    for folder in names.FOLDERS:
        if found := read(output, f"{folder}/{document}.json"):
            return found
    return None


def batch_of(output: "Bucket", job: str) -> Batch | None:
    """The progress of a batch; None if it was not cut into shards yet, or the job is no batch."""
    content = read_json(output, f"status/{job}.json")
    return None if content is None else parse_batch(content)


def batches(output: "Bucket", *, since: datetime | None = None) -> Iterator[Batch]:
    """The progress of every batch that was reported since a time."""
    listed = output.list_blobs(prefix="status/", fields=_FIELDS)
    jobs = (blob.name[len("status/") : -len(".json")] for blob in listed if not since or blob.updated >= since)
    for batch in concurrently(lambda job: batch_of(output, job), jobs):
        if batch is not None:
            yield batch


def recommendations(output: "Bucket") -> dict[str, Any] | None:
    """The newest daily document of recommendations; None if there is none."""
    names = [blob.name for blob in output.list_blobs(prefix="recommendations/", fields=_FIELDS)]
    recommended: dict[str, Any] | None = read_json(output, max(names)) if names else None
    return recommended


def concurrently(
    call: Callable[[T], R], arguments: Iterable[T], *, concurrency: int = CONCURRENCY, ordered: bool = True
) -> Iterator[R]:
    """The results of the calls, of which at most twice `concurrency` are held.

    After an exception or when the caller stops, nothing more is started, and what runs is waited for.

    Args:
        ordered: in the order of the arguments; otherwise as they come.
    """
    from concurrent.futures import FIRST_COMPLETED, wait

    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="einf") as pool:
        try:
            for argument in arguments:
                waiting.append(pool.submit(call, argument))
                while len(waiting) >= 2 * concurrency:
                    if not ordered:
                        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                        waiting = deque(sorted(waiting, key=lambda future: future not in done))
                    yield waiting.popleft().result()
            while waiting:
                if not ordered:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    waiting = deque(sorted(waiting, key=lambda future: future not in done))
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _newest(blobs: Iterable["Blob"]) -> Iterator["Blob"]:
    """The last generation of each object's documents; a message or manifest has only one."""
    pending: dict[str, Blob] = {}
    for blob in blobs:
        for name in [name for name in pending if blob.name > f"{name}/{_AFTER_DIGITS}"]:
            yield pending.pop(name)
        name, _, generation = blob.name.removesuffix(".json").rpartition("/")
        if not generation.isdigit():
            yield blob
        elif name not in pending or _generation(pending[name]) < int(generation):
            pending[name] = blob
    yield from pending.values()


def _generation(blob: "Blob") -> int:
    return int(blob.name.removesuffix(".json").rpartition("/")[2])


def read_json(bucket: "Bucket", name: str) -> Any:
    """The content of a JSON object; None if there is none, or it is not JSON."""
    from google.api_core.exceptions import NotFound

    try:
        return json.loads(bucket.blob(name).download_as_bytes())
    except (NotFound, ValueError):
        return None
