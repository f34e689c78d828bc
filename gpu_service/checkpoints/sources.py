"""Decides where a model's files are: in a local folder, in Cloud Storage, or on the Hugging Face hub."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from gpu_service import storage
from gpu_service.checkpoints import files
from gpu_service.errors import StartError

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_SHOWN = 10  # existing folders in an error


@dataclass(frozen=True)
class Folder:
    path: Path


@dataclass(frozen=True)
class BucketFolder:
    """A `gs://` URI without a slash at its end."""

    uri: str


@dataclass(frozen=True)
class Repository:
    """`owner/name` on the hub."""

    name: str


Source = Folder | BucketFolder | Repository


def locate(source: str, models: Path | str) -> Source:
    """What a `source` in a models.json means; paths are relative to that file, also in Cloud Storage.

    `owner/name` is a repository of the hub unless there is a folder `owner` beside models.json.

    Raises:
        StartError: the source can only be a folder, and there is none.
        StorageFailed
    """
    if source.startswith("gs://"):
        return BucketFolder(source.rstrip("/"))
    if isinstance(models, str) and not source.startswith("/"):
        return _beside_object(source, models)
    base = models.parent if isinstance(models, Path) else Path("/")
    first = base / source.partition("/")[0]
    if _REPOSITORY.fullmatch(source) and not first.is_dir():
        return Repository(source)
    return _folder(source, base / Path(source).expanduser())


def _folder(source: str, path: Path) -> Folder:
    if path.is_dir():
        if files.are_of_model([child.name for child in path.iterdir()]):
            return Folder(path)
        raise StartError(f"the folder {path} has no config.json; {_model_below(path)}")
    if path.is_file():
        raise StartError(f"the source {source!r} is a file; name the folder that save_pretrained wrote")
    raise StartError(_no_folder(source, str(path), *_first_missing(path)))


def _model_below(path: Path) -> str:
    """What to do about a folder without a model: its model may be in `checkpoint-500` or `snapshots/<commit>`."""
    below = sorted(file.parent for depth in ("*", "*/*") for file in path.glob(f"{depth}/config.json"))
    if not below:
        return "save a model there with save_pretrained"
    return f"there are models in {', '.join(str(folder.relative_to(path)) for folder in below[:_SHOWN])}"


def _first_missing(path: Path) -> tuple[str, list[str]]:
    """The first part of the path that does not exist, and the folders that do exist in its place."""
    while not path.parent.is_dir():
        path = path.parent
    return path.name, [child.name for child in path.parent.iterdir() if child.is_dir()]


def similar_folder(repository: str, models: Path | str) -> str | None:
    """A folder beside a local models.json whose name is like the owner of a repository."""
    owner = repository.partition("/")[0]
    if isinstance(models, str):
        return None
    folders = [child.name for child in models.parent.iterdir() if child.is_dir()]
    return next(iter(get_close_matches(owner, folders, 1)), None)


def _beside_object(source: str, models: str) -> Source:
    """A source of a models.json in Cloud Storage; `..` stays within the bucket."""
    bucket, _, name = models.removeprefix("gs://").partition("/")
    folder = posixpath.normpath(posixpath.join(posixpath.dirname(name), source))
    if folder.startswith(".."):
        raise StartError(f"the source {source!r} leaves the bucket; use a gs:// URI for another bucket")
    first = posixpath.join(posixpath.dirname(name), source.partition("/")[0])
    if _REPOSITORY.fullmatch(source) and not storage.folder_exists(f"gs://{bucket}/{first}"):
        return Repository(source)
    uri = f"gs://{bucket}/{folder}"
    if not storage.folder_exists(uri):
        siblings = storage.folders(posixpath.dirname(uri))
        raise StartError(_no_folder(source, uri, posixpath.basename(uri), siblings))
    return BucketFolder(uri)


def _no_folder(source: str, path: str, missing: str, siblings: Iterable[str]) -> str:
    known = sorted(siblings)
    message = f"there is no folder {path}"
    if nearest := get_close_matches(missing, known, 3):
        message += f" (did you mean {' or '.join(map(repr, nearest))}?)"
    elif known:
        message += f"; in place of {missing!r} there are {', '.join(known[:_SHOWN])}"
    return message if "/" in source else f"{message}; a model of the hub is written owner/name"
