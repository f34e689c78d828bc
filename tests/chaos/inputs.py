"""Inputs of all kinds, good and bad, each with its expected document."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "samples"
REVIEWS = {
    "POSITIVE": ("A wonderful film, warm and funny.", "A joy from start to finish.", "I loved every minute of it."),
    "NEGATIVE": ("Tedious and badly made.", "A dull, boring waste of time.", "Terrible acting and an awful plot."),
}


@dataclass(frozen=True)
class Sent:
    """An object to upload; `expected` holds values of its document, by dotted path."""

    name: str
    content: bytes
    expected: dict[str, Any]


def mixed(count: int, seed: int) -> Iterator[Sent]:
    """Mostly texts, mixed with every other kind."""
    dice = random.Random(seed)
    makers = (text, text, text, text, text, image, table, lines, bad, series)
    weights = (5, 5, 5, 5, 5, 6, 3, 3, 5, 1)
    for number in range(count):
        (make,) = dice.choices(makers, weights)
        yield make(f"{number:05}", dice)


def text(name: str, dice: random.Random) -> Sent:
    label = dice.choice(sorted(REVIEWS))
    review = dice.choice(REVIEWS[label])
    return Sent(f"{name}.txt", review.encode(), {"status": "succeeded", "kind": "text", "predictions.0.label": label})


def image(name: str, dice: random.Random) -> Sent:
    path = SAMPLES / "images" / dice.choice(["two-rotated-by-camera.jpg", "six-chalk-on-board.JPG", "eight.webp"])
    return Sent(name + path.suffix, path.read_bytes(), {"status": "succeeded", "kind": "image"})


def table(name: str, dice: random.Random) -> Sent:
    rows = dice.randint(2, 40)
    body = "id,review\n" + "".join(f"{row},{review(dice)}\n" for row in range(rows))
    return Sent(f"{name}.csv", body.encode(), {"status": "succeeded", "kind": "table", "data.records": rows})


def lines(name: str, dice: random.Random) -> Sent:
    rows = dice.randint(1, 40)
    body = "".join(f'{{"text": "{review(dice)}"}}\n' for _ in range(rows))
    return Sent(f"{name}.jsonl", body.encode(), {"status": "succeeded", "kind": "records", "data.records": rows})


def series(name: str, dice: random.Random) -> Sent:
    content = (SAMPLES / "series" / "monthly-passengers-german.csv").read_bytes()
    return Sent(f"{name}.csv", content, {"status": "succeeded", "kind": "timeseries"})


def bad(name: str, dice: random.Random) -> Sent:
    file, code = dice.choice(
        [
            ("empty.txt", "empty"),
            ("cut-off.jpg", "truncated_image"),
            ("text-named-picture.png", "content_mismatch"),
            ("hundred-megapixels.png", "decompression_bomb"),
            ("no-instances.json", "unknown_kind"),
        ]
    )
    content = (SAMPLES / "bad" / file).read_bytes()
    return Sent(f"{name}-{file}", content, {"status": "rejected", "reason.code": code})


def review(dice: random.Random) -> str:
    return dice.choice([text.replace(",", " and") for texts in REVIEWS.values() for text in texts])
