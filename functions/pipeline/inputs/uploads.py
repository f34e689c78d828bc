"""Uploads: generations of objects, as an event, a notification or a listing describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pipeline import storage
from pipeline.errors import MalformedError
from pipeline.inputs import sidecars
from pipeline.inputs.events import Receipt
from pipeline.jobs.job import MAX_OBJECT_NAME, Input, Job, document_of_object, int64, of_object

if TYPE_CHECKING:
    from google.cloud.storage import Blob


@dataclass(frozen=True, slots=True)
class Upload:
    """One generation of an object; `size` in bytes and `created_at` in RFC 3339, None if the source does not say."""

    bucket: str
    name: str
    generation: int
    size: int | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: str | None = None

    @classmethod
    def parse(cls, resource: object) -> Self:
        """Reads an object resource.

        Raises:
            MalformedError: bucket, name or generation is missing, or a field is of the wrong type.
        """
        if not isinstance(resource, dict):
            raise MalformedError("The event's data must be an object resource.")
        bucket, name = (_text(resource, key) for key in ("bucket", "name"))
        if not _is_object_name(name):
            raise MalformedError("name must be an object name: Unicode on one line, at most 1,024 bytes of UTF-8.")
        size, content_type, metadata = (resource.get(key) for key in ("size", "contentType", "metadata"))
        if content_type is not None and not (isinstance(content_type, str) and content_type.isprintable()):
            raise MalformedError("contentType must be a string.")
        if metadata is not None and not isinstance(metadata, dict):
            raise MalformedError("metadata must be an object.")
        created_at = resource.get("timeCreated")
        return cls(
            bucket=bucket,
            name=name,
            generation=int64(resource.get("generation"), "generation"),
            size=None if size is None else int64(size, "size"),
            content_type=content_type,
            metadata={key: value for key, value in (metadata or {}).items() if isinstance(value, str)},
            created_at=created_at if isinstance(created_at, str) else None,
        )

    @classmethod
    def of_blob(cls, blob: "Blob") -> Self:
        return cls(
            bucket=blob.bucket.name,
            name=blob.name,
            generation=blob.generation,
            size=blob.size,
            content_type=blob.content_type,
            metadata=dict(blob.metadata or {}),
            created_at=blob.time_created.isoformat() if blob.time_created else None,
        )

    @property
    def is_stamped(self) -> bool:
        """Whether the pipeline wrote it."""
        return storage.is_stamped(self.metadata)

    @property
    def is_input(self) -> bool:
        """Whether it is to be predicted on: not a folder's placeholder, nor a sidecar."""
        is_folder = self.name.endswith("/") and self.size == 0
        return not is_folder and not sidecars.is_sidecar(self.name)

    def job(self, receipt: Receipt) -> Job:
        return Job(
            id=of_object(self.bucket, self.name, self.generation),
            document=document_of_object(self.name, self.generation),
            event_id=receipt.event_id,
            received_at=receipt.received_at,
            input=Input(self.bucket, self.name, self.generation, self.size or 0, self.content_type),
            trace=receipt.trace,
            hops=storage.hops(self.metadata),
            created_at=self.created_at,
        )

    def described(self) -> "Upload":
        """Itself with size and metadata, fetched if they are missing; unchanged if the object no longer exists."""
        if self.size is not None:
            return self
        blob = storage.bucket(self.bucket).get_blob(self.name, generation=self.generation)
        return self if blob is None else Upload.of_blob(blob)


def _is_object_name(name: str) -> bool:
    try:
        return len(name.encode()) <= MAX_OBJECT_NAME and "\n" not in name and "\r" not in name
    except UnicodeEncodeError:  # an unpaired surrogate
        return False


def _text(resource: dict[str, Any], key: str) -> str:
    value = resource.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{key} must be a non-empty string.")
    return value
