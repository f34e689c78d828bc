"""Watches the files behind services and workflows: a change restarts the service or deploys the workflow again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import watchfiles

from emulator.stack.model import Service, Stack

_DEBOUNCE_MS, _STEP_MS = 400, 50

Reload = Callable[[str], Awaitable[None]]


def sources(stack: Stack, service: Service, argv: list[str], variables: Mapping[str, str]) -> set[Path]:
    """The files and folders whose change restarts a service.

    They are a function's folder and the folders that it imports from, less those of other functions; and the
    packages, files and folders that a command names. models.json stands for its folder.
    """
    roots = [stack.root / part for part in variables.get("PYTHONPATH", "").split(":") if part]
    if service.function:
        functions = {(stack.root / other.function).parent for other in stack.services if other.function}
        shared = {entry for root in roots if root.is_dir() for entry in root.iterdir() if _is_source(entry)}
        return {(stack.root / service.function).parent, *(shared - functions)}
    return {path for word in argv[1:] if (path := _named(stack.root, word)) is not None}


def _is_source(path: Path) -> bool:
    if (path / "main.py").exists():  # a function, even if the stack does not run it now
        return False
    return not path.name.startswith((".", "__")) and (path.is_dir() or path.suffix == ".py")


def _named(root: Path, word: str) -> Path | None:
    """What a word of a command names: a file, a folder, or a package of the stack's root."""
    value = word.rpartition("=")[2]
    for path in (root / value, root / value.partition(".")[0]):
        if value and path != root and path.exists():
            is_own = path.suffix == ".json" and not root.is_relative_to(path.parent)
            return path.parent if is_own else path
    return None


async def watch(watched: Mapping[str, set[Path]], reload: Reload) -> None:
    """Call `reload` concurrently with the names whose files have changed, until cancelled."""
    paths = {path for each in watched.values() for path in each if path.exists()}
    if not paths:
        return
    async for changes in watchfiles.awatch(*paths, debounce=_DEBOUNCE_MS, step=_STEP_MS):
        changed = [Path(path) for _, path in changes]
        names = [name for name, own in watched.items() if _concerns(own, changed)]
        await asyncio.gather(*(reload(name) for name in names))


def _concerns(own: set[Path], changed: list[Path]) -> bool:
    return any(path.is_relative_to(each) for path in changed for each in own)
