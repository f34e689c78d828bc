"""Writes a stack file of the local stack with the fault-injecting proxy between its parts."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.inputs import RECORDS_PER_SHARD

ROOT = Path(__file__).parents[2]
STACK = ROOT / "deploy" / "local" / "stack.yaml"
CALLED = {  # by the workflow
    "PREPROCESS_URL": "preprocess",
    "FORECAST_URL": "forecast",
    "POSTPROCESS_URL": "postprocess",
    "GPU_SERVICE_URL": "gpu-service",
}


def write(folder: Path, *, seed: int, kill_every_s: float, odds: dict[str, float], executions_per_hour: int) -> Path:
    """Writes the stack file and returns its path."""
    stack: dict[str, Any] = yaml.safe_load(STACK.read_text())
    stack["env"] |= {
        "RECORDS_PER_SHARD": str(RECORDS_PER_SHARD),
        "MAX_EXECUTIONS_PER_HOUR": str(executions_per_hour),
        "MAX_WAIT": "waiting/=20s",  # an order to collect starts what is due within a minute
        "SPT_NOENV": "1",  # gunicorn's title would overwrite the environment, by which the proxy knows a process
    }
    services = stack["services"]
    del services["console"], stack["examples"]  # for a person
    proxied = [name for name, service in services.items() if "when" not in service]  # others do not run by default
    for name, service in services.items():
        # Each service has its own address for Cloud Storage, so that the proxy knows the caller.
        service.setdefault("env", {})["STORAGE_EMULATOR_HOST"] = f"{{chaos.url}}/from/{name}"
    targets = [f"{name}={{{name}.url}}" for name in proxied]
    # At the emulator the proxy has no rights of its own: it calls and asks for tokens at each account's address.
    apis = [f"--apis={account}=http://{{{account}.http}}" for account in (*proxied, "events", "workflow")]
    services["chaos"] = {
        "command": [
            *("python", "-m", "tests.chaos.proxy", "--port", "{port}", "--seed", str(seed)),
            *("--kill-every", str(kill_every_s), "--odds", json.dumps(odds)),
            *(*apis, *targets),
        ],
        "port": 0,
        "ready": "/counts",
        "invokers": ["allUsers"],  # it forwards calls with its own tokens
    }
    for name, trigger in stack["triggers"].items():
        trigger |= {"service": "chaos", "path": f"/events/{name}"}
    for variable, name in CALLED.items():
        stack["workflows"]["inference"]["env"][variable] = f"{{chaos.url}}/to/{name}"
    stack["root"] = str(ROOT)
    path = folder / "stack.yaml"
    path.write_text(yaml.safe_dump(stack))
    return path
