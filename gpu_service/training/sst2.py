"""Reads the SST-2 training split, and holds out full sentences with all their phrases."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """One labelled phrase; label 1 is positive."""

    text: str
    label: int


@dataclass(frozen=True)
class Split:
    """Examples to train on, and held-out examples."""

    train: list[Example]
    held_out_sentences: list[Example]
    held_out_phrases: list[Example]


def read(path: Path) -> list[Example]:
    """The rows of `label<TAB>sentence` below a header; the first label of a repeated phrase counts."""
    labels: dict[str, int] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            labels.setdefault(" ".join(row["sentence"].split()), int(row["label"]))
    return [Example(text, label) for text, label in labels.items() if text]


class Phrasebook:
    """Finds which phrases contain which others, as whole words."""

    def __init__(self, texts: list[str]) -> None:
        self._padded = [f" {text} " for text in texts]
        self._with_word: dict[str, list[int]] = defaultdict(list)
        for position, text in enumerate(texts):
            for word in set(text.split()):
                self._with_word[word].append(position)

    def containing(self, text: str) -> list[int]:
        """Positions of the texts that contain this one, including itself."""
        rarest = min(text.split(), key=lambda word: len(self._with_word.get(word, ())))
        needle = f" {text} "
        return [at for at in self._with_word.get(rarest, ()) if needle in self._padded[at]]


def full_sentences(examples: list[Example]) -> list[Example]:
    """The phrases that are not part of a longer one."""
    book = Phrasebook([example.text for example in examples])
    return [example for example in examples if len(book.containing(example.text)) == 1]


def sentence_of(examples: list[Example]) -> list[int]:
    """For each phrase, the position of the longest one that contains it."""
    texts = [example.text for example in examples]
    book = Phrasebook(texts)
    return [max(book.containing(text), key=lambda at: (len(texts[at]), at)) for text in texts]


def split(examples: list[Example], share: float = 0.1, seed: int = 7, least_words: int = 5) -> Split:
    """Holds out a share of the full sentences and all their phrases, even those that other sentences share."""
    sentences = [s for s in full_sentences(examples) if len(s.text.split()) >= least_words]
    random.Random(seed).shuffle(sentences)  # noqa: S311  a split, not a secret
    held_out = sentences[: round(len(sentences) * share)]
    book = Phrasebook([sentence.text for sentence in held_out])
    chosen = {sentence.text for sentence in held_out}
    train: list[Example] = []
    phrases: list[Example] = []
    for example in examples:
        if example.text in chosen:
            continue
        (phrases if book.containing(example.text) else train).append(example)
    return Split(train, held_out, phrases)
