"""Commands and environment variables of the processes that the supervisor starts."""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from emulator import ports
from emulator.stack.model import Service, StackError, fill

# Variables of the user's shell that functions-framework would take for its own.
_NOT_INHERITED = ("DEBUG", "HOST", "WORKERS", "THREADS")


# Addresses of a running emulator as `python -m emulator env` sets them, at which a process would be the developer.
_DEVELOPERS = re.compile(r".*_EMULATOR_HOST|GCE_METADATA_(?:HOST|IP)|CLOUDSDK_.*")


def inherited(*, own_identity: bool = False) -> dict[str, str]:
    """The variables that every process gets from this one; with `own_identity`, no addresses of an emulator."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_INHERITED and not (own_identity and _DEVELOPERS.fullmatch(name))
    }
    return {**variables, "PATH": _search_path(), "PYTHONUNBUFFERED": "1"}


def container(service: Service, port: int) -> dict[str, str]:
    """The variables that Cloud Run sets in a service's container."""
    return {
        "PORT": str(port),
        "K_SERVICE": service.name,
        "K_CONFIGURATION": service.name,
        "K_REVISION": f"{service.name}-local",
    }


def command(words: Sequence[str]) -> list[str]:
    """A command line with this interpreter in place of `python`."""
    return [sys.executable if word == "python" else word for word in words]


def service_command(service: Service) -> list[str]:
    if service.function is None:
        return command(service.command)
    script = shutil.which("functions-framework", path=_search_path())
    framework = [sys.executable, script] if script else [sys.executable, "-m", "functions_framework"]
    options = ["--source", service.function, "--target", str(service.target), "--signature-type", service.signature]
    return [*framework, *options, "--host", ports.HOST, "--port", "{port}"]


def filled(place: str, words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words with their placeholders replaced; `place` says in an error where they stand.

    Raises:
        StackError: `values` lacks a placeholder.
    """
    try:
        return [fill(word, values) for word in words]
    except StackError as error:
        raise StackError(f"{place}: {error}") from error


def filled_variables(place: str, variables: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    return dict(zip(variables, filled(place, list(variables.values()), values), strict=True))


def _search_path() -> str:
    """The search path, this interpreter's folder first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
