"""Runs `python -m emulator` as a child process, for the demo, tests and benchmarks."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator import state


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class StackError(RuntimeError):
    """The emulator did not start, or has ended; the message ends with its last output."""


class Stack:
    """A local stack on free ports, with its state in `data`; a context manager.

    Once the stack is ready, `addresses` holds `http` and `grpc` (`host:port`) and `services` (URLs by name).
    """

    def __init__(self, data: Path, *, stack: Path | None = None) -> None:
        self.data = data
        self.stack = stack
        self.addresses: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.data / "emulator.log"

    @property
    def http(self) -> str:
        return f"http://{self.addresses['http']}"

    @property
    def grpc(self) -> str:
        return str(self.addresses["grpc"])

    @property
    def pid(self) -> int:
        """The emulator's process, whose children are the services; StackError if it is not running."""
        if self._process is None:
            raise StackError("the local stack is not running")
        return self._process.pid

    def token(self, service: str, account: str = "default") -> str:
        """An identity token for calls to a service; the default account is the developer's."""
        url = f"{self.http}/computeMetadata/v1/instance/service-accounts/{account}/identity"
        audience = self.addresses["services"][service]
        headers = {"Metadata-Flavor": "Google"}
        request = urllib.request.Request(f"{url}?audience={audience}", headers=headers)  # noqa: S310 - on loopback
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return str(response.read().decode())

    def refusals(self, after: int = 0) -> list[dict[str, Any]]:
        """The calls that IAM has refused since the start, as the emulator's log has them, `after` a position in it."""
        with (self.data / "logs" / "emulator.log").open() as log:
            log.seek(after)
            entries = [json.loads(line) for line in log if line.endswith("\n")]
        return [entry for entry in entries if entry["message"] == "permission denied"]

    def start(self, timeout_s: float = 90, on_wait: Callable[[], None] = lambda: None) -> Self:
        """Start the process and wait until every service is ready; StackError if that fails."""
        state.prepare(self.data)
        ready = self.data / "addresses.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "emulator", "up", "--data", str(self.data), "--free-ports"]
        if self.stack:
            command += ["--stack", str(self.stack)]
        with open(self.log, "ab", opener=_private) as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + timeout_s
        while not ready.exists():
            self.check()
            if time.monotonic() > deadline:
                self.stop()
                raise StackError(f"the local stack was not ready after {timeout_s:.0f} s\n{self.last_output()}")
            on_wait()
            time.sleep(0.05)
        self.addresses = json.loads(ready.read_text())
        return self

    def check(self) -> None:
        """Raise StackError if the process has ended."""
        if self._process and self._process.poll() is not None:
            raise StackError(f"the local stack ended with status {self._process.returncode}\n{self.last_output()}")

    def stop(self, timeout_s: float = 20) -> None:
        """Stop the process as Ctrl-C does, and wait until it has ended."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """End the process by SIGKILL, without any clean-up."""
        if self._process:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def last_output(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
