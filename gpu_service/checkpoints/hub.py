"""Downloads a model's repository from the Hugging Face hub, unless its cache has it."""

import os
from pathlib import Path

from gpu_service.checkpoints import disk, files
from gpu_service.errors import StartError


def download(repository: str, revision: str | None) -> Path:
    """The repository's folder in the hub's cache; HF_HUB_OFFLINE forbids downloads, HF_TOKEN opens private ones.

    Raises:
        StartError: it is not in the cache and cannot be downloaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is its HTTP client's
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
    )

    reason = "it was never downloaded"
    for offline in (True, False):
        if not offline and os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            reason = "HF_HUB_OFFLINE forbids to download it"
            break
        try:
            names = _cached(repository, revision) if offline else _needed(repository, revision)
            snapshot = snapshot_download(repository, revision=revision, allow_patterns=names, local_files_only=offline)
            if files.are_of_model([path.name for path in Path(snapshot).iterdir()]):
                return Path(snapshot)
            reason = "it has no config.json"
        except LocalEntryNotFoundError as error:
            reason = _first_line(error)
        except HfHubHTTPError as error:
            reason = f"{_first_line(error)}{_advice(error)}"
        except (HFValidationError, OSError) as error:
            reason = _first_line(error)
        except HTTPError as error:
            reason = f"the hub did not answer ({_first_line(error)})"
    at = f" at the revision {revision}" if revision else ""
    raise StartError(f"{repository}{at} is neither in the hub's cache nor can it be downloaded: {reason}.")


def _cached(repository: str, revision: str | None) -> list[str] | None:
    """The names of the files that the cache must have; None if it does not know what the repository holds."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        return files.needed(file.path for file in get_cached_repo_tree(repository, revision=revision))
    except CachedRepoTreeNotFoundError:
        return None


def _needed(repository: str, revision: str | None) -> list[str]:
    """The names of the files to download, for which the disk has room."""
    from huggingface_hub import HfApi, constants

    cache = Path(constants.HF_HUB_CACHE)
    info = HfApi().model_info(repository, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = files.needed(sizes)
    cache.mkdir(parents=True, exist_ok=True)
    disk.require(sum(sizes[name] for name in names), cache, repository, "HF_HOME")
    return names


def _advice(error: Exception) -> str:
    """The hub answers alike for repositories that are private and that do not exist."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError | RepositoryNotFoundError):
        token = "the token in HF_TOKEN may not read it" if os.environ.get("HF_TOKEN") else "HF_TOKEN is not set"
        return f" The name is wrong, or the repository is private and {token}"
    return ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
