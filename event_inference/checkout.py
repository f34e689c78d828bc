"""The repository's checkout and its environment, which `einf local` needs: the emulator is not part of einf."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from event_inference.errors import TargetError

_MARK = Path("deploy", "local", "stack.yaml")
_PYTHON = Path(".venv", "bin", "python")
_NEEDED = "functions_framework"  # what an environment of the repository has and one of einf alone lacks


def find(folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The checkout: `EINF_REPOSITORY`, or the one around the folder, or the one that this package is run from.

    Raises:
        TargetError: there is none.
    """
    named = (os.environ if environ is None else environ).get("EINF_REPOSITORY")
    here = folder or Path.cwd()
    candidates = [Path(named)] if named else [here, *here.parents, Path(__file__).resolve().parent.parent]
    for candidate in candidates:
        if (candidate / _MARK).is_file():
            return candidate
    place = f"{named} (EINF_REPOSITORY) is not" if named else f"{here} is not in"
    raise TargetError(
        f"{place} a checkout of the pipeline's repository, which runs it on this machine. Change to the checkout, or "
        f"name it with EINF_REPOSITORY."
    )


def python(checkout: Path) -> str:
    """The interpreter of the checkout's environment.

    Raises:
        TargetError: it was not set up yet.
    """
    own = checkout / _PYTHON
    if own.is_file():
        return str(own)
    if find_spec(_NEEDED):
        return sys.executable
    raise TargetError(f"{checkout} has no environment yet. Run there, once: make setup")


def data(checkout: Path, folder: Path | None = None) -> Path:
    """The folder of the local stack's state: in the checkout if the folder is in there, else in the folder."""
    here = folder or Path.cwd()
    return (checkout if here.is_relative_to(checkout) else here) / ".local"
