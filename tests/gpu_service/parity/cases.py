"""What a parity case is: a checkpoint in a folder, and how the service must take it."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PATHS = ("packed", "fallback")


@dataclass(frozen=True)
class Case:
    """`build` writes the checkpoint into an empty folder.

    `expect` is the path that must serve it as transformers' pipeline does, `packed` (the service's own code) or
    `fallback` (transformers' Auto classes), or a regular expression for the sentence that must refuse it.
    """

    architecture: str
    variant: str
    build: Callable[[Path], None]
    expect: str

    @property
    def name(self) -> str:
        return f"{self.architecture}, {self.variant}"

    @property
    def is_refused(self) -> bool:
        return self.expect not in PATHS

    def fits(self, outcome: str) -> bool:
        """Whether the outcome, a path or the sentence of a refusal, is the expected one."""
        return bool(re.search(self.expect, outcome)) if self.is_refused else outcome == self.expect


def modules() -> list[ModuleType]:
    """The modules of this folder that have CASES, and `outcome(case, folder)`, which serves one and checks it."""
    package = __name__.rpartition(".")[0]
    found = pkgutil.iter_modules([str(Path(__file__).parent)])
    names = sorted(module.name for module in found if not module.name.startswith("test_") and module.name != "table")
    loaded = [importlib.import_module(f"{package}.{name}") for name in names]
    return [module for module in loaded if hasattr(module, "CASES")]
