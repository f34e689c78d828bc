"""Lays out what each function is deployed from: python deploy/stage.py [NAME ...].

build/functions/<name>/ holds the function's own files and the shared pipeline/ package beside them, and their bytecode,
which nobody else compiles before an instance starts; it serves the Python version that runs this, others ignore it.
No tests are in there. The entry point is the function's name.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "functions"
TARGET = ROOT / "build" / "functions"
SHARED = "pipeline"


class StageError(Exception):
    """A function is not laid out as deployment needs it."""


def names(source: Path = SOURCE) -> list[str]:
    """The functions there are: every folder with a main.py."""
    return sorted(path.parent.name for path in source.glob("*/main.py"))


def stage(name: str, source: Path = SOURCE, target: Path = TARGET) -> Path:
    """Lays out one function afresh and returns its folder.

    Raises:
        StageError: there is no such function, or its main.py does not define it.
    """
    folder = source / name
    if name not in names(source):
        raise StageError(f"There is no function {name!r}; there are {', '.join(names(source))}.")
    if not (folder / "requirements.txt").is_file():
        raise StageError(f"{name} has no requirements.txt.")
    if name not in _defined(folder / "main.py"):
        raise StageError(f"{name}/main.py defines no function {name}, which is the entry point.")
    staged = target / name
    shutil.rmtree(staged, ignore_errors=True)
    for origin, below in ((folder, staged), (source / SHARED, staged / SHARED)):
        for path in _deployed(origin):
            copy = below / path.relative_to(origin)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    _compile(staged)
    return staged


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Lays out what each function is deployed from.")
    parser.add_argument("name", nargs="*", help="functions to stage; all of them by default")
    chosen = parser.parse_args(arguments).name or names()
    try:
        for name in chosen:
            staged = stage(name)
            size = sum(path.stat().st_size for path in staged.rglob("*") if path.is_file())
            print(f"{staged.relative_to(ROOT)}  {size / 1024:.0f} KB")
    except StageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _compile(staged: Path) -> None:
    """Writes bytecode that is the same for the same source, and valid whatever an archive makes of the files' times."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        staged,
        staged,
    ]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})  # the order of sets in it


def _deployed(folder: Path) -> Iterator[Path]:
    """The files of a folder that belong into a deployment."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".json") or path == folder / "requirements.txt":
            yield path


def _defined(main_file: Path) -> set[str]:
    body = ast.parse(main_file.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


if __name__ == "__main__":
    sys.exit(main())
