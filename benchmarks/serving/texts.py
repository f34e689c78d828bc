"""Invented words, their WordPiece vocabulary, and texts of 5 to 120 words; the same on every machine."""

import random
from collections.abc import Iterator

VOCABULARY_SIZE = 30_522  # DistilBERT's, so that the parameters match too
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SUFFIXES = 2_000
SHORTEST, LONGEST = 5, 120  # words
SPLIT_SHARE = 0.2  # of the words are two tokens: a stem and a suffix

TEXTS = 512
SEED = 20_261_121


def vocabulary() -> list[str]:
    """Special tokens, letters (so that nothing is unknown), suffixes, whole words: 30,522 in all, without repeats."""
    rng = random.Random(SEED)
    letters = [*LETTERS, *(f"##{letter}" for letter in LETTERS)]
    suffixes = distinct(syllables(rng, 1, 2), SUFFIXES)
    words = distinct(syllables(rng, 2, 4), VOCABULARY_SIZE - len(SPECIAL) - len(letters) - SUFFIXES)
    return [*SPECIAL, *letters, *(f"##{suffix}" for suffix in suffixes), *words]


def texts(count: int = TEXTS) -> list[str]:
    rng = random.Random(SEED + 1)
    entries = vocabulary()[len(SPECIAL) + 2 * len(LETTERS) :]
    suffixes, words = [entry[2:] for entry in entries[:SUFFIXES]], entries[SUFFIXES:]

    def word() -> str:
        return rng.choice(words) + (rng.choice(suffixes) if rng.random() < SPLIT_SHARE else "")

    return [" ".join(word() for _ in range(rng.randint(SHORTEST, LONGEST))) for _ in range(count)]


def syllables(rng: random.Random, fewest: int, most: int) -> Iterator[str]:
    while True:
        parts = (rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(fewest, most)))
        yield "".join(parts) + rng.choice(["", "n", "r", "s", "t"])


def distinct(source: Iterator[str], count: int) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < count:
        words[next(source)] = None
    return list(words)
