"""Small models with random weights, made by transformers, and the service with them, in this process or its own."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedTokenizerFast,
    ResNetConfig,
    RobertaConfig,
    ViTConfig,
)

from emulator import ports
from emulator.storage import Store
from emulator.storage import app as storage_app
from gpu_service.checkpoints import checkpoint, device
from gpu_service.checkpoints.registry import Entry
from gpu_service.serving import startup
from gpu_service.serving.model import Model
from gpu_service.settings import Settings
from gpu_service.web.app import App

ROOT = Path(__file__).parents[2]
QUIET = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
WORDS = ["a", "the", "film", "was", "is", "not", "good", "bad", "dull", "bright", "long", "story", "joy"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [
    *SPECIAL,
    *WORDS,
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
]
SIZES = {"vocab_size": len(VOCABULARY), "num_labels": 3, "initializer_range": 0.3}
DISTIL = {**SIZES, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64}
BERT = {**SIZES, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
TEXTS: dict[str, Callable[[], Any]] = {
    "distilbert": lambda: DistilBertConfig(**DISTIL),
    "distilbert-one-layer": lambda: DistilBertConfig(**{**DISTIL, "n_layers": 1, "activation": "relu"}),
    "bert": lambda: BertConfig(**BERT, max_position_embeddings=64),
    "roberta": lambda: RobertaConfig(**BERT, max_position_embeddings=66, pad_token_id=1),
    "electra": lambda: ElectraConfig(**BERT, embedding_size=32, max_position_embeddings=64),
}
VIT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64, "patch_size": 8}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16, 32], "depths": [1, 2, 1], "num_labels": 3}
IMAGES: dict[str, Callable[[], Any]] = {
    "vit": lambda: ViTConfig(**VIT, image_size=32, num_labels=3, initializer_range=0.3),
    "resnet": lambda: ResNetConfig(**RESNET, layer_type="basic"),
    "resnet-bottleneck": lambda: ResNetConfig(
        **{**RESNET, "hidden_sizes": [16, 32, 64]}, downsample_in_first_stage=True
    ),
}


def tokenizer(max_length: int = 64) -> PreTrainedTokenizerFast:
    made = Tokenizer(WordPiece({word: n for n, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=max_length, **special)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a checkpoint once: `folder("bert")`."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            path = made[name] = tmp_path_factory.mktemp(name)
            torch.manual_seed(7)
            if name in TEXTS:
                AutoModelForSequenceClassification.from_config(TEXTS[name]()).save_pretrained(path)
                tokenizer().save_pretrained(path)
            else:
                model = AutoModelForImageClassification.from_config(IMAGES[name]())
                randomise_statistics(model)
                model.save_pretrained(path)
                wanted = {
                    "image_processor_type": "ViTImageProcessor",
                    "size": {"height": 32, "width": 32},
                    "image_mean": [0.4, 0.5, 0.6],
                    "image_std": [0.2, 0.3, 0.4],
                }
                (path / "preprocessor_config.json").write_text(json.dumps(wanted))
        return made[name]

    return make


def randomise_statistics(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)


@pytest.fixture(scope="session")
def load(folder: Callable[[str], Path]) -> Callable[[str], Model]:
    def loaded(name: str) -> Model:
        task = "text-classification" if name in TEXTS else "image-classification"
        path = folder(name)
        source = checkpoint.Checkpoint(Entry(name=name, task=task, source=str(path)), path)
        return Model(source, device.choose("cpu"))

    return loaded


@pytest.fixture(scope="session")
def models_file(folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    text, image = str(folder("distilbert")), str(folder("vit"))
    entries = [
        {"name": "moods", "version": "1", "task": "text-classification", "source": text},
        {"name": "moods", "version": "2", "task": "text-classification", "source": text, "default": True},
        {"name": "shapes", "version": "1", "task": "image-classification", "source": image, "default": True},
    ]
    path = tmp_path_factory.mktemp("models") / "models.json"
    path.write_text(json.dumps({"test": entries}))
    return path


class Client:
    """The app in an event loop of its own thread-less runner: `client.post(path, json=…)`."""

    def __init__(self, settings: Settings) -> None:
        self.runner = asyncio.Runner()
        self.app = App(settings)
        self.loaded = startup.load(settings)
        self.runner.run(self.serve())
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://service")

    async def serve(self) -> None:
        self.app.attach(*startup.start(self.app.settings, self.loaded))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.runner.run(self.http.request(method, path, **options))

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", path, **({"json": json} if json is not None else {}), **options)

    def close(self) -> None:
        assert self.app.service is not None
        self.runner.run(self.app.service.batcher.stop())
        self.app.service.close()
        self.runner.run(self.http.aclose())
        self.runner.close()


@pytest.fixture(scope="session")
def start_client() -> Callable[[Settings], Client]:
    return Client


@pytest.fixture(scope="session")
def client(models_file: Path) -> Iterator[Client]:
    client = Client(
        Settings(profile="test", models=models_file, device="cpu", input_bucket="input", work_bucket="work")
    )
    yield client
    client.close()


def free_port() -> int:
    """A port that no other process of the tests is given."""
    return ports.choose({}, ["port"])["port"]


def command(models: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gpu_service",
        "--models",
        str(models),
        "--profile",
        "test",
        "--host",
        "127.0.0.1",
        *more,
    ]


class Server:
    """The service as a process."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def wait_until_ready(self) -> None:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            assert self.process.poll() is None
            try:
                answer = self.http.get("/ready")
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                return
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "unavailable"
            time.sleep(0.05)
        raise AssertionError("not ready in time")

    def wait_until_alive(self) -> None:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            assert self.process.poll() is None
            with suppress(httpx.TransportError):
                assert self.http.get("/health").status_code == 200
                return
            time.sleep(0.01)
        raise AssertionError("not alive in time")

    def active(self) -> int:
        metric = next(
            line for line in self.http.get("/metrics").text.splitlines() if line.startswith("gpu_service_active")
        )
        return int(float(metric.split()[1]))

    def stop(self) -> list[dict]:
        """Waits until the process ends, and returns the lines of its log."""
        out, _ = self.process.communicate(timeout=30)
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(name="free_port", scope="session")
def free_port_() -> Callable[[], int]:
    return free_port


@contextmanager
def starter(models: Path) -> Iterator[Callable[..., Server]]:
    """Starts services, and stops them all at the end."""
    started: list[Server] = []

    def serve(*more: str, **env: str) -> Server:
        port = free_port()
        environ = {**os.environ, **QUIET, "PORT": str(port), **env}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(command(models, *more), cwd=ROOT, env=environ, **pipes)
        started.append(Server(process, port))
        return started[-1]

    yield serve
    for server in started:
        server.http.close()
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()


@pytest.fixture
def serve(models_file: Path) -> Iterator[Callable[..., Server]]:
    with starter(models_file) as serve:
        yield serve


@pytest.fixture(scope="module")
def serve_long(models_file: Path) -> Iterator[Callable[..., Server]]:
    """For all tests of a module."""
    with starter(models_file) as serve:
        yield serve


class Refusing:
    """The store, with requests refused on demand by a 403, which the client does not retry.

    `before` has functions that run once, before a download of an object; `damaged` how often a download is damaged.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.left: dict[str, int] = {}
        self.before: dict[str, Callable[[], object]] = {}
        self.damaged: dict[str, int] = {}
        self.downloads: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path", "").startswith("/download/"):
            send = await self.download(scope["path"], send)
        name = next((name for name in self.left if scope.get("path", "").endswith(name) and self.left[name]), None)
        if name is None:
            await self.app(scope, receive, send)
            return
        self.left[name] -= 1
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def download(self, path: str, send: Any) -> Any:
        self.downloads.append(path)
        if name := next((name for name in self.before if path.endswith(name)), None):
            await asyncio.to_thread(self.before.pop(name))
        name = next((name for name, times in self.damaged.items() if path.endswith(name) and times), None)
        if name is None:
            return send
        self.damaged[name] -= 1

        async def damage(message: Any) -> None:
            body = message.get("body")
            await send({**message, "body": bytes([body[0] ^ 1]) + body[1:]} if body else message)

        return damage


@pytest.fixture(scope="session")
def refusing() -> Iterator[Refusing]:
    emulated = Store()
    yield Refusing(storage_app(emulated))
    emulated.close()


@pytest.fixture
def refuse(refusing: Refusing) -> Iterator[Callable[[str, int], None]]:
    """Sets how many of the next requests for an object are refused: `refuse(name, times)`."""
    yield refusing.left.__setitem__
    refusing.left.clear()


@pytest.fixture
def downloads(refusing: Refusing) -> Iterator[Refusing]:
    """The store whose downloads can be watched, damaged and preceded by a change."""
    refusing.downloads.clear()
    yield refusing
    refusing.before.clear()
    refusing.damaged.clear()


@pytest.fixture(autouse=True)
def cached_models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for models that are downloaded from Cloud Storage."""
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MODELS_CACHE", str(path))
    return path


@pytest.fixture(scope="session")
def store(refusing: Refusing) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(refusing, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def gcs(store: str, monkeypatch: pytest.MonkeyPatch) -> storage.Client:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store)
    made = storage.Client(project="local-project", credentials=AnonymousCredentials())
    for name in ("input", "work", "other"):
        if not made.bucket(name).exists():
            made.create_bucket(name)
    return made
