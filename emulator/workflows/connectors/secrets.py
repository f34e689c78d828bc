"""Secret Manager's connectors that read and write a secret as text."""

from dataclasses import replace
from typing import Any

from emulator.workflows.connectors.client import call
from emulator.workflows.connectors.methods import METHODS
from emulator.workflows.errors import value_error
from emulator.workflows.library.builtin import declare
from emulator.workflows.library.encoding import base64_decode, base64_encode
from emulator.workflows.runtime.execution import Frame

_SECRETS = "googleapis.secretmanager.v1.projects.secrets"


async def access_string(
    frame: Frame,
    secret_id: str,
    version: Any = None,
    project_id: str | None = None,
    connector_params: dict[str, Any] | None = None,
) -> str:
    """The payload of a secret's version, as text."""
    name = f"{_secret(frame, secret_id, project_id)}/versions/{version or 'latest'}"
    arguments = {"name": name, "connector_params": connector_params}
    response = await call(frame, METHODS[f"{_SECRETS}.versions.access"], arguments)
    try:
        return base64_decode(response["payload"]["data"]).decode()
    except UnicodeDecodeError:
        raise value_error("the secret is not UTF-8 text") from None


async def add_version_string(
    frame: Frame,
    secret_id: str,
    data: str,
    project_id: str | None = None,
    connector_params: dict[str, Any] | None = None,
) -> Any:
    """Add a version to a secret, from text."""
    body = {"payload": {"data": base64_encode(data.encode())}}
    parent = _secret(frame, secret_id, project_id)
    arguments = {"parent": parent, "body": body, "connector_params": connector_params}
    return await call(frame, METHODS[f"{_SECRETS}.addVersion"], arguments)


def _secret(frame: Frame, secret_id: str, project_id: str | None) -> str:
    return f"projects/{project_id or frame.execution.environment.project_id}/secrets/{secret_id}"


FUNCTIONS = [
    *(
        replace(builtin, in_expressions=True)
        for builtin in declare(f"{_SECRETS}.versions", {"accessString": access_string})
    ),
    *declare(_SECRETS, {"addVersionString": add_version_string}),
]
