"""Puts the deployable source of functions into build/functions/: python deploy/stage.py [NAME ...].

build/functions/<name>/ holds the function's own files, the shared pipeline/ package, what the function uses of the
client, and the bytecode of all, which new instances would otherwise compile. Only the Python version that runs this
script uses the bytecode. The entry point has the function's name.
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
PACKAGES = {  # what functions use of the client
    "on_message": ("event_inference/__init__.py", "event_inference/cost"),
    "promote": (
        "event_inference/promotion",
        "event_inference/errors.py",
        "event_inference/registry/api.py",
        "event_inference/registry/vertex.py",
    ),
}


class StageError(Exception):
    """A function lacks a file or an entry point that its deployment needs."""


def names(source: Path = SOURCE) -> list[str]:
    """The names of all functions: the folders that hold a main.py."""
    return sorted(path.parent.name for path in source.glob("*/main.py"))


def stage(name: str, source: Path = SOURCE, target: Path = TARGET) -> Path:
    """Replaces the staged source of a function and returns its folder.

    Raises:
        StageError: the function does not exist, has no requirements.txt, or its main.py does not define it.
    """
    folder = source / name
    if name not in names(source):
        raise StageError(f"There is no function {name!r}. Choose from: {', '.join(names(source))}.")
    if not (folder / "requirements.txt").is_file():
        raise StageError(f"{name} has no requirements.txt.")
    if name not in _defined(folder / "main.py"):
        raise StageError(f"{name}/main.py defines no function {name}: name the entry point after its folder.")
    staged = target / name
    shutil.rmtree(staged, ignore_errors=True)
    for origin, destination in ((folder, staged), (source / SHARED, staged / SHARED)):
        for path in _deployed(origin):
            _copy(path, destination / path.relative_to(origin))
    for part in PACKAGES.get(name, ()):
        origin = ROOT / part
        for path in _deployed(origin) if origin.is_dir() else (origin,):
            _copy(path, staged / path.relative_to(ROOT))
    _compile(staged)
    return staged


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Puts the deployable source of functions into build/functions/.")
    parser.add_argument("name", nargs="*", help="functions to stage (default: all)")
    selected = parser.parse_args(arguments).name or names()
    try:
        for name in selected:
            staged = stage(name)
            size = sum(path.stat().st_size for path in staged.rglob("*") if path.is_file())
            print(f"{staged.relative_to(ROOT)}  {size / 1024:.0f} KB")
    except StageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)


def _compile(staged: Path) -> None:
    """Writes bytecode that depends on the source alone, and stays valid when an archive changes modification times."""
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
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})  # fixes the order of sets


def _deployed(folder: Path) -> Iterator[Path]:
    """The files of a folder that are deployed."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".json", ".yaml") or path == folder / "requirements.txt":
            yield path


def _defined(main_file: Path) -> set[str]:
    body = ast.parse(main_file.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


if __name__ == "__main__":
    sys.exit(main())
