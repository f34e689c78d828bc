"""`python -m emulator debug NAME`: runs one service of a running stack in this process, for a debugger."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from emulator.ports import HOST
from emulator.supervisor.loans import socket_path


class DebugError(RuntimeError):
    """The stack is not running, or does not lend the service."""


def debug(name: str, data: Path) -> None:
    """Run a service until it ends or Ctrl-C; the stack runs it again afterwards.

    A function runs in this process and one request at a time, so that breakpoint() and an IDE's breakpoints stop it.
    Any other service replaces this process.

    Raises:
        DebugError: the stack is not running, or does not lend the service.
    """
    with _connected(data) as connection:
        connection.sendall(json.dumps(name).encode() + b"\n")
        loan = _answer(connection)
        os.environ.clear()
        os.environ.update(loan["env"])
        os.chdir(loan["folder"])
        print(f"{name} runs here now; breakpoint() stops it, Ctrl-C gives it back to the stack.", flush=True)
        if loan["function"] is None:
            os.set_inheritable(connection.fileno(), True)  # the loan lasts as long as the service
            os.execvpe(loan["argv"][0], loan["argv"], loan["env"])  # noqa: S606 - no shell is wanted
        _serve(loan)


def _connected(data: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(socket_path(data)))
    except OSError as error:
        connection.close()
        raise DebugError(f"no stack that lends its services runs on {data}; start one with: einf local up") from error
    return connection


def _answer(connection: socket.socket) -> dict[str, Any]:
    with connection.makefile("rb") as stream:
        line = stream.readline()
    if not line:
        raise DebugError("the stack ended")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise DebugError(answer["error"])
    return answer


def _serve(loan: dict[str, Any]) -> None:
    """Serve a function with Flask's development server, without its reloader and in one thread."""
    import functions_framework
    from werkzeug.serving import run_simple

    sys.path[:0] = [part for part in loan["env"].get("PYTHONPATH", "").split(os.pathsep) if part]
    create: Any = functions_framework.create_app
    app = create(loan["target"], loan["function"], loan["signature"])
    run_simple(HOST, loan["port"], app, threaded=False)
