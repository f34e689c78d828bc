"""The compared servers: how each is started, in which environment, and what its requests look like."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.install import python
from benchmarks.serving.models import TOLERANCE
from benchmarks.serving.paths import PEERS, ROOT

Answer = tuple[str, float]  # label, its probability
OURS = "gpu_service"
TRIVIAL = "trivial"
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


def single(text: str) -> Any:
    return {"text": text}


def from_single(answer: Any) -> Answer:
    return answer["label"], answer["score"]


@dataclass(frozen=True)
class Wire:
    """One text as a request body, and the answer's body as a label with its score; `tolerance` is for that score."""

    path: str = "/predict"
    body: Callable[[str], Any] = single
    answer: Callable[[Any], Answer] = from_single
    tolerance: float = TOLERANCE

    def encode(self, text: str) -> bytes:
        return json.dumps(self.body(text)).encode()

    def decode(self, body: bytes) -> Answer:
        """Raises ValueError, KeyError, TypeError or IndexError if the body is not an answer."""
        return self.answer(json.loads(body))


@dataclass(frozen=True)
class Peer:
    """`command` is completed with {port}, {model} (a folder) and {threads}; `home` is its environment's folder."""

    name: str
    command: tuple[str, ...]
    home: Path | None = None
    wire: Wire = field(default_factory=Wire)
    env: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def installed(self) -> bool:
        return self.home is None or (self.home / "installed.txt").exists()

    def arguments(self, port: int, model: Path, threads: int) -> list[str]:
        return [part.format(port=port, model=model, threads=threads) for part in self.command]

    def environment(self, port: int, model: Path, threads: int) -> dict[str, str]:
        settings = {"PORT": port, "MODEL": model, "THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONPATH": ROOT}
        quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        own = {name: value.format(port=port, model=model, threads=threads) for name, value in self.env.items()}
        return inherited | quiet | {name: str(value) for name, value in settings.items()} | own


def script(name: str, environment: str, module: str, *arguments: str, note: str = "", **env: str) -> Peer:
    command = (str(python(environment)), "-m", f"benchmarks.serving.servers.{module}", *arguments)
    return Peer(name, command, PEERS / environment, env=env, note=note)


MOSEC = ("--address", "127.0.0.1", "--port", "{port}", "--timeout", "120000", "--log-level", "warning")

BENTOML = Peer(
    "BentoML",
    (
        *(str(PEERS / "bentoml" / "bin" / "bentoml"), "serve", "benchmarks.serving.servers.with_bentoml:Service"),
        *("--working-dir", str(ROOT), "--host", "127.0.0.1", "--port", "{port}"),
    ),
    PEERS / "bentoml",
    Wire(body=lambda text: {"texts": [text]}, answer=lambda answer: from_single(answer[0])),
    {"BENTOML_DO_NOT_TRACK": "True"},
    note="adaptive batching, batches of up to 32",
)


def infinity(name: str, environment: str, engine: str, note: str) -> Peer:
    command = (
        *(str(PEERS / environment / "bin" / "infinity_emb"), "v2", "--model-id", "{model}"),
        *("--served-model-name", "model", "--engine", "torch", "--device", "cpu", "--dtype", "float32"),
        *("--batch-size", "32", engine, "--no-compile", "--host", "127.0.0.1", "--port", "{port}"),
        *("--log-level", "warning"),
    )
    wire = Wire(
        "/classify",
        lambda text: {"model": "model", "input": [text]},
        lambda answer: from_single(max(answer["data"][0], key=lambda each: each["score"])),
    )
    return Peer(name, command, PEERS / environment, wire, {"INFINITY_ANONYMOUS_USAGE_STATS": "0"}, note)


def gpu_service(device: str = "cpu", tolerance: float = TOLERANCE, **env: str) -> Peer:
    command = (
        *(sys.executable, "-m", "gpu_service", "--models", "{model}/models.json", "--profile", "benchmark"),
        *("--device", device, "--host", "127.0.0.1", "--port", "{port}"),
    )
    wire = Wire(
        body=lambda text: {"instances": [{"text": text}]},
        answer=lambda answer: from_single(answer["predictions"][0]),
        tolerance=tolerance,
    )
    return Peer(OURS, command, wire=wire, env=env, note="this repository's service")


ALL = [
    gpu_service(),
    script("Flask, naive", "flask", "with_flask", note="one forward pass per request, threads"),
    script("FastAPI, naive", "fastapi", "with_fastapi", note="one forward pass per request, thread pool"),
    script("LitServe, no wait", "litserve", "with_litserve", BATCH_WAIT_MS="0", note="batches of up to 32"),
    script("LitServe, 10 ms", "litserve", "with_litserve", BATCH_WAIT_MS="10", note="batches of up to 32"),
    BENTOML,
    script("Ray Serve", "ray", "with_ray", BATCH_WAIT_MS="10", RAY_USAGE_STATS_ENABLED="0", note="batches of up to 32"),
    infinity("infinity", "infinity", "--no-bettertransformer", "sorts its queue by length, batches of up to 32"),
    infinity(
        "infinity, BetterTransformer", "infinity_bettertransformer", "--bettertransformer", "the same, without padding"
    ),
    script("mosec, 1 ms", "mosec", "with_mosec", *MOSEC, BATCH_WAIT_MS="1", note="batches of up to 32"),
    script("mosec, 10 ms", "mosec", "with_mosec", *MOSEC, BATCH_WAIT_MS="10", note="batches of up to 32"),
]
# The same servers with the packed forward, which separates the server from the engine; not in the default run.
PACKED = [
    script("LitServe + packed", "litserve", "with_litserve", BATCH_WAIT_MS="0", PACKED="1"),
    script("mosec + packed", "mosec", "with_mosec", *MOSEC, BATCH_WAIT_MS="10", PACKED="1"),
]
GENERATOR = Peer(TRIVIAL, (sys.executable, "-m", "benchmarks.serving.servers.trivial"))


def find(names: str) -> list[Peer]:
    """Peers whose names contain one of the comma-separated words; `all` is the default run, `packed` adds those."""
    words = [word.strip().lower() for word in names.split(",")]
    chosen = [peer for peer in ALL if "all" in words or any(word in peer.name.lower() for word in words)]
    chosen += PACKED if "packed" in words else []
    if not chosen:
        raise SystemExit(f"no server matches {names!r}; choose from {', '.join(peer.name for peer in ALL)}")
    return chosen
