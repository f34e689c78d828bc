"""Names in the input bucket for files, folders and bytes, and an upload that never repeats itself."""

import base64
import io
import mimetypes
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from event_inference.errors import InputError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

SIDECAR = ".parameters.json"
_MAX_NAME = 1024  # bytes of UTF-8
_CHUNK = 1 << 20
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Upload:
    """An object to create.

    Attributes:
        source: a file, or the content.
        metadata: custom metadata, which hold the model and the parameters.
        sidecar: the file `NAME.parameters.json` beside it, which has to be sent first.
    """

    name: str
    source: Path | bytes = field(repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    sidecar: Path | None = None

    @property
    def media_type(self) -> str:
        """The given type, or what the name's ending says."""
        return self.content_type or mimetypes.guess_type(self.name)[0] or _UNKNOWN_TYPE

    @property
    def is_input(self) -> bool:
        """Whether a document will follow; not for a sidecar."""
        return not self.name.endswith(SIDECAR)


@dataclass(frozen=True, slots=True)
class Sent:
    """An object in the input bucket; `is_new` unless it was there already, with this content and these metadata."""

    name: str
    generation: int
    is_new: bool


def of_bytes(content: bytes, name: str | None = None) -> tuple[str, bytes]:
    """A name and the content; the name of unnamed content is derived from it, so that it is the same every time."""
    return name or f"submitted/{sha256(content).hexdigest()[:32]}", content


def check_is_local(source: str | os.PathLike[str]) -> None:
    """Raises InputError for an address such as `gs://bucket/name`, which is no path of a file."""
    address = str(source)
    if address.startswith("gs://"):
        raise InputError(
            f"{address} is in Cloud Storage already, and submit sends local files. If that is the input bucket, it was "
            f"taken in: einf status {address}. Otherwise copy it there: gcloud storage cp {address} gs://INPUT_BUCKET/"
        )
    if _ADDRESS.match(address):
        raise InputError(f"{address} is not a local file. Download it first, and send the file.")


def of_paths(paths: Iterable[str | os.PathLike[str]], to: str = "") -> Iterator[tuple[str, Path]]:
    """Each file with its name in the bucket; a folder keeps its own name, and hidden files are left out.

    Args:
        to: folder in the bucket.

    Raises:
        InputError: a path does not exist or is no regular file.
    """
    folder = f"{to.strip('/')}/" if to.strip("/") else ""
    for source in paths:
        check_is_local(source)
        path = Path(source)
        if path.is_dir():
            root = path.resolve()
            for file in _files(root):
                yield f"{folder}{root.name}/{file.relative_to(root).as_posix()}".lstrip("/"), file
        elif path.is_file():
            yield folder + path.name, path
        else:
            problem = "is not a file or a folder" if path.exists() else "does not exist"
            raise InputError(f"{path} {problem}.")


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder in order of their names; sidecars of other files come with those."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    names = {entry.name for entry in entries}
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file() and entry.name.removesuffix(SIDECAR) not in names - {entry.name}:
            yield Path(entry.path)


def upload(
    name: str,
    source: Path | bytes,
    metadata: Mapping[str, str],
    content_type: str | None = None,
) -> Upload:
    """The upload of a file, with the sidecar beside it, or of bytes.

    Raises:
        InputError: Cloud Storage does not allow the name.
    """
    if not name or len(name.encode()) > _MAX_NAME or any(sign in name for sign in "\r\n") or name in (".", ".."):
        raise InputError(f"{name!r:.100} cannot be the name of an object: 1 to {_MAX_NAME} bytes without line breaks.")
    sidecar = source.with_name(source.name + SIDECAR) if isinstance(source, Path) else None
    return Upload(name, source, metadata, content_type, sidecar if sidecar and sidecar.is_file() else None)


def send(bucket: "Bucket", upload: Upload, *, again: bool = False) -> Sent:
    """Create the object, unless its newest generation has this content and these metadata.

    Safe to repeat, and to run by several processes for the same file.

    Args:
        again: create another generation in any case.

    Raises:
        InputError: the file cannot be read, or another process replaces the object.
    """
    from google.api_core.exceptions import PreconditionFailed

    try:
        with_sidecar = bool(upload.sidecar and _send_sidecar(bucket, upload))
        present = bucket.get_blob(upload.name)
        if present and not again and not with_sidecar and _is_same(present, upload):
            return Sent(upload.name, int(present.generation), is_new=False)
        try:
            generation = _create(bucket, upload, int(present.generation) if present else 0)
        except PreconditionFailed as error:
            present = bucket.get_blob(upload.name)
            if present is None or not _is_same(present, upload):
                raise InputError(f"Another process replaces {upload.name}; send it once that has ended.") from error
            generation = int(present.generation)
    except OSError as error:
        if error.filename is None:  # of the network, not of a file
            raise
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    return Sent(upload.name, generation, is_new=True)


def _send_sidecar(bucket: "Bucket", upload: Upload) -> bool:
    """Whether the sidecar in the bucket was another one."""
    if upload.sidecar is None:
        return False
    return send(bucket, Upload(upload.name + SIDECAR, upload.sidecar, content_type="application/json")).is_new


def _create(bucket: "Bucket", upload: Upload, replaced: int) -> int:
    blob = bucket.blob(upload.name)
    blob.metadata = dict(upload.metadata)
    options = {"content_type": upload.media_type, "if_generation_match": replaced, "checksum": "crc32c"}
    if isinstance(upload.source, bytes):
        blob.upload_from_file(io.BytesIO(upload.source), size=len(upload.source), **options)
    else:
        blob.upload_from_filename(str(upload.source), **options)
    return int(blob.generation)


def _is_same(present: "Blob", upload: Upload) -> bool:
    size = len(upload.source) if isinstance(upload.source, bytes) else upload.source.stat().st_size
    return (
        present.size == size
        and (present.metadata or {}) == dict(upload.metadata)
        and present.content_type == upload.media_type
        and present.crc32c == _checksum(upload.source)
    )


def _checksum(source: Path | bytes) -> str:
    """CRC32C as Cloud Storage writes it."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()
