"""Reads instances and shards from Cloud Storage, and writes shards; the official client is imported on first use.

A URI is gs://bucket/name with the object's name as it is: nothing in it is decoded or resolved, so that `//`, `..`,
`%2F` and `#1` are characters of the name, and the beginning of a URI decides whether its object may be accessed.
"""

import io
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from gpu_service.errors import GenerationChanged, InvalidRequest, ObjectNotFound, StorageFailed, TooLarge

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

CHUNK_BYTES = 4 << 20
MAX_OBJECT_BYTES = 32 << 20  # of one instance
MAX_NAME_BYTES = 1024  # Cloud Storage's limit
CONNECTIONS = 32  # kept open, one for each thread that reads or writes; the client's default is 10


class Storage:
    """Objects by their gs:// URI.

    Instances lie in the input bucket, or where preprocess stages them in the work bucket, and are only read. Shards lie
    in their own folder of the work bucket. Without a bucket its objects may not be accessed.
    """

    def __init__(self, input_bucket: str | None, work_bucket: str | None) -> None:
        self._staged = _folder(work_bucket, "staged/")
        self.instances = (*_folder(input_bucket, ""), *self._staged)
        self.shards = _folder(work_bucket, "shards/")
        self._lock = threading.Lock()
        self._client: Client | None = None

    def client(self) -> "Client":
        """The client that all threads share; anonymous with an emulator."""
        with self._lock:
            if self._client is None:
                self._client = connect()
            return self._client

    def instance(self, uri: str, generation: int | None = None) -> tuple[bytes, str | None]:
        """A whole object of at most 32 MiB as it is stored, and its content type: the live or the given generation.

        Raises:
            InvalidRequest: `invalid_uri` or `bucket_not_allowed`.
            ObjectNotFound, TooLarge, StorageFailed
        """
        blob = self._blob(uri, self.instances, generation)
        return self._read(blob), blob.content_type

    def is_staged_text(self, uri: str) -> bool:
        """Whether the object holds the UTF-8 of a text that preprocess had decoded."""
        return uri.startswith(self._staged) and uri.endswith(".txt")

    def is_staged_pair(self, uri: str) -> bool:
        """Whether the object holds a pair of texts as JSON, which preprocess had checked."""
        return uri.startswith(self._staged) and uri.endswith(".pair.json")

    def shard(self, uri: str) -> "Blob":
        """An object of a batch's shards. Raises InvalidRequest: `invalid_uri` or `bucket_not_allowed`."""
        return self._blob(uri, self.shards)

    def index(self, uri: str) -> bytes:
        """The content of a batch's index. Raises as `instance` does."""
        return self._read(self.shard(uri))

    def _blob(self, uri: str, folders: Sequence[str], generation: int | None = None) -> "Blob":
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not bucket or not _is_object_name(name):
            raise InvalidRequest("A URI must have the form gs://bucket/name.", "invalid_uri")
        if not uri.startswith(tuple(folders)):
            allowed = " or ".join(folders) or "nothing, since its bucket is not set"
            raise InvalidRequest(f"The service may not access {uri!r:.100} here, only {allowed}.", "bucket_not_allowed")
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

    def _read(self, blob: "Blob") -> bytes:
        uri = _uri(blob)
        with errors_translated(uri if blob.generation is None else f"{uri} with the generation {blob.generation}"):
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
        """Writes everything up to the current position of `content` as one object of a batch's shards.

        `generation` is the object's current one as a precondition, 0 when it does not exist.

        Raises:
            GenerationChanged: the object has another generation now.
            StorageFailed
        """
        blob = self.shard(uri)
        blob.metadata, blob.chunk_size = metadata, CHUNK_BYTES
        size = content.tell()
        with errors_translated(uri):
            blob.upload_from_file(
                content, rewind=True, size=size, content_type=content_type, if_generation_match=generation
            )


def read(uri: str) -> bytes:
    """A whole object. Raises ObjectNotFound, StorageFailed."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    with errors_explained(uri):
        content: bytes = connect().bucket(bucket).blob(name).download_as_bytes()
    return content


def generation(uri: str) -> str:
    """Of the live object. Raises ObjectNotFound, StorageFailed."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    with errors_explained(uri):
        blob = connect().bucket(bucket).blob(name)
        blob.reload()
    return str(blob.generation)


def folder_exists(uri: str) -> bool:
    """Whether objects lie under a gs:// folder. Raises ObjectNotFound when there is no such bucket; StorageFailed."""
    bucket, prefix = folder(uri)
    with errors_explained(uri):
        return any(True for _ in connect().list_blobs(bucket, prefix=prefix, max_results=1))


def folders(uri: str) -> list[str]:
    """The names of the folders directly in a gs:// folder. Raises as `folder_exists`."""
    bucket, prefix = folder(uri)
    with errors_explained(uri):
        listing = connect().list_blobs(bucket, prefix=prefix, delimiter="/")
        for _ in listing:  # the prefixes are known once all pages are read
            pass
    return [name.removeprefix(prefix).rstrip("/") for name in sorted(listing.prefixes)]


def folder(uri: str) -> tuple[str, str]:
    """The bucket of a gs:// folder, and the prefix of the names of its objects."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    return bucket, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""


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


@contextmanager
def errors_explained(name: str) -> Iterator[None]:
    """As `errors_translated`, with the client's own words, which only the log of a start may have."""
    try:
        with errors_translated(name):
            yield
    except StorageFailed as error:
        reason = str(error.__cause__).partition("\n")[0]
        raise type(error)(f"Cloud Storage failed for {name}: {reason}") from error


def _first_bytes(blob: "Blob", size: int) -> bytes:
    from google.api_core.exceptions import RequestRangeNotSatisfiable

    try:
        data: bytes = blob.download_as_bytes(start=0, end=size - 1, raw_download=True)
    except RequestRangeNotSatisfiable:  # an empty object has no first byte
        return b""
    return data


def _folder(bucket: str | None, name: str) -> tuple[str, ...]:
    return (f"gs://{bucket}/{name}",) if bucket else ()


def _is_object_name(name: str) -> bool:
    """Whether an object can have the name; `.` and `..` alone would change the path of the client's request."""
    try:
        return 0 < len(name.encode()) <= MAX_NAME_BYTES and name not in (".", "..")
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _uri(blob: "Blob") -> str:
    return f"gs://{blob.bucket.name}/{blob.name}"


def connect() -> "Client":
    """A new client; anonymous with an emulator."""
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
