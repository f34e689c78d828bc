"""What other requests notice while a model loads: latencies before and during loads, and failed requests.

    python -m benchmarks.serving.experiments.loading [--rounds 5] [--models packed,padded,vocabulary] [--save]

A service answers one client after another on a small model, while each of the other models is loaded and unloaded
through the repository protocol. Other processes on the machine only add to latencies, so beside the median the best
round is reported. The first load of a model in a process, which imports its code, has a row of its own.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving import report
from benchmarks.serving.connection import Connection, request_bytes
from benchmarks.serving.models import wordpiece
from emulator import ports
from gpu_service.settings import MODELS_FILE

HOST = "127.0.0.1"
SAMPLE_S = 3.0  # of requests before each load
TEXT = "A warm and funny film that nobody should miss."
HEADER = ["model", "loads", "seconds", "requests", "failed"]
HEADER += [f"{when}: {what} ms" for when in ("during", "before") for what in ("p50", "p99", "longest")]


@dataclass
class Latencies:
    """Milliseconds of answered requests, and the statuses of the others."""

    answered: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.answered)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Round:
    """One load of a model, and the latencies of other requests before and during it."""

    model: str
    seconds: float
    before: Latencies
    during: Latencies


def distilbert(path: Path) -> None:
    """The packed path: 66 million parameters."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    DistilBertForSequenceClassification(DistilBertConfig()).save_pretrained(path)
    wordpiece().save_pretrained(path)


def electra(path: Path) -> None:
    """The padded path, through transformers: ELECTRA of base size."""
    from transformers import ElectraConfig, ElectraForSequenceClassification

    config = ElectraConfig(embedding_size=768, hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    ElectraForSequenceClassification(config).save_pretrained(path)
    wordpiece().save_pretrained(path)


def roberta(path: Path) -> None:
    """A vocabulary of 250,000 words, as in XLM-RoBERTa, on small layers."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    words = [*special, *(f"\N{LOWER ONE EIGHTH BLOCK}word{number}" for number in range(250_000))]
    made = Tokenizer(models.Unigram([(word, -1.0 - number / 1e5) for number, word in enumerate(words)], unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    config = XLMRobertaConfig(
        vocab_size=len(words), hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512
    )
    XLMRobertaForSequenceClassification(config).save_pretrained(path)
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=512, **names).save_pretrained(path)


MODELS: dict[str, Callable[[Path], None]] = {"packed": distilbert, "padded": electra, "vocabulary": roberta}


def write_models(folder: Path, names: list[str]) -> Path:
    starter = {"name": "small", "task": "text-classification", "source": str(MODELS_FILE.parent / "models/sentiment")}
    entries = [starter]
    for name in names:
        MODELS[name](folder / name)
        entries.append({"name": name, "task": "text-classification", "source": name})
    path = folder / "models.json"
    path.write_text(json.dumps({"loading": entries}))
    return path


class Service:
    """The service as a process, with a connection for requests and one for loads."""

    def __init__(self, models: Path) -> None:
        self.port = ports.choose({}, ["port"])["port"]
        command = [sys.executable, "-m", "gpu_service", "--models", str(models), "--host", HOST, "--device", "cpu"]
        environ = {**os.environ, "PORT": str(self.port), "HF_HUB_OFFLINE": "1", "MODEL_MEMORY_BYTES": str(4 << 30)}
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
        self.requests, self.loads = Connection(HOST, self.port), Connection(HOST, self.port)

    async def wait_until_ready(self) -> None:
        while True:
            try:
                if (await self.post("/predict", {"text": TEXT}, self.requests)).status == 200:
                    return
            except OSError:
                assert self.process.poll() is None, "the service has ended"
            await asyncio.sleep(0.1)

    async def post(self, path: str, body: Any, connection: Connection) -> Any:
        return await connection.post(request_bytes(path, json.dumps(body).encode(), f"{HOST}:{self.port}"))

    async def sample(self, until: "asyncio.Future[Any]") -> Latencies:
        latencies = Latencies()
        while not until.done():
            began = time.perf_counter()
            response = await self.post("/predict", {"text": TEXT}, self.requests)
            if response.status == 200:
                latencies.answered.append(1e3 * (time.perf_counter() - began))
            else:
                latencies.failed.append(response.status)
        return latencies

    async def round(self, model: str) -> Round:
        before = await self.sample(asyncio.create_task(asyncio.sleep(SAMPLE_S)))
        began = time.perf_counter()
        load = asyncio.create_task(self.post(f"/v2/repository/models/{model}/load", {}, self.loads))
        during = await self.sample(load)
        assert load.result().status == 200, load.result().body
        seconds = time.perf_counter() - began
        assert (await self.post(f"/v2/repository/models/{model}/unload", {}, self.loads)).status == 200
        return Round(model, seconds, before, during)


async def measure(folder: Path, names: list[str], rounds: int) -> list[Round]:
    service = Service(write_models(folder, names))
    try:
        await service.wait_until_ready()
        return [await service.round(name) for name in names for _ in range(rounds + 1)]
    finally:
        service.process.terminate()
        service.process.wait()


def rows(measured: list[Round]) -> list[list[str]]:
    lines = []
    for name in dict.fromkeys(each.model for each in measured):
        first, *later = [each for each in measured if each.model == name]
        lines.append(row(name, "first", [first], statistics.median))
        if later:
            lines.append(row(name, f"{len(later)} more, median", later, statistics.median))
            lines.append(row(name, f"{len(later)} more, least", later, min))
    return lines


def row(name: str, loads: str, rounds: list[Round], summary: Callable[[list[float]], float]) -> list[str]:
    def cells(of: Callable[[Round], Latencies]) -> list[str]:
        return [f"{summary([of(each).quantile(share) for each in rounds]):.1f}" for share in (0.5, 0.99, 1.0)]

    seconds = f"{summary([each.seconds for each in rounds]):.2f}"
    requests = sum(len(each.during.answered) for each in rounds)
    failed = sum(len(each.before.failed) + len(each.during.failed) for each in rounds)
    latencies = [*cells(lambda each: each.during), *cells(lambda each: each.before)]
    return [name, loads, seconds, str(requests), str(failed), *latencies]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="loads of each model after the first")
    parser.add_argument("--models", default=",".join(MODELS), help="of " + ", ".join(MODELS))
    parser.add_argument("--save", action="store_true", help="write JSON and Markdown to benchmarks/results/")
    options = parser.parse_args()
    facts = report.machine()  # before this benchmark causes load
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(measure(Path(folder), options.models.split(","), options.rounds))
    table = rows(measured)
    text = f"# Other requests while a model loads\n\n{report.facts(facts)}.\n\n{report.table(HEADER, table)}\n"
    print(text)
    if options.save:
        for path in report.write("loading", facts, json.dumps({"machine": facts, "rows": table}, indent=1), text):
            print(f"written: {path}")


if __name__ == "__main__":
    main()
