"""An emulator in a process of its own that serves the starter text model with the GPU service, and clients' results."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from emulator.cli.guide import NotRunningError, environment, read_addresses

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "us-docker.pkg.dev/p/inference/gpu-service:7"
FOLDER = "gs://models/sentiment/1"
_STACK = """
root: {root}
buckets: {{models: {{}}}}
env: {{STORAGE_EMULATOR_HOST: "http://{{http}}"}}
containers:
  model: {{image: "*/gpu-service*", command: [python, -m, gpu_service], service_account: server}}
"""


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """The variables of clients of a running emulator whose bucket `models` has the starter text model."""
    stack, data, output = folder / "stack.yaml", folder / "data", folder / "output"
    stack.write_text(_STACK.format(root=ROOT))
    command = [sys.executable, "-m", "emulator", "--stack", str(stack), "--data", str(data), "--free-ports"]
    with output.open("w") as written:
        process = subprocess.Popen(command, cwd=ROOT, stdout=written, stderr=written)
    try:
        variables = environment(_addresses(process, data, output))
        _copy_model(variables["STORAGE_EMULATOR_HOST"])
        yield {**os.environ, **variables}
    finally:
        process.terminate()
        process.wait(30)


def _addresses(process: "subprocess.Popen[bytes]", data: Path, output: Path) -> dict[str, Any]:
    while True:
        assert process.poll() is None, output.read_text()
        try:
            return read_addresses(data)
        except NotRunningError:
            time.sleep(0.05)


def _copy_model(endpoint: str) -> None:
    client = storage.Client("local-project", AnonymousCredentials(), client_options={"api_endpoint": endpoint})
    source = ROOT / "gpu_service/models/sentiment"
    for file in filter(Path.is_file, source.rglob("*")):
        blob = client.bucket("models").blob(f"sentiment/1/{file.relative_to(source).as_posix()}")
        blob.upload_from_filename(str(file))
