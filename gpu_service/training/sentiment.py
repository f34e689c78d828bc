"""Trains the sentiment model: `python -m gpu_service.training.sentiment --data PATH` writes models/sentiment."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from gpu_service.training import artefacts, everyday, learning, sst2, teacher, wordpiece

LABELS = ["NEGATIVE", "POSITIVE"]
SEED = 7
VOCABULARY = 8000
LONGEST = 256
BATCH = 128
EPOCHS = 3
EVERYDAY = 8000  # generated sentences among about 59,000 phrases
JOINED = 1500  # texts of several phrases, so that the model sees long inputs too
TRUST = 0.5  # share of the teacher's soft label in the target
DOUBT = 0.03  # least distance of a target from 0 and 1
UNKNOWN_WORDS = 0.25  # share of the words hidden from each example


class Lesson(NamedTuple):
    """Token ids with [CLS] and [SEP], and the target probability of positive."""

    tokens: list[int]
    target: float


def architecture(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=LONGEST,
        n_layers=2,
        n_heads=4,
        dim=128,
        hidden_dim=512,
        dropout=0.3,
        attention_dropout=0.1,
        seq_classif_dropout=0.2,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    return DistilBertForSequenceClassification(config)


def lessons(train: list[sst2.Example], tokenizer: PreTrainedTokenizerFast) -> list[Lesson]:
    """Phrases, with targets between their labels and the teacher's, and generated everyday sentences."""
    labels = np.array([example.label for example in train])
    targets = (1 - TRUST) * labels + TRUST * teacher.soft_labels(train)
    texts = [(example.text, target) for example, target in zip(train, targets, strict=True)]
    texts += everyday.sentences(EVERYDAY, SEED)
    tokens = tokenizer([text for text, _ in texts], truncation=True)["input_ids"]
    return [
        Lesson(row, float(target) * (1 - 2 * DOUBT) + DOUBT) for row, (_, target) in zip(tokens, texts, strict=True)
    ]


def joined(source: list[Lesson], count: int, chance: random.Random) -> list[Lesson]:
    """Longer texts: phrases of one opinion, one after another."""
    texts = []
    for _ in range(count):
        positive = chance.random() < 0.5
        drawn = chance.sample(source, chance.randint(4, 20))
        parts = [part for part in drawn if (part.target > 0.5) == positive] or drawn
        first, last = parts[0].tokens[0], parts[0].tokens[-1]
        words = [word for part in parts for word in part.tokens[1:-1]][: LONGEST - 2]
        texts.append(Lesson([first, *words, last], float(np.mean([part.target for part in parts]))))
    return texts


def batches(source: list[Lesson], chance: random.Random, generator: torch.Generator) -> Iterator[learning.Batch]:
    """Endless epochs of batches of similar length, in random order."""
    long_enough = [lesson for lesson in source if len(lesson.tokens) >= 6]
    while True:
        epoch = source + joined(long_enough, JOINED, chance)
        chance.shuffle(epoch)
        epoch.sort(key=lambda lesson: len(lesson.tokens) // 3)
        groups = [epoch[at : at + BATCH] for at in range(0, len(epoch), BATCH)]
        chance.shuffle(groups)
        for group in groups:
            inputs = padded([lesson.tokens for lesson in group])
            hide = torch.rand(inputs["input_ids"].shape, generator=generator) < UNKNOWN_WORDS
            special = inputs["input_ids"] < len(wordpiece.SPECIAL)
            inputs["input_ids"][hide & ~special] = wordpiece.SPECIAL.index("[UNK]")
            positive = torch.tensor([lesson.target for lesson in group])
            yield learning.Batch(inputs, torch.stack([1 - positive, positive], 1))


def padded(rows: list[list[int]]) -> dict[str, Tensor]:
    """input_ids and attention_mask of rows of token ids; [PAD] is 0."""
    numbers = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, tokens in zip(numbers, rows, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    return {"input_ids": numbers, "attention_mask": (numbers != 0).long()}


def positive_scores(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    rows = tokenizer(texts, truncation=True)["input_ids"]
    with torch.inference_mode():
        answers = [model(**padded(rows[at : at + 256])).logits.softmax(1)[:, 1] for at in range(0, len(rows), 256)]
    return torch.cat(answers)


def calibration_error(scores: Tensor, labels: Tensor, bins: int = 10) -> float:
    """The expected calibration error: confidence against accuracy, over equal bins of confidence."""
    confidence = torch.maximum(scores, 1 - scores)
    right = ((scores > 0.5).long() == labels).float()
    bin_of = ((confidence - 0.5) * 2 * bins).long().clamp(max=bins - 1)
    gaps = [(right - confidence)[bin_of == number].sum().abs() for number in range(bins)]
    return artefacts.rounded(torch.stack(gaps).sum() / len(scores))


def calibrate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[sst2.Example]) -> float:
    """Scales the last layer by the factor that makes the examples most likely, and returns the factor."""
    labels = torch.tensor([float(example.label) for example in examples])
    margins = positive_scores(model, tokenizer, [example.text for example in examples]).logit()
    factors = torch.arange(0.25, 8, 0.01)
    losses = [functional.binary_cross_entropy_with_logits(factor * margins, labels) for factor in factors]
    factor = float(factors[torch.stack(losses).argmin()])
    last = model.get_submodule("classifier")
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.mul_(factor)
    return round(factor, 2)


def measure(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, split: sst2.Split) -> dict[str, object]:
    metrics: dict[str, object] = {"train_phrases": len(split.train)}
    for name, examples in [("sentences", split.held_out_sentences), ("phrases", split.held_out_phrases)]:
        labels = torch.tensor([example.label for example in examples])
        scores = positive_scores(model, tokenizer, [example.text for example in examples])
        metrics[f"held_out_{name}"] = len(examples)
        metrics[f"accuracy_{name}"] = artefacts.rounded(((scores > 0.5).long() == labels).float().mean())
        metrics[f"calibration_error_{name}"] = calibration_error(scores, labels)
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the SST-2 training split: label<TAB>sentence, header")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=artefacts.MODELS / "sentiment", help="folder to write")
    arguments = parser.parse_args()
    generator, chance = learning.make_deterministic(SEED), random.Random(SEED)  # noqa: S311
    began = time.monotonic()
    split = sst2.split(sst2.read(arguments.data))
    generated = [text for text, _ in everyday.sentences(EVERYDAY, SEED)]
    tokenizer = wordpiece.train([example.text for example in split.train] + generated, VOCABULARY, LONGEST)
    source = lessons(split.train, tokenizer)
    steps = arguments.epochs * (-(-(len(source) + JOINED) // BATCH))
    model = learning.fit(architecture(tokenizer), batches(source, chance, generator), steps, rate=1e-3)
    factor = calibrate(model, tokenizer, split.held_out_phrases)
    metrics = {**measure(model, tokenizer, split), "calibration_factor": factor}
    artefacts.save(model, tokenizer, metrics, arguments.out)
    print(f"{metrics} after {time.monotonic() - began:.0f} s, written to {arguments.out}")


if __name__ == "__main__":
    main()
