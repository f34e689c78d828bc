"""docs/notifications.md: its receiver verifies and deduplicates, and its file of endpoints is valid."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from notifying.endpoints import parse
from tests.functions.notify.receiver import OLDER, SECRET
from tests.functions.notify.test_webhooks import post

PAGE = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


def test_the_file_of_endpoints_is_valid() -> None:
    endpoints = parse(block("yaml").encode())
    assert endpoints["crm"].prefix == "orders/"
    assert endpoints["warehouse"].topic


def test_the_command_makes_a_secret_that_is_accepted() -> None:
    (command,) = re.findall(r"^python -c '(.*)'$", PAGE, re.MULTILINE)
    made = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.strip()
    text = f"endpoints: [{{name: a, url: https://hooks.example.com/, secrets: [{made}]}}]"
    assert parse(text.encode())["a"].secrets == (made,)


def test_the_receiver_verifies_and_deduplicates() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", "SECRET": SECRET, "PORT": str(port)}
    command = [sys.executable, "-c", block("python")]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as running:
        try:
            url, give_up = f"http://127.0.0.1:{port}/", time.monotonic() + 20
            while (failure := post(url)) and failure.code == "connection_failed":
                assert time.monotonic() < give_up
                time.sleep(0.05)
            assert failure is None
            for _ in range(2):
                assert post(url) is None
            forged = post(url, OLDER)
            assert forged
            assert forged.code == "http_401"
        finally:
            running.terminate()
        assert running.stdout
        assert running.stdout.read() == "document.succeeded gs://out/results/naïve.txt/1.json\n"
