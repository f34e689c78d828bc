"""A tiny stack of toy services, run by the real command in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]

FUNCTION = """
import json, os, pathlib
import functions_framework

@functions_framework.cloud_event
def toy(event):
    seen = pathlib.Path(os.environ["SEEN"])
    with seen.open("a") as file:
        print(json.dumps({"id": event["id"], "type": event["type"], "data": event.data}), file=file)
    if "fail" in os.environ and pathlib.Path(os.environ["fail"]).exists():
        raise ValueError("as the test requires")
"""

STACK = """
buckets: {toy-input: {}}
topics: [messages, dead-letters]
subscriptions: {dead-letters: {topic: dead-letters}}
env: {SEEN: "%(folder)s/seen", fail: "%(folder)s/fail", API: "http://{http}", PEER: "{plain.url}"}
services:
  toy: {function: toy/main.py, target: toy, signature: cloudevent}
  plain: {command: [python, plain.py, "{port}"], ready: /ready, ready_timeout_s: 30}
triggers:
  uploads:
    event: google.cloud.storage.object.v1.finalized
    bucket: toy-input
    service: toy
    backoff: {min: 0.05, max: 0.2}
  messages:
    event: google.cloud.pubsub.topic.v1.messagePublished
    topic: messages
    service: toy
    dead_letter_topic: dead-letters
    backoff: {min: 0.05, max: 0.2}
"""

PLAIN = """
import http.server, json, os, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())
    def log_message(self, *_):
        pass

print(json.dumps({"severity": "WARNING", "message": "plain is up", "port": sys.argv[1]}), flush=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Toy:
    """The files of a toy stack in a folder, and the process that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        (folder / "toy").mkdir()
        (folder / "toy" / "main.py").write_text(FUNCTION)
        (folder / "plain.py").write_text(PLAIN)
        self.stack = folder / "stack.yaml"
        self.stack.write_text(STACK % {"folder": folder})
        self.process: subprocess.Popen[str] | None = None
        self.output = folder / "output"

    def run(self, *options: str) -> "Toy":
        """Start it, without waiting."""
        command = [sys.executable, "-m", "emulator", "--stack", str(self.stack), "--data", str(self.data), *options]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, text=True)
        return self

    def up(self, *options: str) -> dict[str, Any]:
        """Start it on free ports, wait until it is ready, and return its addresses."""
        self.run("--free-ports", *options)
        ready = self.data / "addresses.json"
        self.until(lambda: ready.exists() or self.ended)
        assert ready.exists(), self.said
        addresses: dict[str, Any] = json.loads(ready.read_text())
        return addresses

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def seen(self) -> list[dict[str, Any]]:
        file = self.folder / "seen"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that the processes do; the test's own timeout is the limit."""
        while not condition():
            time.sleep(0.02)

    def processes(self) -> list[psutil.Process]:
        """Every process that this stack has started, with its descendants."""
        assert self.process
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def service(self, *words: str) -> psutil.Process:
        """The topmost process whose command line contains one of the words."""
        return next(
            process for process in self.processes() if any(word in " ".join(process.cmdline()) for word in words)
        )

    def signal(self, number: int) -> int:
        assert self.process
        os.kill(self.process.pid, number)
        return self.process.wait(30)

    def close(self) -> None:
        if not self.ended and self.process:
            self.signal(signal.SIGINT)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all have ended; a zombie counts as ended."""
    return all(_has_ended(process) for process in processes)


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
