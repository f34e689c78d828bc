"""Reads and writes gs:// objects of allowed buckets, with the official client, imported when it is first needed."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from .errors import InvalidRequest, RequestError, StorageFailed, TooLarge

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

CHUNK_BYTES = 4 << 20
MAX_OBJECT = 32 << 20  # bytes of one instance
CONNECTIONS = 32  # kept open: as many as there are threads that read and write; the client's own default is 10


class ObjectNotFound(RequestError):  # noqa: N818
    status = 404
    code = "object_not_found"


class Changed(StorageFailed):
    """Another has written the object meanwhile."""


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

    def blob(self, uri: str, generation: int | None = None) -> "Blob":
        """Raises InvalidRequest: `invalid_uri`, or `bucket_not_allowed`."""
        bucket, slash, name = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not slash or not bucket or not name:
            raise InvalidRequest("An address must be gs://bucket/name.", "invalid_uri")
        if bucket not in self.buckets:
            raise InvalidRequest(f"The bucket {bucket!r:.100} is not one of this service's.", "bucket_not_allowed")
        with translated(uri):
            blob: Blob = self.client().bucket(bucket).blob(name, generation=generation)
            return blob

    def reload(self, blob: "Blob", *, missing: bool = False) -> bool:
        """Reads the object's resource; `missing` allows that there is none.

        Raises:
            ObjectNotFound, StorageFailed
        """
        try:
            with translated(_uri(blob)):
                blob.reload()
        except ObjectNotFound:
            if not missing:
                raise
            return False
        return True

    def read(self, uri: str, generation: int | None = None) -> bytes:
        """The whole object, 32 MiB at most; the live one, or a given generation of it.

        Raises:
            InvalidRequest, ObjectNotFound, TooLarge, StorageFailed
        """
        blob = self.blob(uri, generation)
        with translated(uri if generation is None else f"{uri} of the generation {generation}"):
            data = _first(blob, MAX_OBJECT + 1)
        if len(data) > MAX_OBJECT:
            raise TooLarge(f"{uri} has more than {MAX_OBJECT >> 20} MiB.")
        return data

    def lines(self, blob: "Blob") -> Iterator[bytes]:
        """The object's lines without their ends, read in pieces.

        Raises:
            ObjectNotFound, StorageFailed
        """
        with translated(_uri(blob)), blob.open("rb", chunk_size=CHUNK_BYTES) as reader:
            for line in io.BufferedReader(
                cast(io.RawIOBase, reader), CHUNK_BYTES
            ):  # the client's has no buffered lines
                yield line.rstrip(b"\r\n")

    def write(self, uri: str, content: IO[bytes], generation: int, metadata: dict[str, str], content_type: str) -> None:
        """Writes all that was written to `content` as one object; `generation` is the present one's, 0 for none.

        Raises:
            Changed: there is another generation now.
            StorageFailed
        """
        blob = self.blob(uri)
        blob.metadata, blob.chunk_size = metadata, CHUNK_BYTES
        size = content.tell()
        with translated(uri):
            blob.upload_from_file(
                content, rewind=True, size=size, content_type=content_type, if_generation_match=generation
            )


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
    except PreconditionFailed as error:
        raise Changed(f"Another has written {what} meanwhile.") from error
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException) as error:
        raise StorageFailed(f"Cloud Storage failed for {what}.") from error


def _first(blob: "Blob", size: int) -> bytes:
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

    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")  # else asked for, traced or not
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        project = os.environ.get("GOOGLE_CLOUD_PROJECT", "local-project")
        client = storage.Client(project=project, credentials=AnonymousCredentials())
    else:
        client = storage.Client()
    for scheme in ("http://", "https://"):
        client._http.get_adapter(scheme).init_poolmanager(4, CONNECTIONS)
    return client
