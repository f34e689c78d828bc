"""Downloads a model's folder from Cloud Storage: concurrently, checked, and only once for each state of the folder."""

import base64
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_service import logs, storage
from gpu_service.checkpoints import disk, files, manifest
from gpu_service.errors import ObjectNotFound, StartError, StorageFailed

if TYPE_CHECKING:
    from google.cloud.storage import Blob

SLICE_BYTES = 32 << 20  # of one request; a large file takes several concurrent ones
THREADS = 8
ATTEMPTS = 3  # when the folder changes, or bytes arrive damaged

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class File:
    """An object of the folder; `name` is relative to it."""

    name: str
    blob: "Blob"

    @property
    def state(self) -> tuple[str, int]:
        return self.name, int(self.blob.generation)

    @property
    def size(self) -> int:
        return int(self.blob.size)


class _ChangedError(Exception):
    """An object was replaced or deleted while it was downloaded."""


def cache() -> Path:
    """The folder of all downloads: MODELS_CACHE, or one in the user's cache."""
    if chosen := os.environ.get("MODELS_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "event-inference" / "models"


def download(uri: str) -> Path:
    """A local copy of a gs:// folder's model; its name is the newest generation of the objects.

    A complete copy of the same generations is used again. An interrupted download goes on with the missing files.

    Raises:
        StartError: the folder has no model, contradicts its manifest, keeps changing, or does not fit on the disk.
        ObjectNotFound: there is no such bucket.
        StorageFailed
    """
    copies = cache() / _local_name(uri) / "snapshots"
    try:
        copies.mkdir(parents=True, exist_ok=True)
        for _ in range(ATTEMPTS):
            found = _listing(uri)
            with _locked(copies):
                try:
                    return _copy(uri, found, copies)
                except _ChangedError:
                    logger.warning("the model changes while it is downloaded", extra=logs.fields(uri=uri))
    except OSError as error:
        raise StartError(f"{uri} cannot be stored in {copies}: {error.strerror}; set MODELS_CACHE.") from error
    raise StartError(f"{uri} keeps changing; start again when all its files are copied.")


def _local_name(uri: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", uri.rpartition("/")[2])[:40]
    return f"{readable}-{hashlib.sha256(uri.encode()).hexdigest()[:16]}"


def _listing(uri: str) -> list[File]:
    """The folder's needed objects."""
    bucket, prefix = storage.folder(uri)
    with storage.errors_explained(uri):
        blobs = {blob.name.removeprefix(prefix): blob for blob in storage.connect().list_blobs(bucket, prefix=prefix)}
    if not blobs:
        raise StartError(f"There are no objects under {uri}.")
    found = [File(name, blobs[name]) for name in files.needed(blobs)]
    if not files.are_of_model([file.name for file in found]):
        raise StartError(f"{uri} has no config.json; copy a folder there that save_pretrained wrote.")
    for file in found:
        if file.blob.content_encoding:
            encoding = file.blob.content_encoding
            raise StartError(f"{uri}/{file.name} is stored with the encoding {encoding}; copy it without compression.")
    return sorted(found, key=lambda file: file.name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Waits for another process that downloads the same model."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _copy(uri: str, found: Sequence[File], copies: Path) -> Path:
    """The complete copy, made unless it exists. Raises _ChangedError."""
    generation = max(generation for _, generation in (file.state for file in found))
    complete, unfinished = copies / str(generation), copies / f".{generation}.partial"
    record, state = copies / f".{generation}.json", json.dumps([file.state for file in found])
    if _is_copy(complete, found) and record.is_file() and record.read_text() == state:
        return complete
    began = time.monotonic()
    shutil.rmtree(complete, ignore_errors=True)
    unfinished.mkdir(exist_ok=True)
    missing = [file for file in found if not _has(unfinished, file)]
    disk.require(sum(file.size for file in missing), unfinished, uri, "MODELS_CACHE")
    _fetch(uri, missing, unfinished)
    if [file.state for file in _listing(uri)] != [file.state for file in found]:
        raise _ChangedError
    manifest.check(uri, unfinished, [file.name for file in found])
    _remove_others(unfinished, {file.name for file in found})
    record.write_text(state)
    unfinished.rename(complete)
    fields = {"files": len(found), "bytes": sum(file.size for file in found), "revision": str(generation)}
    logger.info("downloaded", extra=logs.fields(uri=uri, **fields, seconds=round(time.monotonic() - began, 3)))
    return complete


def _is_copy(folder: Path, found: Sequence[File]) -> bool:
    """Whether the folder has these files with their sizes."""
    paths = [(folder / file.name, file.size) for file in found]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def _has(folder: Path, file: File) -> bool:
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.size and _crc32c(path) == file.blob.crc32c


def _remove_others(folder: Path, names: set[str]) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in names:
            path.unlink()


def _fetch(uri: str, wanted: Sequence[File], folder: Path) -> None:
    """Downloads files in slices. Raises _ChangedError, StorageFailed."""
    damaged = wanted
    for _ in range(ATTEMPTS):
        with ThreadPoolExecutor(THREADS) as threads:
            arriving = [(file, _slices(uri, file, folder, threads)) for file in damaged]
            try:
                damaged = [file for file, slices in arriving if not _arrives(file, slices, folder)]
            except Exception:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        if not damaged:
            return
    name = f"{uri}/{damaged[0].name}"
    raise StorageFailed(f"{name} arrived {ATTEMPTS} times with a checksum other than the object's.")


def _slices(uri: str, file: File, folder: Path, threads: ThreadPoolExecutor) -> list[Future[None]]:
    path = _temporary(folder / file.name)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as content:
        content.truncate(file.size)
    starts = range(0, file.size, SLICE_BYTES)
    return [threads.submit(_download_slice, f"{uri}/{file.name}", file, path, start) for start in starts]


def _arrives(file: File, slices: Sequence[Future[None]], folder: Path) -> bool:
    """Waits for the slices of a file, and gives it its name if the checksum is right."""
    for part in slices:
        part.result()
    path = _temporary(folder / file.name)
    if _crc32c(path) != file.blob.crc32c:
        return False
    path.rename(folder / file.name)
    return True


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _download_slice(name: str, file: File, path: Path, start: int) -> None:
    blob = file.blob.bucket.blob(file.blob.name, generation=file.blob.generation)
    end = min(start + SLICE_BYTES, file.size) - 1
    try:
        with storage.errors_explained(name), path.open("r+b") as content:
            content.seek(start)
            blob.download_to_file(content, start=start, end=end, raw_download=True, checksum=None)
    except ObjectNotFound as error:  # this generation was overwritten or deleted
        raise _ChangedError from error


def _crc32c(path: Path) -> str:
    """As Cloud Storage writes it: base64 of the big-endian checksum."""
    import google_crc32c

    checksum = 0
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            checksum = google_crc32c.extend(checksum, chunk)
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()
