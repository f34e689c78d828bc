"""A page in a real browser cannot reach the emulator by simple requests, forms, WebSockets or DNS rebinding.

Nor can a page that is stored in the emulator and served at its port.
"""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from emulator.server import Emulator
from emulator.stack import loader

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="SKIPPED LOUDLY: chromium and chromedriver are not installed (tests/chromium.sh)",
    ),
]

STACK = """
project: local-project
location: us-central1
root: .
buckets: {box: {}}
topics: [messages]
jobs:
  job: {command: [python, -c, "pass"]}
"""


class Page(BaseHTTPRequestHandler):
    """The attacker's site: an empty page under any host name."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>attack</title>")

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Running:
    """An emulator in a thread, and the job processes that it was asked to start."""

    http: str
    grpc: str
    emulator: Emulator
    started: list[Any]


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    (folder / "stack.yaml").write_text(STACK)
    started: list[Any] = []

    async def start_task(attempt: Any) -> Any:
        started.append(attempt)
        raise OSError("nothing is started here")

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    emulator = Emulator(loader.load(folder / "stack.yaml"), services={}, start_task=start_task)

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    try:
        run(emulator.__aenter__())
        yield Running(emulator.http, emulator.grpc, emulator, started)
    finally:
        run(emulator.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def attacker() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP evil.example 127.0.0.1")
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


SEND = """
const [url, options, done] = arguments;
fetch(url, options).then(async answer => done([answer.status, await answer.text()]), error => done([0, String(error)]));
"""
FORM = """
const [url, done] = arguments;
const frame = document.createElement("iframe"); frame.name = "f"; document.body.append(frame);
const form = document.createElement("form");
form.action = url; form.method = "post"; form.enctype = "text/plain"; form.target = "f";
const field = document.createElement("input"); field.name = '{"name": "formed", "x": "'; field.value = '"}';
form.append(field); document.body.append(form);
frame.onload = () => setTimeout(() => done(true), 0); form.submit();
"""
SOCKET = """
const [url, done] = arguments;
const socket = new WebSocket(url); socket.onopen = () => done("open"); socket.onerror = () => done("refused");
"""


@pytest.mark.parametrize("page", ["http://evil.example", "http://127.0.0.1"])
def test_a_page_of_another_origin_changes_nothing(browser: Any, emulator: Running, attacker: int, page: str) -> None:
    """Simple requests, which need no preflight, are refused, and so are preflights."""
    browser.get(f"{page}:{attacker}/")
    api = f"http://{emulator.http}"
    job = f"{api}/v2/projects/local-project/locations/us-central1/jobs/job:run"
    simple = {"method": "POST", "mode": "no-cors", "headers": {"Content-Type": "text/plain"}}
    browser.execute_async_script(SEND, job, {**simple, "body": "{}"})
    browser.execute_async_script(
        SEND, f"{api}/upload/storage/v1/b/box/o?uploadType=media&name=x", {**simple, "body": "x"}
    )
    browser.execute_async_script(SEND, f"{api}/storage/v1/b/box/o", {"method": "PUT", "mode": "cors"})
    browser.execute_async_script(FORM, f"{api}/storage/v1/b?project=local-project")
    assert emulator.started == []
    assert [bucket.name for bucket in emulator.emulator.storage.buckets.listing()] == ["box"]
    assert list(emulator.emulator.storage.objects.listing("box").objects) == []
    assert browser.execute_async_script(SOCKET, f"ws://{emulator.http}/") == "refused"


def test_a_rebound_name_reads_and_writes_nothing(browser: Any, emulator: Running) -> None:
    """The page's own origin is the emulator's address under the attacker's name."""
    port = emulator.http.rsplit(":", 1)[1]
    browser.get(f"http://evil.example:{port}/")
    status, body = browser.execute_async_script(SEND, "/storage/v1/b?project=local-project", {})
    assert (status, "box" in body) == (403, False)
    token = "/computeMetadata/v1/instance/service-accounts/default/identity?audience=http://127.0.0.1:1"
    status, body = browser.execute_async_script(SEND, token, {"headers": {"Metadata-Flavor": "Google"}})
    assert (status, "eyJ" in body) == (403, False)  # the beginning of every token
    upload = {"method": "POST", "body": "x"}
    assert browser.execute_async_script(SEND, "/upload/storage/v1/b/box/o?uploadType=media&name=x", upload)[0] == 403


def test_a_page_that_the_emulator_served_is_answered(browser: Any, emulator: Running) -> None:
    browser.get(f"http://{emulator.http}/storage/v1/b?project=local-project")
    assert browser.execute_async_script(SEND, "/storage/v1/b?project=local-project", {})[0] == 200


# Runs while the page loads.
ATTACK = """
const request = new XMLHttpRequest();
request.open("POST", "/storage/v1/b?project=local-project", false);
request.setRequestHeader("Content-Type", "application/json");
request.send('{"name": "stolen"}');
"""
XMLNS = "http://www.w3.org/1999/xhtml"


@pytest.mark.parametrize("path", ["/box/{}", "/storage/v1/b/box/o/{}?alt=media", "/download/storage/v1/b/box/o/{}"])
@pytest.mark.parametrize(
    ("media_type", "document"),
    [
        ("text/html", f"<!doctype html><script>{ATTACK}</script>"),
        ("image/svg+xml", f'<svg xmlns="http://www.w3.org/2000/svg"><script>{ATTACK}</script></svg>'),
        ("application/xhtml+xml", f'<html xmlns="{XMLNS}"><head><script>{ATTACK}</script></head></html>'),
        ("text/xml", f'<a><script xmlns="{XMLNS}">{ATTACK}</script></a>'),
        ("", f"<!doctype html><script>{ATTACK}</script>"),
    ],
)
def test_a_stored_page_does_nothing(browser: Any, emulator: Running, media_type: str, document: str, path: str) -> None:
    emulator.emulator.storage.objects.create("box", "page", document.encode(), {"contentType": media_type})
    browser.get(f"http://{emulator.http}{path.format('page')}")
    assert [bucket.name for bucket in emulator.emulator.storage.buckets.listing()] == ["box"]
    emulator.emulator.storage.objects.delete("box", "page")


def test_a_name_in_an_error_does_nothing(browser: Any, emulator: Running) -> None:
    name = quote(f"<script>{ATTACK.replace(chr(10), '')}</script>", safe="")
    browser.get(f"http://{emulator.http}/storage/v1/b/box/o/{name}?alt=media")
    assert "No such object" in browser.page_source
    assert [bucket.name for bucket in emulator.emulator.storage.buckets.listing()] == ["box"]


def test_a_page_cannot_speak_to_the_grpc_port(browser: Any, emulator: Running, attacker: int) -> None:
    """Without TLS a browser sends only HTTP/1.1, whatever the body; the port speaks only HTTP/2."""
    browser.get(f"http://evil.example:{attacker}/")
    preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    url = f"http://{emulator.grpc}/google.pubsub.v1.Publisher/CreateTopic"
    browser.execute_async_script(SEND, url, {"method": "POST", "mode": "no-cors", "body": preface})
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(emulator.grpc))
    topics = PublisherClient(transport=transport).list_topics(project="projects/local-project")
    assert [topic.name.rsplit("/", 1)[1] for topic in topics] == ["messages"]
