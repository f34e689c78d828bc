"""One webhook to a real receiver: its signature, and what happens when the receiver misbehaves."""

import datetime as dt
import json
import socket
import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook, WebhookVerificationError

from notifying import webhooks
from notifying.endpoints import Endpoint
from notifying.notification import Notification
from notifying.webhooks import Failure, send
from tests.functions.notify.receiver import OLDER, SECRET, Receiver, dripping, never, receiving, status
from tests.functions.notify.test_addresses import resolving

JOB = "0123456789abcdef0123456789abcdef"
DATA = {
    "job": JOB,
    "status": "succeeded",
    "kind": "text",
    "document": "gs://out/results/naïve.txt/1.json",
    "generation": "7",
}
BODY = json.dumps({"type": "document.succeeded", "timestamp": "2026-01-31T12:00:00Z", "data": DATA}, ensure_ascii=False)
NOTIFICATION = Notification(f"{JOB}.7", JOB, "succeeded", "text", "naïve.txt/1", BODY)
NAME = "hooks.example.com"


def post(url: str, *secrets: str, timeout: float = 5, **options: Any) -> Failure | None:
    endpoint = Endpoint("crm", url=url, secrets=secrets or (SECRET,))
    return send(endpoint, NOTIFICATION, **{"allow_loopback": True, "timeout": timeout, **options})


def test_the_receiver_verifies_what_it_gets(receiver: Receiver) -> None:
    assert post(receiver.url) is None
    (body,) = receiver.verified()
    assert body["data"] == DATA
    ((headers, _),) = receiver.requests
    assert headers["webhook-id"] == f"{JOB}.7"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-type"] == "application/json; charset=utf-8"


def test_a_changed_body_does_not_verify(receiver: Receiver) -> None:
    post(receiver.url)
    ((headers, body),) = receiver.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"succeeded", b"failed"), headers)


def test_while_a_secret_is_rotated_either_one_verifies(receiver: Receiver) -> None:
    assert post(receiver.url, SECRET, OLDER) is None
    assert receiver.verified(SECRET) == receiver.verified(OLDER)
    receiver.requests.clear()
    assert post(receiver.url, SECRET) is None
    with pytest.raises(WebhookVerificationError):
        receiver.verified(OLDER)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(receiver: Receiver, code: int) -> None:
    receiver.answer = status(code)
    assert post(receiver.url) is None


@pytest.mark.parametrize("code", [400, 401, 404, 429, 500, 503])
def test_an_error_is_tried_again(receiver: Receiver, code: int) -> None:
    receiver.answer = status(code)
    assert post(receiver.url) == Failure(f"http_{code}", f"The receiver answered {code}.")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), ("999999", 3600), ("0", 0), ("soon", None), ("-5", None), ("Sat, 31 Jan 2026 12:01:00 GMT", 60)],
)
def test_the_receiver_says_how_long_to_wait(receiver: Receiver, header: str, seconds: float | None) -> None:
    receiver.answer = status(429, Retry_After=header)
    failure = post(receiver.url, clock=lambda: dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC))
    assert failure
    assert failure.retry_after == seconds


def test_410_ends_the_attempts(receiver: Receiver) -> None:
    receiver.answer = status(410)
    failure = post(receiver.url)
    assert failure
    assert (failure.code, failure.is_final) == ("gone", True)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, code: int) -> None:
    receiver.answer = status(code, Location=f"http://127.0.0.1:{receiver.port}/other")
    failure = post(receiver.url)
    assert failure
    assert failure.code == "redirect"
    assert len(receiver.requests) == 1


def test_a_receiver_that_never_answers_is_left_in_time(receiver: Receiver) -> None:
    receiver.answer = never(receiver)
    started = time.monotonic()
    failure = post(receiver.url, timeout=0.3)
    assert failure == Failure("timeout", "The receiver did not answer within 0.3 s.")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 500,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"H" * 500,
    ],
)
def test_a_steady_drip_of_bytes_does_not_extend_the_time(receiver: Receiver, text: bytes) -> None:
    receiver.answer = dripping(receiver, text)
    started = time.monotonic()
    failure = post(receiver.url, timeout=0.4)
    assert failure
    assert failure.code == "timeout"
    assert time.monotonic() - started < 3


def test_of_a_huge_answer_nothing_is_read_but_its_head(receiver: Receiver) -> None:
    sent = []

    def huge(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10 << 30))
        handler.end_headers()
        while not receiver.released.is_set():
            sent.append(handler.wfile.write(b"x" * 65_536))

    receiver.answer = huge
    assert post(receiver.url) is None
    assert sum(sent) < 64 << 20


@pytest.mark.parametrize("head", [b"X: " + b"a" * 70_000, b"".join(b"X-%d: 1\r\n" % n for n in range(300))])
def test_a_huge_head_is_refused(receiver: Receiver, head: bytes) -> None:
    receiver.answer = lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n") and None
    failure = post(receiver.url)
    assert failure
    assert failure.code == "invalid_response"


def test_an_answer_that_is_not_http(receiver: Receiver) -> None:
    receiver.answer = lambda handler: handler.wfile.write(b"220 mail.example.com ESMTP\r\n") and None
    assert post(receiver.url) == Failure("invalid_response", "The receiver's answer is not HTTP.")


def test_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    failure = post(f"http://127.0.0.1:{port}/")
    assert failure
    assert failure.code == "connection_failed"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "x..y"])
def test_a_name_that_cannot_be_resolved(host: str) -> None:
    failure = post(f"https://{host}/")
    assert failure
    assert failure.code == "connection_failed"


def test_loopback_is_refused_where_it_is_not_allowed(receiver: Receiver) -> None:
    failure = post(receiver.url, allow_loopback=False)
    assert failure
    assert failure.code == "refused_address"
    assert receiver.requests == []


def test_a_name_that_changes_its_address_is_called_at_the_one_that_was_checked(receiver: Receiver) -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"]]

    def rebinding(*arguments: Any, **options: Any) -> Any:
        return resolving(*answers.pop(0))(*arguments, **options)

    assert post(f"http://{NAME}:{receiver.port}/", resolve=rebinding) is None
    assert answers == [["169.254.169.254"]]
    ((headers, _),) = receiver.requests
    assert headers["host"] == f"{NAME}:{receiver.port}"


def test_another_address_of_the_name_is_tried(receiver: Receiver) -> None:
    resolve = resolving("127.0.0.2", "127.0.0.1")
    assert post(f"http://{NAME}:{receiver.port}/", resolve=resolve) is None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of hooks.example.com and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture
def secure(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with receiving(lambda sock: context.wrap_socket(sock, server_side=True)) as served:
        yield served


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    webhooks._tls.cache_clear()
    yield
    webhooks._tls.cache_clear()


@pytest.mark.usefixtures("trusted")
def test_the_certificate_is_checked_for_the_name_and_not_the_address(secure: Receiver) -> None:
    resolve = resolving("127.0.0.1")
    assert post(f"https://{NAME}:{secure.port}/", resolve=resolve) is None
    assert len(secure.verified()) == 1
    failure = post(f"https://other.example.com:{secure.port}/", resolve=resolve)
    assert failure
    assert failure.code == "tls_failed"


def test_an_unknown_certificate_is_refused(secure: Receiver) -> None:
    webhooks._tls.cache_clear()
    failure = post(f"https://{NAME}:{secure.port}/", resolve=resolving("127.0.0.1"))
    assert failure
    assert failure.code == "tls_failed"
    assert secure.requests == []


def test_a_handshake_that_never_ends_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        failure = post(f"https://{NAME}:{port}/", timeout=0.3, resolve=resolving("127.0.0.1"))
    assert failure
    assert failure.code == "timeout"


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert post(receiver.url) is None
