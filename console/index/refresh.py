"""Keeps the index like the buckets: compares listings with it, and reads the documents that are new.

A listing is compared page by page, so memory does not grow with the number of inputs. Nothing is listed while nobody
looks. In a cloud every page of a listing costs money, so listings are spaced out to stay below a budget.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from console.index import rows
from console.index.store import PENDING, Index, Row
from event_inference import Client, EventInferenceError
from event_inference.access.clients import translated
from event_inference.outcomes import executions, reading

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

_log = logging.getLogger(__name__)

_FOLDERS = ("failed", "rejected", "results")
_FIELDS = "items(name,generation,updated,size),nextPageToken"
_READ = 100  # documents between two commits
_READ_S = 2.0  # seconds of reading between two listings
_WATCHED_S = 120  # for how long after the last look the index is kept up to date
_LAPTOP_PAUSE_S, _CLOUD_PAUSE_S = 0.7, 15.0
_PAGE_USD, _BUDGET_USD_HOUR = 0.000005, 0.05  # a class A operation; what listings may cost while somebody looks
_HOT_S, _HOT_ROWS = 0.5, 20  # new inputs are asked for by themselves between two listings
_CLOUD_HOT_S, _CLOUD_HOT_ROWS = 3.0, 5
_BETWEEN = (  # in the order of the objects' names, in which a document ends in .json
    "SELECT document, object_generation FROM inputs"
    " WHERE folder = ? AND document || '.json' > ? AND document || '.json' <= ?"
)
_BEHIND_ALL = "\U0010ffff"


class Refresher:
    """A thread that keeps an index up to date while `touch` is called now and then.

    Attributes:
        error: why the last refresh failed, for people; empty if it did not.
        complete: whether a whole pass has been made since the start.
    """

    def __init__(self, client: Client, index: Index, *, page_size: int = 1000) -> None:
        self._client, self._index, self._page_size = client, index, page_size
        self._touched = 0.0
        self._wake, self._stopping = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="refresh", daemon=True)
        self._pages = 0
        self.error, self.complete = "", False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def touch(self) -> None:
        """Somebody looks."""
        idle = time.monotonic() - self._touched > _WATCHED_S
        self._touched = time.monotonic()
        if idle:
            self._wake.set()

    def soon(self) -> None:
        """Something has changed: look now."""
        self._touched = time.monotonic()
        self._wake.set()

    def refresh(self) -> None:
        """Make the index like the buckets; reads new documents for a while only, so call it until `unread` is 0.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        self._pages = 0
        target, connection = self._client.target, self._client.connection
        with translated(target):
            self._compare_inputs(connection.input)
            for folder in _FOLDERS:
                self._compare_documents(connection.output, folder)
            self._compare_labels(connection.output)
            self._find_running()
            self._read_documents(time.monotonic() + _READ_S)
        if not self.complete:
            self.complete = True
            self._index.announce()  # pages that say that the buckets are being read say so no more

    @property
    def unread(self) -> int:
        """The documents that are listed and not read yet."""
        found = self._index.row("SELECT count(*) AS n FROM inputs WHERE unread")
        return int(found["n"]) if found else 0

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            if time.monotonic() - self._touched > _WATCHED_S:
                self._wake.wait()
                continue
            began = time.monotonic()
            try:
                self.refresh()
                self._set_error("")
            except EventInferenceError as error:
                self._set_error(str(error))
            except Exception:  # noqa: BLE001 - the thread's boundary: the page says it, and the next pass tries again
                _log.exception("refresh failed")
                self._set_error("The index could not be refreshed; the console's log says why.")
            self._pause(time.monotonic() - began)

    def _pause(self, took: float) -> None:
        """Wait until the next pass is due, and ask for new inputs meanwhile."""
        is_cloud = self._client.target.is_cloud
        if is_cloud:
            pause = max(_CLOUD_PAUSE_S, self._pages * _PAGE_USD * 3600 / _BUDGET_USD_HOUR)
        else:
            pause = max(_LAPTOP_PAUSE_S, 2 * took)
        if self.unread:
            pause = min(pause, _LAPTOP_PAUSE_S)
        until = time.monotonic() + pause
        step = _CLOUD_HOT_S if is_cloud else _HOT_S
        while not self._stopping and (left := until - time.monotonic()) > 0:
            if self._wake.wait(min(step, left)):
                return
            try:
                with translated(self._client.target):
                    self._ask_for_new(_CLOUD_HOT_ROWS if is_cloud else _HOT_ROWS)
            except EventInferenceError as error:
                self._set_error(str(error))

    def _set_error(self, error: str) -> None:
        if error != self.error:
            self.error = error
            self._index.announce()

    def _compare_inputs(self, bucket: "Bucket") -> None:
        last = ""
        for page in self._listed(bucket, ""):
            wanted = [
                rows.of_object(bucket.name, blob.name, int(blob.generation), blob.size, blob.updated)
                for blob in page
                if rows.is_input(blob.name)
            ]
            self._take_inputs(wanted, last, page[-1].name)
            last = page[-1].name
        self._drop_inputs(last)

    def _take_inputs(self, wanted: list[Row], after: str, until: str) -> None:
        known = self._index.rows("SELECT document, folder FROM inputs WHERE name > ? AND name <= ?", (after, until))
        present = {row["document"] for row in known}
        listed = {row["document"] for row in wanted}
        gone = [row["document"] for row in known if not row["folder"] and row["document"] not in listed]
        if new := [row for row in wanted if row["document"] not in present]:
            self._index.put(new)
        self._delete(gone)

    def _drop_inputs(self, after: str) -> None:
        """Forget inputs behind the listing's end that have no document."""
        gone = self._index.rows("SELECT document FROM inputs WHERE name > ? AND folder = ''", (after,))
        self._delete([row["document"] for row in gone if not row["document"].startswith(("messages/", "manifests/"))])

    def _compare_documents(self, bucket: "Bucket", folder: str) -> None:
        last = ""
        for page in self._listed(bucket, f"{folder}/"):
            listed = {blob.name[len(folder) + 1 : -len(".json")]: blob for blob in page if blob.name.endswith(".json")}
            end = page[-1].name[len(folder) + 1 :]
            between = self._index.rows(_BETWEEN, (folder, last, end))
            known = {row["document"]: row["object_generation"] for row in between}
            self._take_documents(folder, listed, known)
            self._lose_documents(folder, [name for name in known if name not in listed])
            last = end
        rest = self._index.rows(_BETWEEN, (folder, last, _BEHIND_ALL))
        self._lose_documents(folder, [row["document"] for row in rest])

    def _take_documents(self, folder: str, listed: dict[str, "Blob"], known: dict[str, int]) -> None:
        generations = {name: int(blob.generation) for name, blob in listed.items()}
        unnumbered = [name for name in listed if known.get(name) == 0]  # read already, before the listing
        new = [name for name in listed if known.get(name) not in (0, generations[name])]
        if new:
            self._index.put(rows.of_listed(folder, name, generations[name], listed[name].updated) for name in new)
        self._update([{"document": name, "object_generation": generations[name]} for name in unnumbered])

    def _lose_documents(self, folder: str, documents: list[str]) -> None:
        """Documents that are not in a folder any more: a replay runs, or they moved to another folder."""
        if documents:
            with self._index.write() as connection:
                connection.executemany(
                    "UPDATE inputs SET folder = '', object_generation = 0, unread = 0, state = 'waiting'"
                    " WHERE document = ? AND folder = ?",
                    [(document, folder) for document in documents],
                )

    def _compare_labels(self, bucket: "Bucket") -> None:
        last, between = "", "SELECT job, object_generation FROM labels WHERE job > ? AND job <= ?"
        for page in self._listed(bucket, "labels/"):
            jobs = {blob.name[len("labels/") : -len(".json")]: int(blob.generation) for blob in page}
            known = {row["job"]: row["object_generation"] for row in self._index.rows(between, (last, max(jobs)))}
            last = max(jobs)
            new = [job for job, generation in jobs.items() if known.get(job) != generation]
            read = reading.concurrently(lambda job: reading.read_json(bucket, f"labels/{job}.json"), new)
            found = [
                (job, jobs[job], str(content.get("label")), str(content.get("source")))
                for job, content in zip(new, read, strict=True)
                if isinstance(content, dict)
            ]
            if found:
                with self._index.write() as connection:
                    connection.executemany("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", found)

    def _find_running(self) -> None:
        """Tell the newest inputs whose execution runs from those that wait."""
        limit = _CLOUD_HOT_ROWS if self._client.target.is_cloud else _HOT_ROWS
        pending = self._index.rows(
            "SELECT document, job, state FROM inputs WHERE state IN (?, ?) ORDER BY changed DESC LIMIT ?",
            (*PENDING, limit),
        )
        connection = self._client.connection
        found = reading.concurrently(lambda row: executions.of_job(connection, row["job"]), pending)
        changed = []
        for row, execution in zip(pending, found, strict=True):
            state = "running" if execution and execution.is_running else "waiting"
            if state != row["state"]:
                known = {"execution": execution.id, "kind": execution.kind} if execution else {}
                changed.append({"document": row["document"], "state": state, **known})
        self._update(changed)

    def _ask_for_new(self, limit: int) -> None:
        """Read the documents of the newest inputs without one, if they are there by now."""
        pending = self._index.rows(
            "SELECT document FROM inputs WHERE folder = '' ORDER BY changed DESC LIMIT ?", (limit,)
        )
        output = self._client.connection.output
        documents = [row["document"] for row in pending]
        found = reading.concurrently(lambda name: reading.document_of(output, name), documents)
        finished = [(document.folder, document) for document in found if document is not None]
        if finished:
            self._index.put({**rows.of_document(document), "folder": folder} for folder, document in finished)

    def _read_documents(self, until: float) -> None:
        """Read what was listed, the newest first."""
        output = self._client.connection.output
        while time.monotonic() < until and not self._stopping:
            unread = self._index.rows(
                "SELECT document, folder FROM inputs WHERE unread ORDER BY changed DESC LIMIT ?", (_READ,)
            )
            if not unread:
                return
            paths = [f"{row['folder']}/{row['document']}.json" for row in unread]
            read = list(reading.concurrently(lambda path: reading.read(output, path), paths))
            self._index.put(rows.of_document(document) for document in read if document is not None)
            self._delete([row["document"] for row, document in zip(unread, read, strict=True) if document is None])

    def _update(self, changed: list[Row]) -> None:
        if changed:
            with self._index.write() as connection:
                for row in changed:
                    names = [name for name in row if name != "document"]
                    sets = ", ".join(f"{name} = ?" for name in names)
                    connection.execute(
                        f"UPDATE inputs SET {sets} WHERE document = ?",  # noqa: S608
                        [*(row[name] for name in names), row["document"]],
                    )

    def _delete(self, documents: list[str]) -> None:
        if documents:
            with self._index.write() as connection:
                connection.executemany("DELETE FROM inputs WHERE document = ?", [(name,) for name in documents])

    def _listed(self, bucket: "Bucket", prefix: str) -> Iterator[list["Blob"]]:
        """The pages of a listing, in order of their objects' names."""
        listing = bucket.list_blobs(prefix=prefix, fields=_FIELDS, page_size=self._page_size)
        pages: Iterable[Iterable[Blob]] = listing.pages
        for page in pages:
            self._pages += 1
            if blobs := list(page):
                yield blobs
