"""The part of the client that changes nothing: documents, progress, status, models, and waiting for documents."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from event_inference import names, served_models, undelivered
from event_inference.access.clients import Connection, translated
from event_inference.errors import InputError
from event_inference.inputs.orders import Replay
from event_inference.inputs.uploads import Sent
from event_inference.outcomes import claims, executions, reading, records, waiting
from event_inference.outcomes.documents import Batch, Document, Failed, Rejected, Result
from event_inference.outcomes.handle import Handle, Status
from event_inference.outcomes.reading import Selection
from event_inference.outcomes.records import Record
from event_inference.targets import Target
from event_inference.undelivered import Undelivered

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_LAPTOP_PAUSE_S, _CLOUD_PAUSE_S = 0.5, 3.0  # at most, between two looks for documents

D = TypeVar("D", bound=Document)


class Reader:
    """Reads from a pipeline; a context manager, safe to share between threads.

    Attributes:
        target: the pipeline.
        connection: Google's own clients, connected to it.
    """

    def __init__(self, target: Target, credentials: "Credentials | None" = None) -> None:
        self.target = target
        self.connection = Connection(target, credentials)

    def handle(self, name: str, generation: int | None = None) -> Handle:
        """A handle on an object of the input bucket that was sent before, by default on its newest generation.

        Raises:
            InputError: there is no such object.
            UnreachableError: the pipeline does not answer, or refuses.
        """
        if generation is None:
            with translated(self.target):
                blob = self.connection.input.get_blob(name)
            if blob is None:
                raise InputError(f"gs://{self.target.input_bucket}/{name} does not exist.")
            generation = int(blob.generation)
        return self._handle(Sent(name, generation, is_new=False))

    def find(self, name: str) -> Handle:
        """A handle on an input that was sent before.

        Args:
            name: of the object, its `gs://` URI, or the id of the job.

        Raises:
            InputError: there is none.
            UnreachableError: the pipeline does not answer, or refuses.
        """
        bucket, _, rest = name.removeprefix("gs://").partition("/")
        if name.startswith("gs://"):
            if bucket != self.target.input_bucket:
                raise InputError(f"{name} is not in the input bucket, gs://{self.target.input_bucket}.")
            return self.handle(rest)
        if names.is_job(name) and (found := self._handle_of_job(name)):
            return found
        return self.handle(name)

    def models(self) -> list[dict[str, Any]]:
        """The models that are served: `{name, version, task, source, default, …}`; of a cloud, those in models.json.

        Raises:
            UnreachableError: the pipeline does not answer or refuses, or a cloud serves those of its image.
        """
        with translated(self.target):
            return served_models.served(self.connection)

    def download(self, name: str, file: Path) -> None:
        """Save an object of the output bucket.

        Raises:
            InputError: the file cannot be written.
            UnreachableError: there is no such object, or the pipeline does not answer.
        """
        with translated(self.target):
            try:
                self.connection.output.blob(name).download_to_filename(str(file))
            except OSError as error:
                if error.filename is None:
                    raise
                raise InputError(f"{file} cannot be written: {error.strerror}") from error

    def save(self, document: Document, folder: Path) -> list[Path]:
        """Save a document, and the CSV or JSONL that it names, under their names in the output bucket.

        Returns:
            The files, the document first.

        Raises:
            InputError: a file cannot be written.
            UnreachableError: an object is gone, or the pipeline does not answer.
        """
        files = []
        for name in (document.name, document.data_name):
            if name is not None:
                files.append(folder.joinpath(*_inside(name)))
                files[-1].parent.mkdir(parents=True, exist_ok=True)
                self.download(name, files[-1])
        return files

    def records(self, result: Result) -> Iterator[Record]:
        """The single answers of a result in order: of its instances, or of a batch's records; none for a forecast.

        Raises:
            UnreachableError: the data are gone, or the pipeline does not answer.
        """
        with translated(self.target):
            yield from records.of_result(self.connection.output, result)

    def wait(
        self,
        handles: Iterable[Handle],
        *,
        timeout: float | None = None,
        on_poll: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[Handle, Document]]:
        """Each handle with its document, as the documents appear.

        Args:
            timeout: seconds for all of them; None to wait for as long as it takes.
            on_poll: called before each pause between two looks.

        Raises:
            WaitTimeoutError: some have no document after that time; processing goes on.
            UnreachableError: the pipeline does not answer, or refuses.
        """
        pause = _CLOUD_PAUSE_S if self.target.is_cloud else _LAPTOP_PAUSE_S
        with translated(self.target):
            yield from waiting.documents(
                self.connection.output, handles, timeout=timeout, longest_pause=pause, on_poll=on_poll
            )

    def document(self, name: str) -> Document | None:
        """The terminal document with this name, without folder and suffix; None if there is none yet.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        with translated(self.target):
            return reading.document_of(self.connection.output, name)

    def status_of(self, job: str, document: str) -> Status:
        """How far a job is; `Handle.status` calls this.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        with translated(self.target):
            return self._status(job, document)

    def results(self, selection: Selection | None = None, **criteria: Any) -> Iterator[Result]:
        """The results, in order of their inputs' names.

        Args:
            criteria: the fields of `Selection`: `prefix`, `since`, `until`, `kind`, `label`, `below`,
                `every_generation`.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        return self._documents(Result, selection or Selection(**criteria))

    def rejected(self, selection: Selection | None = None, **criteria: Any) -> Iterator[Rejected]:
        """The rejections: inputs that can never succeed; `criteria` as of `results`, and `code`.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        return self._documents(Rejected, selection or Selection(**criteria))

    def failed(self, selection: Selection | None = None, **criteria: Any) -> Iterator[Failed]:
        """The failures, which a replay runs again; `criteria` as of `results`, and `code`.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        return self._documents(Failed, selection or Selection(**criteria))

    def undelivered(self, endpoint: str = "") -> Iterator[Undelivered]:
        """The notifications that an endpoint, or any, did not take in all attempts (docs/notifications.md).

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        with translated(self.target):
            yield from undelivered.listed(self.connection, endpoint)

    def recommendations(self) -> dict[str, Any] | None:
        """The newest of the documents that are written daily: what would be worth changing; None if there is none.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        with translated(self.target):
            return reading.recommendations(self.connection.output)

    def batches(self, *, since: datetime | None = None) -> Iterator[Batch]:
        """The progress of batches, running and done, that was reported since a time.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        with translated(self.target):
            yield from reading.batches(self.connection.output, since=since)

    def replayable(self, criteria: Replay | None = None, **fields: Any) -> Iterator[Document]:
        """The documents that `replay` with the same arguments would run again; reads only.

        Raises:
            InputError: a criterion has no possible value.
            UnreachableError: the pipeline does not answer, or refuses.
        """
        chosen = criteria or Replay(**fields)
        selection = Selection(prefix=chosen.prefix, since=chosen.since, until=chosen.until, every_generation=True)
        kind: type[Document] = Result if chosen.partial else Failed
        matching = (
            found for found in self._documents(kind, selection) if not chosen.code or chosen.code in _codes(found)
        )
        return islice((found for found in matching if _codes(found)), chosen.limit)

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _documents(self, kind: type[D], selection: Selection) -> Iterator[D]:
        with translated(self.target):
            for document in reading.documents(self.connection.output, kind.folder, selection):
                if isinstance(document, kind):
                    yield document

    def _handle(self, sent: Sent) -> Handle:
        job = names.job(self.target.input_bucket, sent.name, sent.generation)
        document = names.document(sent.name, sent.generation)
        return Handle(self, sent.name, sent.generation, job, document, sent.is_new)

    def _handle_of_job(self, job: str) -> Handle | None:
        with translated(self.target):
            execution = executions.of_job(self.connection, job)
        if execution is None or not execution.document:
            return None
        return Handle(self, execution.input or job, 0, job, execution.document, is_new=False)

    def _status(self, job: str, document: str) -> Status:
        if found := reading.document_of(self.connection.output, document):
            return Status(found.status, found, execution=found.execution, place=self.place(found))
        batch = reading.batch_of(self.connection.output, job)
        execution = executions.of_job(self.connection, job)
        if execution is None:
            claim = claims.of_job(self.connection.work, job)
            if claim is None or claim.execution is None:
                return Status("running" if batch else "waiting", batch=batch, until=claim.due if claim else None)
            execution = executions.get(self.connection, claim.execution)
        steps = tuple(execution.steps)
        return Status("running", steps=steps, batch=batch, execution=execution.id, place=execution.place)

    def place(self, document: Document) -> str | None:
        """Where in the workflow the execution of a failed document stopped; None once it is forgotten."""
        if not isinstance(document, Failed) or document.execution is None:
            return None
        from google.api_core.exceptions import NotFound

        try:
            return executions.get(self.connection, document.execution).place
        except NotFound:
            return None


def _inside(name: str) -> list[str]:
    """The folders and the file of an object's name, none of which leads out of a folder."""
    return [f"_{part}" if part in (".", "..") else part for part in name.split("/") if part]


def _codes(document: Document) -> set[str]:
    """The codes of a failure, or of the shards that a partial result lacks; empty if nothing can be replayed."""
    if isinstance(document, Failed):
        return {document.code}
    data = document.content.get("data") or {}
    return {lost["code"] for lost in data.get("lost", [])}
