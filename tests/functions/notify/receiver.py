"""A real receiver of webhooks: an HTTP server that keeps what it gets and answers as a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBase64Kk"
OLDER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAAAAAA"

Answer = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@dataclass
class Receiver:
    """Requests that came, as headers and body; `answer` is what the next ones get."""

    port: int
    answer: Answer = field(default_factory=lambda: status(204))
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)  # ends answers that wait

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?from=pipeline"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    def verified(self, secret: str = SECRET) -> list[Any]:
        """The bodies, verified as a receiver does."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.requests]


@contextmanager
def receiving(wrap: Callable[[Any], Any] = lambda sock: sock) -> Iterator[Receiver]:
    """Args: wrap: makes a TLS socket of the listening one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            try:
                receiver.answer(self)
            except OSError:  # the sender has hung up
                self.close_connection = True

        def do_GET(self) -> None:
            receiver.requests.append(({}, b""))  # which no webhook is: a redirect was followed
            status(204)(self)

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = wrap(server.socket)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    receiver = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield receiver
    receiver.released.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


def never(receiver: Receiver) -> Answer:
    """Answers nothing until the test ends."""
    return lambda _: receiver.released.wait(30) and None


def dripping(receiver: Receiver, text: bytes) -> Answer:
    """Sends a byte every so often, each well within any timeout of the socket."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        for byte in text:
            handler.wfile.write(bytes([byte]))
            if receiver.released.wait(0.05):
                return

    return answer
