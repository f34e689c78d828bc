"""The model as every peer runs it: a padded batch through transformers (or, to compare servers alone, packed).

A server finds what to do in its environment: `MODEL` (a folder), `PORT`, `THREADS` (torch's), `BATCH_WAIT_MS`, and
`PACKED=1` for the packed forward instead of the padded one.
"""

import os

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.serving.servers.packed import PackedDistilBert

MAX_BATCH = 32
Prediction = dict[str, str | float]  # label, score


class Classifier:
    """Loads the model of `MODEL`; a call classifies a list of texts in one batch."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ["THREADS"]))  # some servers set it to 1 in their workers
        self.tokenizer = AutoTokenizer.from_pretrained(os.environ["MODEL"])
        self.model = AutoModelForSequenceClassification.from_pretrained(os.environ["MODEL"]).eval()
        self.packed = PackedDistilBert(self.model) if os.environ.get("PACKED") else None
        self(["warm up"])

    def __call__(self, texts: list[str]) -> list[Prediction]:
        with torch.inference_mode():
            scores, labels = self.logits(texts).softmax(dim=-1).max(dim=-1)
        names = self.model.config.id2label
        pairs = zip(labels.tolist(), scores.tolist(), strict=True)
        return [{"label": names[label], "score": score} for label, score in pairs]

    def logits(self, texts: list[str]) -> Tensor:
        if self.packed:
            return self.packed(self.tokenizer(texts, truncation=True)["input_ids"])
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        logits: Tensor = self.model(**batch).logits
        return logits


def batch_wait_ms() -> float:
    return float(os.environ["BATCH_WAIT_MS"])


def port() -> int:
    return int(os.environ["PORT"])
