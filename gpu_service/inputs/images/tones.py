"""Brings the tones of images with more than 8 bits per sample into the range from 0 to 255.

Cameras, microscopes and scanners with 10, 12 or 14 bits write their values into 16 as they are. Read as 16 bits, such
an image would be black.
"""

from collections.abc import Callable
from typing import Any

from PIL import Image, ImageFile

Tones = Callable[[Image.Image], Image.Image]
"""Makes 8 bits per sample of a part of an image."""

DEPTHS = (8, 10, 12, 14, 16)
BANDS = {"RGB": 3, "RGBA": 3, "LA": 1}  # without the one of transparency
DARKEST = 15  # the brightest value of 12 bits, of whose 16 Pillow keeps the upper 8


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file of an image that is not loaded yet has 16 bits per sample."""
    return any(";16" in str(tile.args) for tile in image.tile)


def of(image: Image.Image, *, deep: bool) -> Tones | None:
    """How the tones of a loaded image are brought into range; None if they are."""
    if image.mode.startswith("I") or image.mode == "F":
        ((low, high),) = _extremes(image)
        black = min(low, 0)
        factor = 255 / _white(high - black, is_fraction=image.mode == "F" and high <= 1)
        return lambda part: _integers(part).point(lambda value: value * factor - black * factor).convert("L")
    if deep and image.mode in BANDS:
        bands = BANDS[image.mode]
        brightest = max(high for _, high in _extremes(image)[:bands])
        if 0 < brightest <= DARKEST:
            brighter = [min(255, value * 255 // DARKEST) for value in range(256)]
            table = brighter * bands + list(range(256)) * (len(image.getbands()) - bands)
            return lambda part: part.point(table)
    return None


def _integers(image: Image.Image) -> Image.Image:
    return image if image.mode == "F" else image.convert("I")


def _white(brightest: float, *, is_fraction: bool) -> float:
    """The brightest value that the samples may have, by the brightest that they have."""
    if is_fraction:
        return 1
    return next((2**bits - 1 for bits in DEPTHS if brightest < 2**bits), brightest)


def _extremes(image: Image.Image) -> tuple[tuple[float, float], ...]:
    extremes: Any = (image.convert("I") if image.mode == "I;16B" else image).getextrema()
    return extremes if isinstance(extremes[0], tuple) else (extremes,)
