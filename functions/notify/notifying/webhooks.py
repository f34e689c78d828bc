"""Sends one notification to a URL, signed as Standard Webhooks says, within limits of time and size."""

import contextlib
import functools
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import certifi
from standardwebhooks import Webhook

from notifying.addresses import HTTPS, Destination, RefusedError, Resolve, destination
from notifying.endpoints import Endpoint
from notifying.notification import Notification
from pipeline import times

GONE = 410
MAX_RETRY_AFTER = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an endpoint did not take a notification.

    Attributes:
        code: stable, such as `http_500` or `timeout`.
        message: one sentence.
        retry_after: seconds that the receiver wants to be left alone; None if it did not say.
        is_final: whether another attempt is useless.
    """

    code: str
    message: str
    retry_after: float | None = None
    is_final: bool = False


def send(
    endpoint: Endpoint,
    notification: Notification,
    *,
    allow_loopback: bool,
    timeout: float,
    resolve: Resolve = socket.getaddrinfo,
    clock: times.Clock = times.utc_now,
) -> Failure | None:
    """Posts a notification; returns None if the receiver answered 2xx.

    Redirects are not followed, and of the response only status and headers are read.

    Args:
        timeout: seconds from the connection to the end of the response's headers.
    """
    try:
        target = destination(endpoint.url, allow_loopback=allow_loopback, resolve=resolve)
        status, retry_after = _post(target, _headers(endpoint, notification, clock()), notification.body, timeout)
    except RefusedError as error:
        return Failure("refused_address", error.message)
    except TimeoutError:
        return Failure("timeout", f"The receiver did not answer within {timeout:g} s.")
    except ssl.SSLError:
        return Failure("tls_failed", "No secure connection could be made; check the receiver's certificate.")
    except (OSError, UnicodeError):
        return Failure("connection_failed", "The receiver could not be reached.")
    except http.client.HTTPException:
        return Failure("invalid_response", "The receiver's answer is not HTTP.")
    if 200 <= status < 300:
        return None
    if status == GONE:
        return Failure("gone", "The receiver answered 410: it wants no more notifications.", is_final=True)
    if 300 <= status < 400:
        return Failure("redirect", f"The receiver answered {status}; redirects are not followed.")
    return Failure(f"http_{status}", f"The receiver answered {status}.", _seconds(retry_after, clock()))


def _headers(endpoint: Endpoint, notification: Notification, now: datetime) -> dict[str, str]:
    """The signed headers; one signature for each secret, so that a receiver may verify by the older or the newer."""
    signatures = (Webhook(secret).sign(notification.id, now, notification.body) for secret in endpoint.secrets)
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "event-inference",
        "Connection": "close",
        "webhook-id": notification.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _post(target: Destination, headers: dict[str, str], body: str, timeout: float) -> tuple[int, str | None]:
    """Returns the response's status and its Retry-After.

    Raises:
        TimeoutError: the time is up, however slowly but steadily the receiver answers.
    """
    connection = _Pinned(target, timeout)
    with connection.deadline():
        connection.request("POST", target.path, body.encode(), headers)
        response = connection.getresponse()
        return response.status, response.headers.get("Retry-After")


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that has been checked, with the certificate and the Host header of its name."""

    def __init__(self, target: Destination, timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self.default_port = HTTPS if target.is_encrypted else 80
        self._target = target
        self._ends_at = time.monotonic() + timeout

    def connect(self) -> None:
        self.sock = self._connected()
        if self._target.is_encrypted:
            self.sock = _tls().wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self._check_time()
            self.sock.do_handshake()

    @contextlib.contextmanager
    def deadline(self) -> Iterator[None]:
        """Ends what happens inside when the time is up; a timeout of the socket alone begins anew with every byte."""
        timer = threading.Timer(self._remaining(), self._cut)
        timer.start()
        try:
            yield
        except Exception as error:
            if self._remaining() <= 0:
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
            self.close()

    def _connected(self) -> socket.socket:
        *others, last = self._target.addresses
        for address in others:
            with contextlib.suppress(OSError):
                return self._connected_to(address)
        return self._connected_to(last)

    def _connected_to(self, address: str) -> socket.socket:
        self._check_time()
        return socket.create_connection((address, self._target.port), self._remaining())

    def _remaining(self) -> float:
        return self._ends_at - time.monotonic()

    def _check_time(self) -> None:
        if self._remaining() <= 0:
            raise TimeoutError

    def _cut(self) -> None:
        if sock := self.sock:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, within an hour; None if it is missing or unreadable."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isascii() and retry_after.strip().isdecimal():
            seconds = float(retry_after)
        else:
            moment = parsedate_to_datetime(retry_after)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
