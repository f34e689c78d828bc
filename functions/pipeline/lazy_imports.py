"""Defers importing modules that most events never use until an attribute is first accessed.

Python runs every imported module, whether or not the current event needs it, and a function that starts pays for all of
them before its first response.
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
    "charset_normalizer": "guesses the encoding of text in a legacy one",
    "email.policy": "of MIME parts, for the storage client's batches",
    "google.auth.crypt": "signs with a service account's own key: 55 modules of cryptography",
    "google.auth.iam": "signs by a call to IAM",
    "google.auth.jwt": "makes tokens of such signatures",
    "google.cloud.workflows": "the client that deploys workflows, imported by the package that also holds executions",
    "google.protobuf.internal.python_message": "messages in pure Python, without compiled protobuf",
    "idna": "host names beyond ASCII",
    "opentelemetry.trace": "traces the clients' calls if enabled",
    "postprocessing.merge": "brings a batch's shards together",
    "preprocessing.shards": "cuts tables, records and manifests into shards",
    "xml.etree.ElementTree": "the responses of the storage service's XML interface",
}


def install() -> None:
    """Makes later imports of the modules in DEFERRED create them without running them."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in DEFERRED else None
        if spec and spec.loader:
            spec.loader = _Deferred(spec.loader)
        return spec


class _Deferred(Loader):
    """Runs a module when a missing attribute is first accessed.

    The standard library's LazyLoader would run a package as soon as one of its submodules is imported.
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
                if name == "__version__":  # requests checks those of its dependencies
                    return _version(module.__name__)
                if name.startswith("__") or filling:  # the import system probes, or the running module lacks it
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
    """The version of a package that keeps it in a submodule, without running the package."""
    try:
        version: str = importlib.import_module(f"{name}.version").__version__
    except ImportError as error:
        raise AttributeError(f"module {name!r} has no attribute '__version__'") from error
    return version
