"""Every connector by name: what deploys, which arguments it takes, what calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from emulator.workflows.connectors.helpers import HELPERS, Helper
from emulator.workflows.connectors.requests import call, path_variables
from emulator.workflows.connectors.table import CONNECTORS, HELPER_NAMES, QUERY, SERVICES
from emulator.workflows.errors import failure
from emulator.workflows.runtime.scope import Frame

Perform = Callable[[Frame, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments that a connector takes, and those that it cannot do without."""

    arguments: frozenset[str]
    required: tuple[str, ...]


def find(name: str) -> Signature | None:
    """The arguments of an emulated connector."""
    helper = HELPERS.get(name)
    if helper is not None:
        return Signature(frozenset({*helper.required, *helper.optional, "connector_params"}), helper.required)
    connector = CONNECTORS.get(name)
    if connector is None:
        return None
    required = tuple(path_variables(connector))
    optional = {"body", "query", "connector_params", *QUERY["any"], *QUERY.get(connector.service, ())}
    return Signature(frozenset({*required, *optional, *connector.not_query}), required)


def in_expressions(name: str) -> Helper | None:
    """The connector, if it may be called in an expression."""
    helper = HELPERS.get(name)
    return helper if helper is not None and helper.in_expressions else None


def may_exist(name: str) -> bool:
    """Whether Google has connectors for the service, though this one may not be emulated."""
    parts = name.split(".")
    return name in HELPER_NAMES or (len(parts) >= 4 and parts[1] in SERVICES)


def is_connector(name: str) -> bool:
    """Whether a name can only be a connector's."""
    return name.startswith("googleapis.") or name in HELPER_NAMES


def performer(name: str) -> Perform:
    """What a call of a connector does."""
    helper, connector = HELPERS.get(name), CONNECTORS.get(name)
    if helper is not None:
        return helper.call

    async def perform(frame: Frame, arguments: dict[str, Any]) -> Any:
        if connector is None:
            raise failure("SystemError", f"connector '{name}' is not emulated")
        return await call(frame, connector, arguments)

    return perform
