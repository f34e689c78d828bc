"""Serves the stand-in for Google's APIs on loopback, where gcloud's endpoint overrides lead."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.deploy.stand_in.cloud import Body, Google

APIS = [
    "artifactregistry",
    "bigquery",
    "billingbudgets",
    "cloudbilling",
    "cloudbuild",
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudscheduler",
    "config",
    "eventarc",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "secretmanager",
    "serviceusage",
    "storage",
    "workflowexecutions",
    "workflows",
    "cloudquotas",
]


@contextmanager
def serving(google: Google) -> Iterator[dict[str, str]]:
    """Serves on loopback and yields gcloud's endpoint overrides."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = self.headers.get("Content-Type", "")
            if "multipart" in content:
                body: Any = uploaded(raw, content)
            else:
                try:
                    body = json.loads(raw) if raw else {}
                except ValueError:
                    body = {}
            with google.lock:
                status, answer = google.answer(
                    self.command, self.path, body, {name.title(): value for name, value in self.headers.items()}
                )
            media = isinstance(answer, bytes)  # the content of an object
            data = answer if media else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream" if media else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    google.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{google.base}/{api}/" for api in APIS}
        # gcloud prefixes Cloud Run's host with the region, so the host needs a name: this server is the proxy to it.
        yield overrides | {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.invalid/run/",
            "http_proxy": google.base,
            "no_proxy": "127.0.0.1",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def uploaded(raw: bytes, content_type: str) -> Body:
    """The resource in the first part of a multipart upload, with the data of the second part, their size and digest."""
    boundary = re.search(r"boundary=[\"']?([^\"';]+)", content_type)
    assert boundary
    mark = b"--" + boundary[1].encode()
    resource, _, data = raw.removeprefix(mark).partition(mark)
    metadata = resource[resource.index(b"{") : resource.rindex(b"}") + 1]
    data = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[1]
    data = re.sub(rb"\r?\n\Z", b"", data[: data.rindex(mark + b"--")])
    digest = base64.b64encode(hashlib.md5(data).digest()).decode()
    return {**json.loads(metadata), "size": str(len(data)), "md5Hash": digest, "data": base64.b64encode(data).decode()}
