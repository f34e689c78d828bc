"""Photos of several sizes for detectors."""

import io

import numpy as np
from PIL import Image

SIZES = [(300, 200), (60, 200), (96, 64), (300, 200), (31, 17)]


def images() -> list[Image.Image]:
    rng = np.random.default_rng(3)
    return [
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in SIZES
    ]


def encoded(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()
