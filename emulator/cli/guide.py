"""How to use what is up: its addresses in a file, the shell's export lines, and commands to try."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from emulator.stack.model import Stack, fill

_FILE = "addresses.json"
_GCLOUD_APIS = {
    "STORAGE": "/storage/v1/",
    "PUBSUB": "/",
    "WORKFLOWS": "/",
    "WORKFLOWEXECUTIONS": "/",
    "RUN": "/",  # which `python -m emulator.workflows run` understands; gcloud's own commands put a region before it
}


class NotRunningError(RuntimeError):
    """No emulator is up that keeps its addresses in that folder."""


def addresses(stack: Stack, data: Path, http: str, grpc: str, services: Mapping[str, str]) -> dict[str, Any]:
    """Where everything is, as `addresses.json` says it."""
    values = {"http": http, "grpc": grpc} | {f"{name}.url": url for name, url in services.items()}
    return {
        "http": http,
        "grpc": grpc,
        "services": dict(services),
        "env": {name: fill(text, values) for name, text in stack.env.items()},
        "project": stack.project,
        "location": stack.location,
        "data": str(data.resolve()),
        "pid": os.getpid(),
    }


def write_addresses(data: Path, here: Mapping[str, Any]) -> None:
    """Tell other processes, by a file that is complete as soon as it exists, that everything is up."""
    draft = data / f"{_FILE}.new"
    draft.write_text(json.dumps(here, indent=2))
    draft.replace(data / _FILE)


def read_addresses(data: Path) -> dict[str, Any]:
    """What `write_addresses` wrote.

    Raises:
        NotRunningError: there is no such file, or its process has gone.
    """
    try:
        here: dict[str, Any] = json.loads((data / _FILE).read_text())
        os.kill(here["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):
        raise NotRunningError(f"no emulator is up with its data in {data}; start it with: python -m emulator") from None
    return here


def remove_addresses(data: Path) -> None:
    (data / _FILE).unlink(missing_ok=True)


def environment(here: Mapping[str, Any]) -> dict[str, str]:
    """The variables that turn Google's clients, gcloud and a service started by hand to the emulator.

    Writes the token that gcloud wants.
    """
    http, grpc, config = here["http"], here["grpc"], Path(here["data"]) / "gcloud"
    config.mkdir(exist_ok=True)
    token = config / "access-token"
    token.write_text("local")
    gcloud = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": f"http://{http}{path}" for api, path in _GCLOUD_APIS.items()}
    return {
        **here["env"],
        "GOOGLE_CLOUD_PROJECT": here["project"],
        "STORAGE_EMULATOR_HOST": f"http://{http}",
        "PUBSUB_EMULATOR_HOST": grpc,
        "WORKFLOWS_EMULATOR_HOST": grpc,
        "GCE_METADATA_HOST": http,
        "GCE_METADATA_IP": http,
        "CLOUDSDK_CONFIG": str(config),
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_CORE_PROJECT": here["project"],
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_WORKFLOWS_LOCATION": here["location"],
        **gcloud,
    }


def summary(here: Mapping[str, Any], stack: Stack, env_command: str) -> str:
    """What `up` prints once everything works."""
    values = {"http": here["http"], "grpc": here["grpc"]}
    values |= {f"{name}.url": url for name, url in here["services"].items()}
    rows = [
        ("Storage, Pub/Sub, Workflows, Run", f"http://{here['http']}"),
        ("Pub/Sub, Workflows (gRPC)", here["grpc"]),
        *here["services"].items(),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {address}" for name, address in rows]
    lines += ["", "To use it from another terminal:", f'  eval "$({env_command})"    # which is:']
    lines += [f"  export {name}={value}" for name, value in environment(here).items()]
    if stack.examples:
        lines += ["", "Then try:", indent(fill(stack.examples, values).rstrip(), "  ")]
    return "\n".join(lines)
