"""Reads and writes gs:// objects of allowed buckets, with the official client, imported when it is first needed."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .errors import InvalidRequest, RequestError, StorageFailed, TooLarge

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

CHUNK_BYTES = 4 << 20
MAX_OBJECT = 32 << 20  # bytes of one instance


class ObjectNotFound(RequestError):  # noqa: N818
    status = 404
    code = "object_not_found"


class Storage:
    """Objects by their gs:// address; only of `buckets`."""

    def __init__(self, buckets: frozenset[str]) -> None:
        self.buckets = buckets
        self._lock = threading.Lock()
        self._client: Client | None = None

    def client(self) -> "Client":
        """One client for all threads; anonymous against an emulator."""
        with self._lock:
            if self._client is None:
                self._client = _connect()
            return self._client

    def blob(self, uri: str) -> "Blob":
        """Raises InvalidRequest: `invalid_uri`, or `bucket_not_allowed`."""
        bucket, slash, name = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not slash or not bucket or not name:
            raise InvalidRequest("An address must be gs://bucket/name.", "invalid_uri")
        if bucket not in self.buckets:
            raise InvalidRequest(f"The bucket {bucket!r:.100} is not one of this service's.", "bucket_not_allowed")
        with translated(uri):
            blob: Blob = self.client().bucket(bucket).blob(name)
            return blob

    def read(self, uri: str) -> bytes:
        """The whole object, 32 MiB at most.

        Raises:
            InvalidRequest, ObjectNotFound, TooLarge, StorageFailed
        """
        blob = self.blob(uri)
        with translated(uri):
            data: bytes = blob.download_as_bytes(start=0, end=MAX_OBJECT) if blob.exists() else _missing(uri)
        if len(data) > MAX_OBJECT:
            raise TooLarge(f"{uri} has more than {MAX_OBJECT >> 20} MiB.")
        return data

    def lines(self, blob: "Blob") -> Iterator[bytes]:
        """The object's lines without their ends, read in pieces."""
        with translated(blob.name), blob.open("rb", chunk_size=CHUNK_BYTES) as stream:
            for line in stream:
                yield line.rstrip(b"\r\n")


def download(uri: str, folder: Path) -> None:
    """Every object under a gs:// prefix into a folder, for a model's artefacts.

    Raises:
        StorageFailed: there are none, or they cannot be read.
    """
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    with translated(uri):
        client = _connect()
        blobs = [blob for blob in client.list_blobs(bucket, prefix=prefix) if not blob.name.endswith("/")]
        for blob in blobs:
            target = (folder / blob.name.removeprefix(prefix)).resolve()
            if folder.resolve() in target.parents:
                target.parent.mkdir(parents=True, exist_ok=True)
                blob.download_to_filename(str(target))
    if not blobs:
        raise StorageFailed(f"There is nothing at {uri}.")


@contextmanager
def translated(what: str | None) -> Iterator[None]:
    """Errors of the client as errors of ours."""
    from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except NotFound as error:
        raise ObjectNotFound(f"There is no object {what}.") from error
    except PreconditionFailed:
        raise
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
        raise StorageFailed(f"Cloud Storage failed for {what}.") from error


def _missing(uri: str) -> bytes:
    raise ObjectNotFound(f"There is no object {uri}.")


def _connect() -> "Client":
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    if os.environ.get("STORAGE_EMULATOR_HOST"):
        project = os.environ.get("GOOGLE_CLOUD_PROJECT", "local-project")
        return storage.Client(project=project, credentials=AnonymousCredentials())
    return storage.Client()


class Output:
    """An object being written: small ones go in one request, larger ones in pieces; seen only once complete.

    Args:
        generation: The object's present generation, 0 for none: another one by the end raises PreconditionFailed.
    """

    def __init__(self, blob: "Blob", generation: int, metadata: dict[str, str]) -> None:
        self.blob = blob
        self.blob.metadata = metadata
        self.blob.content_type = "application/x-ndjson"
        self.generation = generation
        self._held: list[bytes] = []
        self._size = 0
        self._stream: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size >= CHUNK_BYTES:
            self._flush()

    def close(self) -> None:
        """Makes the object appear. Raises PreconditionFailed when another was written meanwhile."""
        if self._stream is None:
            options: dict[str, Any] = {"if_generation_match": self.generation}
            self.blob.upload_from_string(b"".join(self._held), self.blob.content_type, **options)
            return
        self._flush()
        self._stream.close()

    def _flush(self) -> None:
        if self._stream is None:
            options: dict[str, Any] = {"if_generation_match": self.generation, "chunk_size": CHUNK_BYTES}
            opened: Callable[..., Any] = self.blob.open
            self._stream = opened("wb", content_type=self.blob.content_type, ignore_flush=True, **options)
        assert self._stream is not None
        self._stream.write(b"".join(self._held))
        self._held, self._size = [], 0
