"""Inputs of all kinds, good and bad, each with its expected document.

The folder of an input says what may happen to it:

    lasting/    never overwritten or deleted, so its event may be lost: a sweep finds it
    fleeting/   overwritten, deleted, or both, at any time; its event is lost only after its claim
    collected/  likewise, but collected for micro-batches instead of delivered
    waiting/    likewise, but may wait for others of its kind before it is predicted on
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

RECORDS_PER_SHARD = 7
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
    rows: list[str] = field(default_factory=list)  # the ids in its data file
    may_vanish: bool = False  # so that `input_gone` is as good as the expected document


@dataclass(frozen=True)
class Life:
    """The generations of one object in order, whether it is deleted at the end, and the pauses between."""

    generations: list[Sent]
    is_deleted: bool
    pauses_s: list[float]


def is_lasting(name: str) -> bool:
    return name.startswith("lasting/")


def is_collected(name: str) -> bool:
    return name.startswith("collected/")


def lives(count: int, seed: int) -> Iterator[Life]:
    """Objects with `count` generations together: mostly texts, mixed with every other kind."""
    dice = random.Random(seed)
    makers = (text, image, table, lines, bad, series)
    weights = (25, 6, 3, 3, 5, 1)
    number = 0
    while number < count:
        (make,) = dice.choices(makers, weights)
        (folder,) = dice.choices(("lasting", "fleeting", "collected", "waiting"), (5, 3, 2, 2))
        length = 1
        if folder != "lasting" and make in (text, table, lines):
            length = min(dice.choice((1, 1, 2, 3)), count - number)
        generations = [make(f"{folder}/{number:05}", dice) for _ in range(length)]
        is_deleted = folder != "lasting" and dice.random() < 0.3
        last = None if is_deleted else generations[-1]
        yield Life(
            [replace(sent, may_vanish=sent is not last) for sent in generations],
            is_deleted,
            [dice.uniform(0, 4) for _ in range(length)],
        )
        number += length


def text(name: str, dice: random.Random) -> Sent:
    label = dice.choice(sorted(REVIEWS))
    review = dice.choice(REVIEWS[label])
    return Sent(f"{name}.txt", review.encode(), {"status": "succeeded", "kind": "text", "predictions.0.label": label})


def image(name: str, dice: random.Random) -> Sent:
    path = SAMPLES / "images" / dice.choice(["two-rotated-by-camera.jpg", "six-chalk-on-board.JPG", "eight.webp"])
    return Sent(name + path.suffix, path.read_bytes(), {"status": "succeeded", "kind": "image"})


def table(name: str, dice: random.Random) -> Sent:
    ids = row_ids(dice, 2)
    body = "id,review\n" + "".join(f"{row},{review(dice)}\n" for row in ids)
    return Sent(f"{name}.csv", body.encode(), batch("table", ids), ids)


def lines(name: str, dice: random.Random) -> Sent:
    ids = row_ids(dice, 1)
    body = "".join(f'{{"id": "{row}", "text": "{review(dice)}"}}\n' for row in ids)
    return Sent(f"{name}.jsonl", body.encode(), batch("records", ids), ids)


def row_ids(dice: random.Random, least: int) -> list[str]:
    """Ids that no other input has."""
    unique = f"{dice.getrandbits(32):08x}"
    return [f"{unique}-{row}" for row in range(dice.randint(least, 40))]


def batch(kind: str, ids: list[str]) -> dict[str, Any]:
    shards = ceil(len(ids) / RECORDS_PER_SHARD)
    return {"status": "succeeded", "kind": kind, "data.records": len(ids), "data.shards": shards}


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
