"""An editor's side of the Debug Adapter Protocol, by which VS Code talks to debugpy."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import IO, Any, Self

Message = dict[str, Any]


class Editor:
    """Drives debugpy's adapter, a child process; a context manager.

    Like VS Code, it starts the debugged program itself, in what would be the integrated terminal.
    """

    def __init__(self, folder: Path) -> None:
        self._terminal = folder / "terminal.log"
        self._output = self._terminal.open("wb")
        self._adapter = subprocess.Popen(
            [sys.executable, "-m", "debugpy.adapter"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._program: subprocess.Popen[bytes] | None = None
        self._events: Queue[Message] = Queue()
        self._answers: dict[int, Queue[Message]] = {}  # by the request's number
        self._writing = threading.Lock()
        self._sent = 0
        threading.Thread(target=self._receive, daemon=True).start()

    def start(self, configuration: Message, file: Path, line: int, timeout: float) -> None:
        """Launch a configuration of launch.json with one breakpoint."""
        self.request("initialize", {"adapterID": "debugpy", "supportsRunInTerminalRequest": True}, timeout)
        launched = self._send("launch", configuration)
        self.event("initialized", timeout)
        at = {"source": {"path": str(file)}, "breakpoints": [{"line": line}]}
        (breakpoint_,) = self.request("setBreakpoints", at, timeout)["breakpoints"]
        assert breakpoint_["line"] == line
        self.request("configurationDone", {}, timeout)
        self._answer(launched, timeout)

    def request(self, command: str, arguments: Message, timeout: float) -> Any:
        return self._answer(self._send(command, arguments), timeout).get("body", {})

    def event(self, name: str, timeout: float) -> Message:
        """The next event of this name."""
        while (event := self._events.get(timeout=timeout))["event"] != name:
            pass
        body: Message = event.get("body", {})
        return body

    def printed(self, text: str, timeout: float) -> None:
        """Wait until the program has printed a text."""
        pause, deadline = threading.Event(), time.monotonic() + timeout
        while text not in (printed := self._terminal.read_text(errors="replace")):
            assert time.monotonic() < deadline, printed
            pause.wait(0.1)

    def _answer(self, request: int, timeout: float) -> Message:
        answer = self._answers[request].get(timeout=timeout)
        assert answer["success"], answer
        return answer

    def _send(self, command: str, arguments: Message) -> int:
        return self._write({"type": "request", "command": command, "arguments": arguments})

    def _write(self, message: Message) -> int:
        assert self._adapter.stdin
        with self._writing:
            self._sent += 1
            self._answers[self._sent] = Queue(1)
            content = json.dumps({"seq": self._sent, **message}).encode()
            self._adapter.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
            self._adapter.stdin.flush()
            return self._sent

    def _receive(self) -> None:
        assert self._adapter.stdout
        while (message := _read(self._adapter.stdout)) is not None:
            if message["type"] == "event":
                self._events.put(message)
            elif message["type"] == "response":
                self._answers[message["request_seq"]].put(message)
            else:
                self._run_in_terminal(message)

    def _run_in_terminal(self, request: Message) -> None:
        asked = request["arguments"]
        env = {name: value for name, value in asked.get("env", {}).items() if value is not None}
        self._program = subprocess.Popen(
            asked["args"], cwd=asked["cwd"], env=env or None, stdout=self._output, stderr=subprocess.STDOUT
        )
        answer = {"type": "response", "request_seq": request["seq"], "command": request["command"], "success": True}
        self._write(answer | {"body": {"processId": self._program.pid}})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self._program, self._adapter):
            if process is not None:
                process.kill()
                process.wait()
        self._output.close()


def _read(stream: IO[bytes]) -> Message | None:
    """The next message; None at the end."""
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if not line:
        return None
    message: Message = json.loads(stream.read(length))
    return message
