"""A handle on one input that was sent: its status, and its document once there is one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from event_inference.outcomes.documents import Batch, Document


@dataclass(frozen=True, slots=True)
class Status:
    """How far an input is.

    Attributes:
        state: `waiting` (no execution yet), `running`, or the document's status: `succeeded`, `partial`,
            `unsuccessful`, `rejected`, `failed`.
        steps: the workflow's current steps, innermost last; empty when unknown.
        batch: the progress of a batch; None for single inputs and before it was cut.
        execution: id of the workflow's execution.
        place: where in workflow.yaml the execution failed.
        until: when an input that waits to be predicted on together with others starts at the latest.
    """

    state: str
    document: Document | None = None
    steps: tuple[str, ...] = ()
    batch: Batch | None = None
    execution: str | None = None
    place: str | None = None
    until: datetime | None = None

    @property
    def is_final(self) -> bool:
        return self.document is not None


class Pipeline(Protocol):
    """What a handle asks; a client is one."""

    def document(self, name: str) -> Document | None: ...

    def status_of(self, job: str, document: str) -> Status: ...

    def wait(self, handles: "Iterable[Handle]", *, timeout: float | None) -> "Iterator[tuple[Handle, Document]]": ...


@dataclass(frozen=True, slots=True, eq=False)
class Handle:
    """An input that was sent.

    Attributes:
        name: of the object in the input bucket, or `TOPIC/MESSAGE-ID` of a message.
        generation: of the object, 0 for a message.
        job: identifies the input in every document and log.
        document_name: of its document, without folder and suffix.
        is_new: False if the input bucket held the same content with the same metadata already.
    """

    client: Pipeline
    name: str
    generation: int
    job: str
    document_name: str
    is_new: bool = True

    @property
    def document(self) -> Document | None:
        """The terminal document, a `Result`, `Rejected` or `Failed`; None if there is none yet. Reads it anew.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        return self.client.document(self.document_name)

    def status(self) -> Status:
        """How far the input is.

        Raises:
            UnreachableError: the pipeline does not answer, or refuses.
        """
        return self.client.status_of(self.job, self.document_name)

    def wait(self, timeout: float | None = None) -> Document:
        """Wait for the terminal document: a `Result`, `Rejected` or `Failed`.

        Args:
            timeout: seconds; None to wait for as long as it takes.

        Raises:
            WaitTimeoutError: there is none after that time. The input is still being processed.
            UnreachableError: the pipeline does not answer, or refuses.
        """
        return next(iter(self.client.wait([self], timeout=timeout)))[1]
