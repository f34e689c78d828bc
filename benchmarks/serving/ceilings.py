"""The throughput of the model alone on the same tokenised texts: padded and packed, in arrival order and sorted.

    python -m benchmarks.serving.ceilings large|tiny

Prints one JSON object: texts per second and padded / real tokens of each way to run them. Every way is first checked
against the reference predictions. The ways take turns within a round, so that a busy moment does not fall on one alone.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from benchmarks.serving import models
from benchmarks.serving.models import TOLERANCE, Reference
from benchmarks.serving.paths import ROOT
from benchmarks.serving.process import default_threads

Ids = list[int]  # one text's tokens
PACKED = "packed"  # prefix of the ways that make up the ceiling
TEXTS = 96  # per round


class Ceiling(TypedDict):
    per_second: float
    tokens_ratio: float  # tokens computed, padding included, to real ones
    largest_difference: float  # between a score and its reference


def measure(model: str, threads: int, seconds: float) -> dict[str, Ceiling]:
    """Measures all ways in a new process, as a server has; they take about `seconds` in total."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.serving.ceilings",
        model,
        f"--threads={threads}",
        f"--seconds={seconds}",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE).stdout
    ceilings: dict[str, Ceiling] = json.loads(output)
    return ceilings


def packed_ceiling(ceilings: dict[str, Ceiling]) -> float:
    return max(each["per_second"] for name, each in ceilings.items() if name.startswith(PACKED))


@dataclass
class Way:
    """A way to run texts: in batches of `rows`, sorted by length or not, with `forward` returning a batch's logits."""

    name: str
    rows: int
    forward: Callable[[list[Ids]], Any]
    by_length: bool = False
    padded: bool = True
    texts: int = 0
    seconds: float = 0.0
    real_tokens: int = 0
    tokens: int = 0
    differences: list[float] = field(default_factory=list)

    def run(self, ids: Sequence[Ids], references: Sequence[Reference]) -> None:
        order = sorted(range(len(ids)), key=lambda n: len(ids[n])) if self.by_length else list(range(len(ids)))
        batches = [order[start : start + self.rows] for start in range(0, len(order), self.rows)]
        began = time.perf_counter()
        logits = [self.forward([ids[n] for n in batch]) for batch in batches]
        self.seconds += time.perf_counter() - began
        self.texts += len(ids)
        for batch, batch_logits in zip(batches, logits, strict=True):
            self.count([len(ids[n]) for n in batch])
            self.differences += [
                difference(row, references[n]) for n, row in zip(batch, batch_logits.tolist(), strict=True)
            ]

    def count(self, lengths: list[int]) -> None:
        self.real_tokens += sum(lengths)
        self.tokens += len(lengths) * max(lengths) if self.padded else sum(lengths)

    def result(self) -> Ceiling:
        return {
            "per_second": round(self.texts / self.seconds, 2),
            "tokens_ratio": round(self.tokens / self.real_tokens, 3),
            "largest_difference": max(self.differences),
        }


def difference(logits: list[float], reference: Reference) -> float:
    """The difference between the reference's score and the score that two logits give its label."""
    negative, positive = logits
    margin = positive - negative if reference["label"] == models.LABELS[1] else negative - positive
    return abs(1 / (1 + math.exp(-margin)) - reference["score"])


def ways(model: Any) -> list[Way]:
    import torch

    from benchmarks.serving.servers.packed import PackedDistilBert

    pad = model.config.pad_token_id

    def padded(ids: list[Ids]) -> Any:
        width = max(len(each) for each in ids)
        tokens = torch.tensor([each + [pad] * (width - len(each)) for each in ids])
        mask = torch.tensor([[1] * len(each) + [0] * (width - len(each)) for each in ids])
        return model(input_ids=tokens, attention_mask=mask).logits

    def alone(ids: list[Ids]) -> Any:
        return model(input_ids=torch.tensor(ids)).logits

    packed = PackedDistilBert(model)
    return [
        Way("one by one", 1, alone),
        Way("padded, 8 in arrival order", 8, padded),
        Way("padded, 32 in arrival order", 32, padded),
        Way("padded, 8 sorted by length", 8, padded, by_length=True),
        Way("padded, 32 sorted by length", 32, padded, by_length=True),
        Way("packed, 1", 1, packed, padded=False),
        Way("packed, 8 in arrival order", 8, packed, padded=False),
        Way("packed, 32 in arrival order", 32, packed, padded=False),
    ]


def run(name: str, threads: int, seconds: float) -> dict[str, Ceiling]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(threads)
    path, references = models.folder(name), models.references(name)
    ids: list[Ids] = AutoTokenizer.from_pretrained(path)([each["text"] for each in references])["input_ids"]
    chosen = ways(AutoModelForSequenceClassification.from_pretrained(path).eval())
    with torch.inference_mode():
        for way in chosen:
            way.forward(ids[:1] * way.rows)
        began = time.perf_counter()
        rounds = 0
        while rounds == 0 or time.perf_counter() - began < seconds:
            take = slice(start := rounds * TEXTS % len(ids), start + TEXTS)
            for way in chosen:
                way.run(ids[take], references[take])
            rounds += 1
    for way in chosen:
        assert max(way.differences) < TOLERANCE, f"{way.name}: scores differ by {max(way.differences)}"
    return {way.name: way.result() for way in chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=models.SHAPES)
    parser.add_argument("--threads", type=int, default=default_threads(), help="torch threads; all cores by default")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(json.dumps(run(options.model, options.threads, options.seconds), indent=1))


if __name__ == "__main__":
    main()
