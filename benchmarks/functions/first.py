"""A cold start of a function, from process creation to the response to its first request."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil

from benchmarks.functions.events import Request

GIVE_UP_S = 60


@dataclass(frozen=True)
class Start:
    """Seconds until the port was open and until the first response, and processor seconds until then."""

    listening: float
    answered: float
    cpu: float
    memory_mb: float


def measure(python: Path, folder: Path, target: str, signature: str, env: Mapping[str, str], request: Request) -> Start:
    """Starts the function as its buildpack does, in its deployed folder, and sends the request once it listens."""
    port = _free_port()
    argv = [str(python), "-m", "functions_framework", "--target", target, "--signature-type", signature]
    argv += ["--host", "127.0.0.1", "--port", str(port)]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    began = time.perf_counter()
    process = psutil.Popen(argv, cwd=folder, env={**inherited, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        _await_port(process, port)
        listening = time.perf_counter() - began
        status, answer = _post(port, request)
        answered = time.perf_counter() - began
        parts = [process, *process.children(recursive=True)]
        cpu = sum(sum(part.cpu_times()[:2]) for part in parts)
        memory = max(part.memory_info().rss for part in parts) / 2**20
    finally:
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=20)
    if status != 200:
        raise RuntimeError(f"{target} answered {status}: {answer!r}\n{log.decode()}")
    return Start(listening, answered, cpu, memory)


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _await_port(process: psutil.Popen, port: int) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.001)
    raise RuntimeError("the function did not start to listen")


def _post(port: int, request: Request) -> tuple[int, bytes]:
    headers, body = request
    with closing(HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)) as connection:
        connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
