"""Repositories of the hub, downloaded by its own client from a stand-in on loopback."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"the same weights",
    "vocab.txt": b"a\nb\n",
    "onnx/model.onnx": b"other weights",
    "README.md": b"# A model",
}
DOWNLOAD = """
import sys
from gpu_service.checkpoints import checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import StartError
from pathlib import Path
entry = Entry(name="m", task="text-classification", source="acme/private", revision=sys.argv[1] or None)
try:
    found = checkpoint.find(entry, Path(sys.argv[2]))
except StartError as error:
    sys.exit(error.message)
print(found.folder, found.revision)
"""


class Hub:
    """A private repository `acme/private`, which the token `secret` opens."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append(f"{request.command} {path}")
        if request.headers.get("Authorization") != "Bearer secret":
            self.send(request, 401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/tree/" in path:
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in FILES.items()
            ]
            self.send(request, 200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        elif path.startswith("/api/models/acme/private"):
            siblings = [{"rfilename": name, "size": len(content)} for name, content in FILES.items()]
            info = {"id": "acme/private", "modelId": "acme/private", "sha": COMMIT, "siblings": siblings}
            self.send(request, 200, json.dumps(info).encode(), {"Content-Type": "application/json"})
        else:
            content = FILES[path.partition(f"/resolve/{COMMIT}/")[2]]
            etag = hashlib.sha1(content).hexdigest()
            self.send(request, 200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    def send(self, request: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever)
    thread.start()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()
    thread.join()


def download(hub: Hub, home: Path, revision: str = "main", **env: str) -> subprocess.CompletedProcess[str]:
    models = home / "mine" / "models.json"
    models.parent.mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environ = {**inherited, "HF_HOME": str(home), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1", **env}
    command = [sys.executable, "-c", DOWNLOAD, revision, str(models)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.release
def test_a_private_repository_is_downloaded_with_the_token_and_only_what_is_needed(hub: Hub, tmp_path: Path):
    run = download(hub, tmp_path, HF_TOKEN="secret")
    assert run.returncode == 0, run.stderr
    folder, revision = run.stdout.split()
    assert revision == COMMIT
    assert {path.name for path in Path(folder).iterdir()} == {"config.json", "model.safetensors", "vocab.txt"}
    count = len(hub.requests)
    assert download(hub, tmp_path).stdout == run.stdout
    assert download(hub, tmp_path, HF_HUB_OFFLINE="1").stdout == run.stdout
    assert len(hub.requests) == count, "what is in the cache needs no request, and no token"


@pytest.mark.release
@pytest.mark.parametrize("revision", ["main", COMMIT, ""])
def test_what_was_downloaded_is_found_again_without_the_hub(hub: Hub, tmp_path: Path, revision: str):
    run = download(hub, tmp_path, revision, HF_TOKEN="secret")
    count = len(hub.requests)
    assert download(hub, tmp_path, revision, HF_HUB_OFFLINE="1").stdout == run.stdout != ""
    assert len(hub.requests) == count


@pytest.mark.release
def test_an_interrupted_download_is_completed(hub: Hub, tmp_path: Path):
    folder = Path(download(hub, tmp_path, HF_TOKEN="secret").stdout.split()[0])
    (folder / "model.safetensors").unlink()
    refused = download(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert refused.returncode == 1
    assert download(hub, tmp_path, HF_TOKEN="secret").returncode == 0
    assert (folder / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.release
@pytest.mark.parametrize(
    ("token", "said"),
    [({}, "private and HF_TOKEN is not set"), ({"HF_TOKEN": "x"}, "private and the token in HF_TOKEN may not read it")],
)
def test_a_private_repository_without_a_valid_token_is_refused(
    hub: Hub, tmp_path: Path, token: dict[str, str], said: str
):
    run = download(hub, tmp_path, **token)
    assert run.returncode == 1
    assert "acme/private at the revision main is neither in the hub's cache nor can it be downloaded: " in run.stderr
    assert f"The name is wrong, or the repository is {said}. If a folder is meant, write ./acme/private." in run.stderr


@pytest.mark.release
def test_a_folder_with_a_similar_name_is_suggested(hub: Hub, tmp_path: Path):
    (tmp_path / "mine" / "acmes").mkdir(parents=True)
    run = download(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE forbids to download it. If a folder, such as 'acmes', is meant, write ./" in run.stderr


def test_a_hub_that_cannot_be_reached_is_reported_in_one_sentence(hub: Hub, tmp_path: Path):
    hub.server.server_close()
    run = download(hub, tmp_path)
    assert run.returncode == 1
    assert "neither in the hub's cache nor can it be downloaded: the hub did not answer (" in run.stderr
    assert "Traceback" not in run.stderr
