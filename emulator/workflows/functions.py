"""The functions that a workflow can call without defining them: the standard library and the connectors."""

import difflib
from collections.abc import Collection
from typing import Any

from emulator.workflows.connectors import executions, secrets
from emulator.workflows.connectors.client import call, path_variables
from emulator.workflows.connectors.methods import METHODS, QUERY, SERVICES, Method
from emulator.workflows.errors import failure
from emulator.workflows.library import collections, conversion, encoding, events, http, retry, sys, text, time
from emulator.workflows.library.builtin import Builtin, Kind
from emulator.workflows.runtime.execution import Frame

_MODULES = (conversion, encoding, collections, text, time, retry, sys, events, http, executions, secrets)

# Connectors whose names don't begin with `googleapis.`; none of them is emulated.
_OTHER_CONNECTORS = frozenset(
    {"gke.request", "gke.create_job", "gke.get_job", "gke.await_job", "gke.delete_job"}
    | {"shell.gcloud", "shell.kubectl"}
)


def _connector(method: Method) -> Builtin:
    async def perform(frame: Frame, /, **arguments: Any) -> Any:
        return await call(frame, method, arguments)

    required = path_variables(method)
    optional = {"body", "query", "connector_params", *QUERY["any"], *QUERY.get(method.service, ()), *method.not_query}
    parameters = (*required, *sorted(optional - {*required}))
    return Builtin(method.name, parameters, len(required), perform, Kind.BLOCKING, in_expressions=False)


def _not_emulated(name: str) -> Builtin:
    async def perform(_frame: Frame, /, **_arguments: Any) -> Any:
        raise failure("SystemError", f"connector '{name}' is not emulated")

    return Builtin(name, (), 0, perform, Kind.BLOCKING, in_expressions=False, any_arguments=True)


_FUNCTIONS: dict[str, Builtin] = {
    **{method.name: _connector(method) for method in METHODS.values()},
    **{builtin.name: builtin for module in _MODULES for builtin in module.FUNCTIONS},
}


def find(name: str) -> Builtin | None:
    """The function of that name; a connector that only Google has raises SystemError when it is called."""
    parts = name.split(".")
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    exists = name in _OTHER_CONNECTORS or (is_connector(name) and len(parts) >= 4 and parts[1] in SERVICES)
    return _not_emulated(name) if exists else None


def is_connector(name: str) -> bool:
    """Whether the name can only be that of a connector."""
    return name.startswith("googleapis.") or name in _OTHER_CONNECTORS


def nearest(name: str, others: Collection[str]) -> str | None:
    """The function of the standard library, or the one of `others`, whose spelling is closest to the name."""
    library = [known for known in _FUNCTIONS if not is_connector(known)]
    return next(iter(difflib.get_close_matches(name, [*library, *others], 1)), None)
