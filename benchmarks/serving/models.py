"""Creates the two classifiers to serve, with random weights and a fixed seed, and their reference predictions.

Nothing is downloaded. A model's folder is what `from_pretrained` reads, and `reference.json` beside it: the texts, each
with the label and score of the plain model, run one text at a time.
"""

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.serving.paths import MODELS
from benchmarks.serving.texts import SEED, texts, vocabulary

SHAPES: dict[str, dict[str, Any]] = {
    "large": {"initializer_range": 0.05},  # DistilBERT-base: 66,955,010 parameters
    "tiny": {"initializer_range": 0.15, "dim": 128, "n_layers": 2, "n_heads": 2, "hidden_dim": 512},
}
LABELS = {0: "NEGATIVE", 1: "POSITIVE"}
PROFILE = {"benchmark": [{"name": "benchmark", "task": "text-classification", "source": "."}]}  # for gpu_service
TOLERANCE = 1e-3  # for a served score and its reference
SPREAD = 2.0  # standard deviation of the difference between the two logits


class Verdict(TypedDict):
    """A prediction for a text; `score` is the label's probability."""

    label: str
    score: float


class Reference(Verdict):
    """A text and the plain model's prediction."""

    text: str


def folder(name: str) -> Path:
    """The folder of the model `large` or `tiny`, which is created if it is missing."""
    path = MODELS / name
    if not (path / "reference.json").exists():
        make(name, path)
    return path


def references(name: str) -> list[Reference]:
    references: list[Reference] = json.loads((folder(name) / "reference.json").read_text())
    return references


def make(name: str, path: Path) -> None:
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    tokenizer = wordpiece()
    torch.manual_seed(SEED)
    model = DistilBertForSequenceClassification(DistilBertConfig(id2label=LABELS, **SHAPES[name])).eval()
    samples = texts()

    def difference(text: str) -> float:
        negative, positive = model(**tokenizer(text, return_tensors="pt")).logits[0].tolist()
        return float(positive - negative)

    with torch.inference_mode():
        centre_head(model, [difference(text) for text in samples[:64]])
        predicted = [reference(text, difference(text)) for text in samples]
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(path)
    model.save_pretrained(path)
    (path / "models.json").write_text(json.dumps(PROFILE))
    (path / "reference.json").write_text(json.dumps(predicted, indent=0))


def wordpiece() -> Any:
    """The tokenizer of every text model."""
    from transformers import DistilBertTokenizerFast

    words = {word: n for n, word in enumerate(vocabulary())}
    return DistilBertTokenizerFast(vocab=words, model_max_length=512)


def centre_head(model: Any, differences: Sequence[float]) -> None:
    """Scales the head so that both labels occur and scores differ between texts, which reveals swapped answers."""
    head = model.classifier
    scale = SPREAD / statistics.stdev(differences)
    head.weight.mul_(scale)
    head.bias.mul_(scale)
    head.bias[1] -= scale * statistics.mean(differences)


def reference(text: str, difference: float) -> Reference:
    return {"text": text, "label": LABELS[int(difference > 0)], "score": 1 / (1 + math.exp(-abs(difference)))}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for name in SHAPES:
        predicted = references(name)
        positive = sum(each["label"] == LABELS[1] for each in predicted)
        print(f"{folder(name)}: {len(predicted)} texts, {positive} of them {LABELS[1]}")


if __name__ == "__main__":
    main()
