"""Findings of the preflight, and what was read from the project to make them."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy import inventory


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"  # no reason to stop
    UNKNOWN = "?"  # could not be read, which is not a pass
    BLOCKED = "BLOCKED"


@dataclass(frozen=True)
class Finding:
    """One line: what was found, and the command or link that mends it."""

    level: Level
    text: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.level:<8} {self.text}" + (f"  ->  {self.mend}" if self.mend else "")


@dataclass(frozen=True)
class Project:
    """A deployment's inventory, and the folder with what was read from its project.

    The folder has NAME.json for what could be read, and NAME.error with the message of the command for what could not.
    """

    system: inventory.Inventory
    folder: Path

    @cached_property
    def id(self) -> str:
        return str(self.system["settings"]["project_id"])

    def read(self, name: str) -> Any:
        """The document, or None if it could not be read."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def refusal(self, name: str) -> str:
        """Why a document could not be read, in one line."""
        return self._message(name).partition(" Enable it by visiting")[0][:200] or "it was not read"

    def _message(self, name: str) -> str:
        path = self.folder / f"{name}.error"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        try:
            text = json.loads(text)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            text = re.sub(r"ERROR: \([\w.-]+\) ", "", text)
        return re.sub(r"\s+", " ", text).strip()

    def unknown(self, name: str, what: str, mend: str) -> Finding:
        """The finding that a document could not be read; `mend` gives the permission to read it."""
        disabled = re.search(r"Enable it by visiting \S*?/([a-z]+\.googleapis\.com)", self._message(name))
        if disabled:
            mend = f"gcloud services enable {disabled[1]} --project={self.id}"
        return Finding(Level.UNKNOWN, f"{what} could not be read: {self.refusal(name)}", mend)
