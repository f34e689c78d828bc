"""The variables that step entries name at the detailed level: as JSON, bounded, and stored once for all entries."""

import json
from collections.abc import Sequence
from typing import Any

from emulator.googleapi.messages import Json
from emulator.workflows.values import safe_json

MAX_VALUE = 16 * 1024  # characters of a value's JSON; of a longer one the entry has the beginning, as a string
MAX_TOTAL = 4 * 1024 * 1024  # of an execution; the entries before the last ones that fit name no variables


class Rendering:
    """Turns values into JSON, each once, and gives out no more than an execution's share.

    Values are told apart by identity: the interpreter never changes one in place, and the caller keeps them alive.
    """

    def __init__(self) -> None:
        self._values: dict[int, tuple[Any, int]] = {}
        self._left = MAX_TOTAL

    def of(self, variables: dict[str, Any]) -> Json | None:
        """The variables as an entry names them; None once the share is used up."""
        rendered = {name: self._value(value) for name, value in variables.items()}
        self._left -= sum(len(name) + length for name, (_, length) in rendered.items())
        return None if self._left < 0 else {name: value for name, (value, _) in rendered.items()}

    def _value(self, value: Any) -> tuple[Any, int]:
        known = self._values.get(id(value))
        if known is None:
            text = safe_json(value)
            short = text if len(text) <= MAX_VALUE else json.dumps(f"{text[:MAX_VALUE]}…")
            known = self._values[id(value)] = json.loads(short, parse_constant=str), len(short)
        return known


def pack(entries: Sequence[Json]) -> Json:
    """Entries whose variables are places in a list, in which each value stands once."""
    values: list[Any] = []
    places: dict[int, int] = {}

    def place(value: Any) -> int:
        if id(value) not in places:
            places[id(value)] = len(values)
            values.append(value)
        return places[id(value)]

    packed = [_with_variables(entry, place) for entry in entries]
    return {"entries": packed, "values": values}


def unpack(packed: Json) -> list[Json]:
    """The entries that were packed."""
    return [_with_variables(entry, packed["values"].__getitem__) for entry in packed["entries"]]


def _with_variables(entry: Json, change: Any) -> Json:
    if "variableData" not in entry:
        return entry
    variables = {name: change(value) for name, value in entry["variableData"]["variables"].items()}
    return entry | {"variableData": {"variables": variables}}
