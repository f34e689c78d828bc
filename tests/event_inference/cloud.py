"""A stand-in for a cloud: the emulator's APIs behind endpoints that refuse every call without a valid access token.

The token comes as in a cloud: a service account's key signs an assertion, which the token endpoint exchanges.
"""

import http.client
import json
import secrets
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

PROJECT = "my-project-123"
ACCOUNT = f"analyst@{PROJECT}.iam.gserviceaccount.com"


@dataclass
class TokenCloud:
    """The stand-in's endpoints and the calls that it saw.

    Attributes:
        http: URL of Cloud Storage's API; `/token` issues tokens.
        grpc: endpoint of Pub/Sub and Workflows.
        key: file of the service account's key, for GOOGLE_APPLICATION_CREDENTIALS.
        denied: parts of paths and methods for which the account lacks a role.
        calls: paths and methods that were answered, and `refused`, those that were not.
    """

    http: str
    grpc: str
    key: Path
    denied: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def context(self) -> str:
        """The context of a configuration that leads here."""
        endpoints = {"storage": self.http, "pubsub": self.grpc, "workflows": self.grpc, "executions": self.grpc}
        endpoints["vertex_ai"] = self.http
        pairs = ", ".join(f'{name} = "{url}"' for name, url in endpoints.items())
        return f'[contexts.standin]\nproject = "{PROJECT}"\nendpoints = {{{pairs}}}\n'


@contextmanager
def serving(emulator_http: str, emulator_grpc: str, folder: Path) -> Iterator[TokenCloud]:
    """Serves on loopback in front of an emulator, `host:port` each."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    tokens: set[str] = set()
    cloud = TokenCloud("", "", folder / "key.json")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/token":
                status, headers, content = exchanged(body)
            elif self.headers.get("Authorization", "").removeprefix("Bearer ") not in tokens:
                cloud.refused.append(self.path)
                status, headers, content = refusal(401, "Anonymous caller does not have storage.objects.get access")
            elif any(part in urllib.parse.unquote(self.path) for part in cloud.denied):
                cloud.refused.append(self.path)
                status, headers, content = refusal(403, f"{ACCOUNT} does not have storage.objects.create access")
            else:
                cloud.calls.append(f"{self.command} {self.path}")
                status, headers, content = forwarded(self, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

        def log_message(self, *_: object) -> None: ...

    def exchanged(body: bytes) -> tuple[int, dict[str, str], bytes]:
        assertion = urllib.parse.parse_qs(body.decode())["assertion"][0]
        claims = jwt.decode(assertion, certs=public, audience="https://oauth2.googleapis.com/token")
        assert claims["iss"] == ACCOUNT
        token = secrets.token_urlsafe()
        tokens.add(token)
        answer = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def forwarded(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(emulator_http)
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Authorization")}
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        kept = {
            name: value.replace(emulator_http, cloud.http.removeprefix("http://"))
            for name, value in answer.getheaders()
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server")
        }
        if "json" in (answer.getheader("Content-Type") or "") and "alt=media" not in request.path:
            content = content.replace(emulator_http.encode(), cloud.http.removeprefix("http://").encode())
        return answer.status, kept, content

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cloud.http = f"http://127.0.0.1:{server.server_port}"
    cloud.key.write_text(json.dumps(_key(private, cloud.http)))
    channel = grpc.insecure_channel(emulator_grpc)
    rpc = grpc.server(ThreadPoolExecutor(8))
    rpc.add_generic_rpc_handlers((_Forwarding(channel, tokens, cloud),))
    port = rpc.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    rpc.start()
    cloud.grpc = f"http://127.0.0.1:{port}"
    try:
        yield cloud
    finally:
        rpc.stop(None).wait()
        channel.close()
        server.shutdown()
        server.server_close()


def refusal(status: int, message: str) -> tuple[int, dict[str, str], bytes]:
    content = json.dumps({"error": {"code": status, "message": message}}).encode()
    return status, {"Content-Type": "application/json"}, content


def _key(private: rsa.RSAPrivateKey, http: str) -> dict[str, Any]:
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": ACCOUNT,
        "client_id": "1",
        "token_uri": f"{http}/token",
    }


class _Forwarding(grpc.GenericRpcHandler):
    """Forwards unary calls as bytes, those with a token."""

    def __init__(self, channel: grpc.Channel, tokens: set[str], cloud: TokenCloud) -> None:
        self._channel, self._tokens, self._cloud = channel, tokens, cloud

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            metadata = dict(context.invocation_metadata())
            if str(metadata.get("authorization", "")).removeprefix("Bearer ") not in self._tokens:
                self._cloud.refused.append(details.method)
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")
            if any(part in details.method for part in self._cloud.denied):
                self._cloud.refused.append(details.method)
                context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{ACCOUNT} lacks a permission.")
            self._cloud.calls.append(details.method)
            routing = [(name, value) for name, value in metadata.items() if name == "x-goog-request-params"]
            try:
                answer: bytes = self._channel.unary_unary(details.method)(request, metadata=routing, timeout=20)
            except grpc.RpcError as error:
                context.abort(cast(grpc.Call, error).code(), cast(grpc.Call, error).details())
            return answer

        return grpc.unary_unary_rpc_method_handler(call)
