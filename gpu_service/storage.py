"""Reads and writes gs:// objects in the allowed buckets; the official client is imported on first use."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from gpu_service.errors import GenerationChanged, InvalidRequest, ObjectNotFound, StorageFailed, TooLarge

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

CHUNK_BYTES = 4 << 20
MAX_OBJECT_BYTES = 32 << 20  # of one instance
CONNECTIONS = 32  # kept open, one for each thread that reads or writes; the client's default is 10


class Storage:
    """Objects by their gs:// URI, in `buckets` only."""

    def __init__(self, buckets: frozenset[str]) -> None:
        self.buckets = buckets
        self._lock = threading.Lock()
        self._client: Client | None = None

    def client(self) -> "Client":
        """The client that all threads share; anonymous with an emulator."""
        with self._lock:
            if self._client is None:
                self._client = _connect()
            return self._client

    def blob(self, uri: str, generation: int | None = None) -> "Blob":
        """Raises InvalidRequest: `invalid_uri` or `bucket_not_allowed`."""
        bucket, slash, name = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not slash or not bucket or not name:
            raise InvalidRequest("A URI must have the form gs://bucket/name.", "invalid_uri")
        if bucket not in self.buckets:
            raise InvalidRequest(f"This service may not access the bucket {bucket!r:.100}.", "bucket_not_allowed")
        with errors_translated(uri):
            blob: Blob = self.client().bucket(bucket).blob(name, generation=generation)
            return blob

    def reload(self, blob: "Blob", *, may_be_missing: bool = False) -> bool:
        """Reads the object's metadata and returns whether it exists.

        Raises:
            ObjectNotFound, StorageFailed
        """
        try:
            with errors_translated(_uri(blob)):
                blob.reload()
        except ObjectNotFound:
            if not may_be_missing:
                raise
            return False
        return True

    def read(self, uri: str, generation: int | None = None) -> bytes:
        """A whole object of at most 32 MiB: the live generation, or the given one.

        Raises:
            InvalidRequest, ObjectNotFound, TooLarge, StorageFailed
        """
        blob = self.blob(uri, generation)
        with errors_translated(uri if generation is None else f"{uri} with the generation {generation}"):
            data = _first_bytes(blob, MAX_OBJECT_BYTES + 1)
        if len(data) > MAX_OBJECT_BYTES:
            raise TooLarge(f"{uri} is larger than {MAX_OBJECT_BYTES >> 20} MiB.")
        return data

    def lines(self, blob: "Blob") -> Iterator[bytes]:
        """The object's lines without their line ends, read in chunks.

        Raises:
            ObjectNotFound, StorageFailed
        """
        with errors_translated(_uri(blob)), blob.open("rb", chunk_size=CHUNK_BYTES) as reader:
            # The client's own reader splits lines without a buffer.
            for line in io.BufferedReader(cast(io.RawIOBase, reader), CHUNK_BYTES):
                yield line.rstrip(b"\r\n")

    def write(self, uri: str, content: IO[bytes], generation: int, metadata: dict[str, str], content_type: str) -> None:
        """Writes everything up to the current position of `content` as one object.

        `generation` is the object's current one as a precondition, 0 when it does not exist.

        Raises:
            GenerationChanged: the object has another generation now.
            StorageFailed
        """
        blob = self.blob(uri)
        blob.metadata, blob.chunk_size = metadata, CHUNK_BYTES
        size = content.tell()
        with errors_translated(uri):
            blob.upload_from_file(
                content, rewind=True, size=size, content_type=content_type, if_generation_match=generation
            )


def download(uri: str, folder: Path) -> None:
    """Copies a model's files, every object under a gs:// prefix, into a folder.

    Raises:
        ObjectNotFound, StorageFailed: also when there are no objects.
    """
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    with errors_translated(uri):
        client = _connect()
        blobs = [blob for blob in client.list_blobs(bucket, prefix=prefix) if not blob.name.endswith("/")]
        for blob in blobs:
            target = (folder / blob.name.removeprefix(prefix)).resolve()
            if folder.resolve() in target.parents:
                target.parent.mkdir(parents=True, exist_ok=True)
                blob.download_to_filename(str(target))
    if not blobs:
        raise StorageFailed(f"There are no objects under {uri}.")


@contextmanager
def errors_translated(name: str) -> Iterator[None]:
    """Raises the client's errors as ObjectNotFound, GenerationChanged or StorageFailed."""
    from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except NotFound as error:
        raise ObjectNotFound(f"There is no object {name}.") from error
    except PreconditionFailed as error:
        raise GenerationChanged(f"Another writer has changed {name}.") from error
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
        raise StorageFailed(f"Cloud Storage failed for {name}.") from error


def _first_bytes(blob: "Blob", size: int) -> bytes:
    from google.api_core.exceptions import RequestRangeNotSatisfiable

    try:
        data: bytes = blob.download_as_bytes(start=0, end=size - 1)
    except RequestRangeNotSatisfiable:  # an empty object has no first byte
        return b""
    return data


def _uri(blob: "Blob") -> str:
    return f"gs://{blob.bucket.name}/{blob.name}"


def _connect() -> "Client":
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")  # requested even without traces
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        project = os.environ.get("GOOGLE_CLOUD_PROJECT", "local-project")
        client = storage.Client(project=project, credentials=AnonymousCredentials())
    else:
        client = storage.Client()
    for scheme in ("http://", "https://"):
        client._http.get_adapter(scheme).init_poolmanager(4, CONNECTIONS)
    return client
