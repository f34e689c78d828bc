"""The largest accepted images, each decoded and resized in a process of its own whose memory is measured."""

import io
import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gpu_service.inputs.images import decoding
from gpu_service.inputs.images.decoding import MAX_PIXELS, MAX_WEBP_PIXELS
from gpu_service.inputs.images.geometry import Geometry, Normalisation

long = pytest.mark.release
MAX_GROWTH_MIB = 800  # so that MAX_LARGE images at a time fit beside the models
SQUARE, WIDE, TALL = (7_071, 7_071), (55_000, 890), (12, 4_000_000)
TURNED = Image.Exif()
TURNED[0x0112] = 6
GEOMETRIES = {
    "squeezed": Geometry((384, 384), None, None, Image.Resampling.BICUBIC, "RGB", Normalisation((0,) * 3, (1,) * 3)),
    "cropped": Geometry(None, 438, (384, 384), Image.Resampling.BICUBIC, "RGB", Normalisation((0,) * 3, (1,) * 3)),
}


def image(form: str, mode: str, size: tuple[int, int], **options: Any) -> Callable[[], bytes]:
    def encode() -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, size).save(buffer, form, **options)
        return buffer.getvalue()

    return encode


CASES: dict[str, Callable[[], bytes]] = {
    "a PNG with transparency": image("PNG", "RGBA", WIDE),
    "a large WebP": image("WEBP", "L", (4900, 5000), method=0),
    "tall": image("PNG", "RGBA", TALL),
    "palette": image("PNG", "P", SQUARE, transparency=0),
    "turned": image("PNG", "RGBA", SQUARE, exif=TURNED.tobytes()),
    "16 bits": image("PNG", "I;16", SQUARE),
    "1 bit": image("PNG", "1", SQUARE),
    "GIF": image("GIF", "P", SQUARE, transparency=0),
    "WebP with transparency": image("WEBP", "RGBA", (5000, 5000), lossless=True, method=0),
    "progressive JPEG": image("JPEG", "RGB", WIDE, progressive=True, subsampling=0),
    "AVIF": image("AVIF", "RGBA", SQUARE, speed=10),
    "the largest photo": image("JPEG", "RGB", (16_000, 12_500), subsampling=0, exif=TURNED),
    "the largest progressive photo": image("JPEG", "CMYK", (10_000, 8_000), progressive=True, subsampling=0),
    "progressive CMYK": image("JPEG", "CMYK", WIDE, progressive=True, subsampling=0, exif=TURNED.tobytes()),
    **{
        f"TIFF {mode}": image("TIFF", mode, SQUARE, compression="tiff_deflate", tiffinfo={278: SQUARE[1], 274: 6})
        for mode in ("RGBA", "CMYK", "I;16", "F", "I", "LAB", "P")
    },
}


def _peak() -> int:
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kib) // 1024


def growth(data: bytes, geometry: Geometry) -> int:
    """MiB that the process's peak grows by."""
    before = _peak()
    with decoding.decoded(data, "RGB", geometry.least) as opened:
        assert geometry.pixels(opened).size == geometry.fixed
    return _peak() - before


@pytest.mark.release
@pytest.mark.timeout(300)
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(
    "name", [name if index < 2 else pytest.param(name, marks=long) for index, name in enumerate(CASES)]
)
def test_the_largest_images_take_little_memory(name: str, geometry: str) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(growth, (CASES[name](), GEOMETRIES[geometry])) < MAX_GROWTH_MIB


def test_the_cases_are_at_the_limits() -> None:
    for width, height in (SQUARE, WIDE, TALL):
        assert 0.95 * MAX_PIXELS < width * height <= MAX_PIXELS
    assert MAX_WEBP_PIXELS == 5000 * 5000
