"""Waits for the documents of many inputs, with as few requests as their number allows."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from event_inference import names
from event_inference.errors import WaitTimeoutError
from event_inference.outcomes import reading
from event_inference.outcomes.documents import Document
from event_inference.outcomes.handle import Handle

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

_FEW = 10  # inputs up to which each is asked for by itself, and more are found in listings
_FIRST_S, _FACTOR = 0.1, 1.4


def documents(
    output: "Bucket",
    handles: Iterable[Handle],
    *,
    timeout: float | None,
    longest_pause: float,
    on_poll: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Handle, Document]]:
    """Each handle with its document, as the documents appear.

    Args:
        timeout: seconds for all of them; None to wait for as long as it takes.
        longest_pause: seconds between two polls, once waiting has become long.
        on_poll: called before each pause.

    Raises:
        WaitTimeoutError: some have no document after that time.
    """
    pending = {handle.document_name: handle for handle in handles}
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_S
    while pending:
        arrived = False
        for name, document in _finished(output, list(pending)):
            arrived = True
            yield pending.pop(name), document
        if not pending:
            return
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise _timeout(pending, timeout or 0)
        on_poll()
        pause = _FIRST_S if arrived else min(pause * _FACTOR, longest_pause)
        time.sleep(pause if left is None else min(pause, left))


def _finished(output: "Bucket", pending: list[str]) -> Iterator[tuple[str, Document]]:
    if len(pending) <= _FEW:
        found = reading.concurrently(lambda name: reading.document_of(output, name), pending)
        for name, document in zip(pending, found, strict=True):
            if document is not None:
                yield name, document
        return
    finished = _listed(output, pending)
    read = reading.concurrently(lambda name: reading.document_of(output, name), finished)
    for name, document in zip(finished, read, strict=True):
        if document is not None:
            yield name, document


def _listed(output: "Bucket", pending: list[str]) -> list[str]:
    """Those of the pending documents that exist, from one listing of each folder between the first and the last."""
    waited = set(pending)
    first, last = min(waited), max(waited)
    found: dict[str, None] = {}
    for folder in names.FOLDERS:
        listed = output.list_blobs(
            prefix=f"{folder}/",
            start_offset=f"{folder}/{first}",
            end_offset=f"{folder}/{last}.json0",  # exclusive, and greater than LAST.json
            fields="items(name),nextPageToken",
        )
        documents = (blob.name.removeprefix(f"{folder}/").removesuffix(".json") for blob in listed)
        found |= dict.fromkeys(name for name in documents if name in waited)
    return list(found)


def _timeout(pending: dict[str, Handle], seconds: float) -> WaitTimeoutError:
    first = next(iter(pending.values())).name
    others = f" and {len(pending) - 1} others have" if len(pending) > 1 else " has"
    return WaitTimeoutError(
        f"{first}{others} no document after {seconds:g} s; processing goes on. See: einf status {first}"
    )
