"""The space on the local disk for models that are downloaded."""

import shutil
from pathlib import Path

from gpu_service.errors import StartError


def require(size: int, folder: Path, what: str, variable: str) -> None:
    """Raises StartError when the disk of an existing folder has less room than `size` bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StartError(
            f"{what} needs {_megabytes(size)} more in {folder}, which has {_megabytes(free)} free; make room there, or "
            f"set {variable} to a folder on a larger disk. On Cloud Run the disk is memory: raise gpu_memory."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
