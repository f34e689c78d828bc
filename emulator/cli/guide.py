"""How to use a running stack: its addresses in a file, `export` lines for a shell, and commands to try."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from typing import Any

from emulator.cli import gcloud
from emulator.stack.model import Address, Stack, fill, placeholders

_FILE = "addresses.json"


class NotRunningError(RuntimeError):
    """No running emulator uses the data folder."""


def addresses(
    stack: Stack, data: Path, main: Address, services: Mapping[str, str], accounts: Mapping[str, Address]
) -> dict[str, Any]:
    """The content of `addresses.json`."""
    values = placeholders(main, services, accounts)
    return {
        **asdict(main),
        "services": dict(services),
        "accounts": {name: asdict(address) for name, address in accounts.items()},
        "env": {name: fill(text, values) for name, text in stack.env.items()},
        "project": stack.project,
        "location": stack.location,
        "data": str(data.resolve()),
        "pid": os.getpid(),
    }


def write_addresses(data: Path, running: Mapping[str, Any]) -> None:
    """Tell other processes that the stack is ready, by a file that is complete as soon as it exists."""
    draft = data / f"{_FILE}.new"
    draft.write_text(json.dumps(running, indent=2))
    draft.replace(data / _FILE)


def read_addresses(data: Path) -> dict[str, Any]:
    """The addresses of the emulator that uses the folder.

    Raises:
        NotRunningError: there is no `addresses.json`, or its process has gone.
    """
    try:
        running: dict[str, Any] = json.loads((data / _FILE).read_text())
        os.kill(running["pid"], 0)
    except (OSError, ValueError, TypeError, LookupError):  # no file, no process, or a file of something else
        raise NotRunningError(
            f"no emulator is running on {data}; start one with: python -m emulator --data {data}"
        ) from None
    return running


def remove_addresses(data: Path) -> None:
    (data / _FILE).unlink(missing_ok=True)


def environment(running: Mapping[str, Any]) -> dict[str, str]:
    """The variables that point Google's clients, gcloud and a service started by hand to the emulator.

    Writes gcloud's configuration, with endpoints on this machine for all APIs, and the access token file that it
    requires.
    """
    http, grpc, config = running["http"], running["grpc"], Path(running["data"]) / "gcloud"
    gcloud.configure(config, http)
    token = config / "access-token"
    token.write_text("local")
    endpoints = {api.upper(): gcloud.endpoint(api, http) for api in gcloud.EMULATED}
    return {
        **running["env"],
        "GOOGLE_CLOUD_PROJECT": running["project"],
        "STORAGE_EMULATOR_HOST": f"http://{http}",
        "PUBSUB_EMULATOR_HOST": grpc,
        "WORKFLOWS_EMULATOR_HOST": grpc,
        "GCE_METADATA_HOST": http,
        "GCE_METADATA_IP": http,
        **_other_clients(http),
        "CLOUDSDK_CONFIG": str(config),
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_CORE_PROJECT": running["project"],
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_WORKFLOWS_LOCATION": running["location"],
        "CLOUDSDK_AI_REGION": running["location"],
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": url for api, url in endpoints.items()},
    }


def _other_clients(http: str) -> dict[str, str]:
    """Variables of storage clients that do not read STORAGE_EMULATOR_HOST, or not that alone."""
    url = f"http://{http}"
    return {
        "GOOGLE_BASE_URL": url,  # object_store, and with it obstore and polars
        "GOOGLE_ALLOW_HTTP": "true",
        "GOOGLE_SKIP_SIGNATURE": "true",
        "CLOUD_STORAGE_EMULATOR_ENDPOINT": url,  # the C++ client, and with it pyarrow
        "GCE_METADATA_ROOT": http,  # where it gets its tokens
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # else gcsfs tries gRPC over TLS for a minute per bucket
    }


def summary(running: Mapping[str, Any], stack: Stack, env_command: str) -> str:
    """The text that `up` prints once the stack is ready."""
    main = Address(running["http"], running["grpc"])
    accounts = {name: Address(**address) for name, address in running["accounts"].items()}
    values = placeholders(main, running["services"], accounts)
    rows = [
        ("Storage, Pub/Sub, Workflows, Run", f"http://{running['http']}"),
        ("Pub/Sub, Workflows (gRPC)", running["grpc"]),
        *running["services"].items(),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {address}" for name, address in rows]
    lines += ["", "To use it from another terminal:", f'  eval "$({env_command} || echo false)"    # sets:']
    lines += [f"  export {name}={value}" for name, value in environment(running).items()]
    if stack.examples:
        lines += ["", "Then try:", indent(fill(stack.examples, values).rstrip(), "  ")]
    return "\n".join(lines)
