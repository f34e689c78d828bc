"""MANIFEST.json: the files of a model's folder with sizes and checksums; copied last, it reveals a half copy."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from gpu_service.checkpoints import files
from gpu_service.errors import StartError


class _File(msgspec.Struct, forbid_unknown_fields=True):
    size: int
    sha256: str


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """Files by their names relative to the folder."""

    files: dict[str, _File]


def check(what: str, folder: Path, names: Sequence[str]) -> None:
    """Compares a folder's files with its manifest, if it has one; `names` are those that the service needs.

    Raises:
        StartError: a file is missing, differs, or is not in the manifest.
    """
    path = folder / files.MANIFEST
    if not path.is_file():
        return
    try:
        listed = msgspec.json.decode(path.read_bytes(), type=Manifest).files
    except msgspec.MsgspecError as error:
        raise StartError(f"{what}/{files.MANIFEST} is not valid: {error}.") from error
    wanted = [name for name in names if name != files.MANIFEST]
    if reason := next(_differences(folder, wanted, listed), None):
        raise StartError(
            f"{what} does not match its {files.MANIFEST}: {reason}. Copy the folder again, the manifest last."
        )


def _differences(folder: Path, names: Sequence[str], listed: dict[str, _File]) -> Iterator[str]:
    for name in files.needed(listed):
        if name not in names:
            yield f"{name} is missing"
    for name in names:
        path = folder / name
        if name not in listed:
            yield f"{name} is not listed"
        elif path.stat().st_size != listed[name].size:
            yield f"{name} has {path.stat().st_size} bytes, not {listed[name].size}"
        elif _sha256(path) != listed[name].sha256:
            yield f"{name} has another SHA-256"


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write(folder: Path) -> Path:
    """Writes the manifest of a folder's needed files, in place of an earlier one. Raises StartError."""
    present = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    names = [name for name in files.needed(present) if name != files.MANIFEST]
    if not files.are_of_model(names):
        raise StartError(f"The folder {folder} has no config.json.")
    listed = {name: _File((folder / name).stat().st_size, _sha256(folder / name)) for name in sorted(names)}
    path = folder / files.MANIFEST
    path.write_bytes(msgspec.json.format(msgspec.json.encode(Manifest(listed))))
    return path


def main() -> None:
    """Writes the manifest of each folder: python -m gpu_service.checkpoints.manifest my-model."""
    try:
        for folder in sys.argv[1:]:
            print(write(Path(folder)))
    except StartError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
