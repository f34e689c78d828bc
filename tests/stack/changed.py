"""The local stack with changes to its description."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from emulator.process import Stack

ROOT = Path(__file__).parents[2]


def description() -> dict[str, Any]:
    """The content of the local stack's file, for a file that lies elsewhere."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "local" / "stack.yaml").read_text())
    return content | {"root": str(ROOT)}


@contextmanager
def started(folder: Path, content: dict[str, Any]) -> Iterator[Stack]:
    """A running stack of this description, which in the end has refused no call."""
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump(content))
    with Stack(folder / "data", stack=file) as running:
        yield running.start()
        assert running.refusals() == []
