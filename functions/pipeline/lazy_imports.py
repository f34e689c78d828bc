"""Puts off modules that most events never use: they are found empty, and the first use of one fills it.

Python imports what a module names, whether or not the path of this event needs it; a function that starts pays for all
of it before its first answer.
"""

import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

DEFERRED = {
    "asyncio": "the clients' asynchronous halves",
    "charset_normalizer": "guesses the encoding of a web page's body; here, of a text in a legacy one",
    "email.policy": "of MIME parts, for the storage client's batches",
    "google.auth.crypt": "signs with a service account's own key: 55 modules of cryptography",
    "google.auth.iam": "signs by a call to IAM",
    "google.auth.jwt": "makes tokens of such signatures",
    "google.cloud.workflows": "the client that deploys workflows, imported by the package that also holds executions",
    "google.protobuf.internal.python_message": "messages in pure Python, where there is no compiled protobuf",
    "idna": "host names beyond ASCII",
    "opentelemetry.trace": "traces the clients' calls when told to",
    "preprocessing.images": "Pillow, when the input is an image",
    "postprocessing.merge": "brings a batch's shards together",
    "preprocessing.shards": "cuts tables, records and manifests into shards",
    "xml.etree.ElementTree": "the answers of the storage service's XML interface",
}


def install() -> None:
    """From here on, what is imported finds the modules of DEFERRED empty."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in DEFERRED else None
        if spec and spec.loader:
            spec.loader = _Deferred(spec.loader)
        return spec


class _Deferred(Loader):
    """Runs a module when an attribute is asked for that it does not have yet; the standard library's LazyLoader would
    run a package as soon as one of its modules is imported.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        lock = threading.RLock()
        filling = False

        def fill(name: str) -> Any:
            nonlocal filling
            with lock:
                if name == "__version__":  # requests looks at those of its packages
                    return _version(module.__name__)
                if name.startswith("__") or filling:  # asked by the import system, or missing while the module runs
                    raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
                if vars(module).get("__getattr__") is fill:
                    filling = True
                    try:
                        self._loader.exec_module(module)
                    finally:
                        filling = False
                    if vars(module)["__getattr__"] is fill:
                        del module.__getattr__
            return getattr(module, name)

        vars(module)["__getattr__"] = fill


def _version(name: str) -> str:
    """Where a package has its version in a module of its own, from there, without running the package."""
    try:
        found: str = importlib.import_module(f"{name}.version").__version__
    except ImportError as error:
        raise AttributeError(f"module {name!r} has no attribute '__version__'") from error
    return found
