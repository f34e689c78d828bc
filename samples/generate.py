"""Generates the sample inputs, always with the same bytes: `python samples/generate.py`.

Digits come from scikit-learn's copy of the UCI optical recognition set (CC BY 4.0), enlarged and drawn on
paper; texts and series are invented.
"""

import csv
import gzip
import io
import json
import math
import random
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
ROTATED_BY_CAMERA = 6  # EXIF orientation: upright after a turn by 90 degrees
EXAMPLE = 5  # which of the data set's images of a digit


def main() -> None:
    for name, content in {**texts(), **images(), **series(), **tables(), **manifests(), **bad()}.items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def texts() -> dict[str, bytes]:
    praise = "I love this camera. The pictures are beautiful, and it is a joy to use.\n"
    complaint = "A terrible hotel: dirty rooms, rude staff and an awful breakfast. I regret every minute.\n"
    return {
        "texts/praise.txt": praise.encode(),
        "texts/complaint.txt": complaint.encode(),
        "texts/from-notepad.txt": b"\xef\xbb\xbf"
        + b"What a wonderful film,\r\nmoving and funny from start to finish.\r\n",
        "texts/utf-16.txt": "The café was a delight: charming, warm and with excellent food.\n".encode("utf-16"),
        "texts/latin-1.txt": (
            "The fiancé of the heroine is a bore, the décor is cheap, and the whole cliché fails badly.\n"
        ).encode("latin-1"),
        "texts/review.md": b"# Review\n\nThe plot is dull, the acting is bad, and the ending is a mess.\n",
    }


def images() -> dict[str, bytes]:
    digits = {digit: paper(digit) for digit in range(10)}
    return {
        "images/zero-cmyk.jpg": encode(digits[0].convert("CMYK"), "JPEG", quality=90),
        "images/one-animated.gif": encode(digits[1].convert("P"), "GIF", save_all=True, append_images=[digits[1]]),
        "images/two-rotated-by-camera.jpg": rotated(digits[2]),
        "images/three-transparent.png": encode(transparent(digits[3]), "PNG"),
        "images/four-16-bit.png": encode(sixteen_bit(digits[4]), "PNG"),
        "images/five-palette.png": encode(digits[5].quantize(16), "PNG"),
        "images/six-chalk-on-board.JPG": encode(Image.eval(digits[6], lambda level: 255 - level), "JPEG", quality=85),
        "images/seven-large-scan.tiff": encode(
            digits[7].resize((1600, 1600), Image.Resampling.BICUBIC).point(lambda level: 255 * (level > 140), "1"),
            "TIFF",
            compression="group4",
        ),
        "images/eight.webp": encode(digits[8].convert("RGB"), "WEBP", quality=80),
        "images/nine-photo.jpeg": encode(digits[9].convert("RGB").resize((900, 900)), "JPEG", quality=80),
    }


def paper(digit: int) -> Image.Image:
    """A handwritten digit in dark ink on light paper, 160 by 160, eight-bit grey."""
    data = load_digits()
    pixels = data.images[np.flatnonzero(data.target == digit)[EXAMPLE]]
    ink = Image.fromarray((pixels * 15.9).astype("uint8")).resize((128, 128), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (160, 160), 232)
    sheet.paste(Image.new("L", ink.size, 35), (16, 16), ink)
    return sheet


def rotated(upright: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = ROTATED_BY_CAMERA
    return encode(upright.convert("RGB").rotate(90, expand=True), "JPEG", quality=90, exif=exif)


def transparent(image: Image.Image) -> Image.Image:
    ink = Image.new("RGBA", image.size, (20, 40, 120, 0))
    ink.putalpha(image.point(lambda level: 255 if level < 128 else 0))
    return ink


def sixteen_bit(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image).astype("uint16") * 257)


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def series() -> dict[str, bytes]:
    chance = random.Random(7)
    daily = "".join(f"{day},{value:.0f}\n" for day, value in shop_sales(chance))
    monthly = "".join(f"{day:%d.%m.%Y};{german(value)}\n" for day, value in passengers(chance))
    hourly = "".join(f"{hour:%Y-%m-%d %H:%M}\t{value:.2f}\n" for hour, value in load(chance))
    return {
        "series/daily-sales.csv": ("date,sales\n" + daily).encode(),
        "series/monthly-passengers-german.csv": ("Monat;Fluggäste\n" + monthly).encode("cp1252"),
        "series/hourly-load.tsv": ("time\tload_mw\n" + hourly).encode(),
    }


def shop_sales(chance: random.Random) -> Iterator[tuple[date, float]]:
    for index in range(730):
        day = date(2024, 1, 1) + timedelta(days=index)
        weekend = 1.45 if day.weekday() >= 5 else 1.0
        year = 1 + 0.2 * math.sin(2 * math.pi * index / 365.25)
        yield day, (180 + 0.1 * index) * weekend * year * chance.gauss(1, 0.04)


def passengers(chance: random.Random) -> Iterator[tuple[date, float]]:
    for index in range(72):
        season = 1 + 0.25 * math.sin(2 * math.pi * (index - 3) / 12)
        yield (
            date(2019 + index // 12, index % 12 + 1, 1),
            (1200 + 14 * index) * season * chance.gauss(1, 0.02),
        )


def load(chance: random.Random) -> Iterator[tuple[datetime, float]]:
    for index in range(24 * 42):
        hour = datetime(2025, 3, 3) + timedelta(hours=index)
        day = 1.0 if hour.weekday() < 5 else 0.8
        yield (
            hour,
            52 * day * (1 + 0.3 * math.sin(2 * math.pi * (hour.hour - 8) / 24)) * chance.gauss(1, 0.02),
        )


def german(value: float) -> str:
    """Such as 12.345,6 for 12345.6."""
    return f"{value:,.1f}".translate(str.maketrans(",.", ".,"))


def tables() -> dict[str, bytes]:
    reviews = [
        (1, "A charming, funny and touching story."),
        (2, "Boring, far too long, and badly acted."),
        (3, "An excellent cast, and a brilliant script; I loved it."),
        (4, "The worst film of the year, a complete waste of time."),
    ]
    rows = "".join(f'{number},"{text}"\n' for number, text in reviews)
    return {
        "tables/reviews.csv": ("id,review\n" + rows).encode(),
        "tables/prompts.jsonl": b'{"text": "A delightful surprise."}\n{"text": 7}\n{"text": "Dull and lifeless."}\n',
        "tables/many-reviews.csv.gz": gzip.compress(many_reviews(random.Random(3)).encode(), mtime=0),
    }


def many_reviews(chance: random.Random) -> str:
    """2,000 rows; five of them have no text."""
    parts = ("plot", "cast", "music", "ending", "script", "first half")
    verdicts = ("wonderful", "dull", "moving", "a mess", "brilliant", "badly done", "charming", "far too long")
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["id", "critic", "review"])
    for number in range(2000):
        review = f"The {chance.choice(parts)} is {chance.choice(verdicts)}, the rest {chance.choice(verdicts)}."
        writer.writerow([number, f"critic {chance.randrange(40)}", "" if number % 400 == 399 else review])
    return rows.getvalue()


def manifests() -> dict[str, bytes]:
    inputs = [{"uri": f"gs://local-input/{name}", "id": name.partition("/")[2]} for name in sorted(images())]
    order = {"id": "all-digits", "inputs": inputs, "model": "digits", "output": {"format": "csv"}}
    return {"manifests/digits.json": (json.dumps(order, indent=2) + "\n").encode()}


def bad() -> dict[str, bytes]:
    whole = encode(paper(6).convert("RGB"), "JPEG", quality=90)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(zipfile.ZipInfo("inside.txt"), "hello")
    return {
        "bad/empty.txt": b"",
        "bad/text-named-picture.png": b"This is a text whose name says that it is a picture.\n",
        "bad/cut-off.jpg": whole[: len(whole) // 2],
        "bad/hundred-megapixels.png": encode(Image.new("1", (10_000, 10_000)), "PNG"),
        "bad/archive.zip": archive.getvalue(),
        "bad/noise.bin": random.Random(11).randbytes(2048),
        "bad/day-or-month.csv": (
            "date,sales\n" + "".join(f"01/{month:02}/2024,{100 + month}\n" for month in range(1, 13))
        ).encode(),
        "bad/too-short.csv": b"date,sales\n2024-01-01,5\n2024-01-02,6\n2024-01-03,4\n",
        "bad/same-day-twice.csv": (
            "date,sales\n" + "".join(f"{date(2024, 1, 1) + timedelta(days=i - (i > 20))},{i}\n" for i in range(60))
        ).encode(),
        "bad/no-instances.json": b'{"name": "not something to predict from"}\n',
    }


if __name__ == "__main__":
    main()
