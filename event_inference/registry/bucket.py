"""Copies a model's folder to the models bucket, where a version's content never changes."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from event_inference.errors import InputError
from event_inference.registry.folder import MANIFEST, ModelFolder

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

CONCURRENCY = 8
_CHUNK = 1 << 20


def copy(folder: ModelFolder, bucket: "Bucket", prefix: str, copied: Callable[[str], object] = lambda _: None) -> bool:
    """Copy the folder's files to `prefix/`, several at a time and the manifest last; False if they were there already.

    A copy that broke off is continued. Safe to repeat, and to run by several processes.

    Args:
        copied: called with the name of each file that was copied.

    Raises:
        InputError: other content is there.
    """
    target = bucket.blob(f"{prefix}/{MANIFEST}")
    if _is_complete(target, folder, prefix):
        return False
    _refuse_others(folder, bucket, prefix)

    def send(name: str) -> None:
        if _create(bucket.blob(f"{prefix}/{name}"), folder.path / name):
            copied(name)

    with ThreadPoolExecutor(CONCURRENCY) as workers:
        list(workers.map(send, folder.files))
    return _create_manifest(target, folder, prefix)


def _is_complete(manifest: "Blob", folder: ModelFolder, prefix: str) -> bool:
    """Whether this content is there; raises InputError if another is."""
    from google.api_core.exceptions import NotFound

    try:
        present = manifest.download_as_bytes()
    except NotFound:
        return False
    if present != folder.manifest:
        raise InputError(
            f"gs://{manifest.bucket.name}/{prefix} has other content. A version never changes; push this one with "
            f"another --version."
        )
    return True


def _refuse_others(folder: ModelFolder, bucket: "Bucket", prefix: str) -> None:
    """The service would refuse a folder with files that the manifest does not list."""
    known = {*folder.files, MANIFEST}
    for blob in bucket.list_blobs(prefix=f"{prefix}/", fields="items(name),nextPageToken"):
        if blob.name.removeprefix(f"{prefix}/") not in known:
            raise InputError(_occupied(f"gs://{bucket.name}/{blob.name}"))


def _create(blob: "Blob", file: Path) -> bool:
    """Create an object; False if it has this content already."""
    from google.api_core.exceptions import PreconditionFailed

    try:
        blob.upload_from_filename(str(file), if_generation_match=0)
    except PreconditionFailed as error:
        blob.reload()
        if blob.crc32c != _crc32c(file):
            raise InputError(_occupied(f"gs://{blob.bucket.name}/{blob.name}")) from error
        return False
    return True


def _create_manifest(manifest: "Blob", folder: ModelFolder, prefix: str) -> bool:
    from google.api_core.exceptions import PreconditionFailed

    try:
        manifest.upload_from_string(folder.manifest, "application/json", if_generation_match=0)
    except PreconditionFailed:  # another push of the same content was faster
        return not _is_complete(manifest, folder, prefix)
    return True


def _occupied(uri: str) -> str:
    return (
        f"{uri} is not of this model: another push is under way or broke off. Push with another --version, or remove "
        f"that folder if nobody needs it."
    )


def _crc32c(file: Path) -> str:
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()
