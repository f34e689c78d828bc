"""Puts off what Google's clients import and the functions never use, so that the first event need not wait for it."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

UNUSED = {
    "asyncio": "the clients' asynchronous halves",
    "google.auth.crypt": "signs with a service account's own key: 55 modules of cryptography",
    "google.auth.iam": "signs by a call to IAM",
    "google.auth.jwt": "makes tokens of such signatures",
    "google.cloud.workflows": "the client that deploys workflows, imported by the package that also holds executions",
    "opentelemetry.trace": "traces the clients' calls when told to",
}


@contextmanager
def of_unused() -> Iterator[None]:
    """What is imported inside finds the modules of UNUSED empty; the first use of one, whenever it comes, fills it."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in UNUSED else None
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
