"""Resizes and crops an image to transformers' pixels, without transformers, and describes their normalisation."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

Size = tuple[int, int]  # width, height

REDUCED_PER_PIXEL = 6  # pixels of a reduced image for each that it is resized to: then no pixel differs by two levels
MAX_RESIZED_PIXELS = 16_000_000  # beyond which only the part of an image that is kept is resized
MAX_REDUCED_SIDE = 1 << 15  # of an image to resize to a fixed size; a box filter reduces longer sides first


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What the network reads of a pixel from 0 to 255: `(pixel - shift) / scale`, for each channel."""

    shift: Sequence[float]
    scale: Sequence[float]

    @property
    def values(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.shift, self.scale


@dataclass(frozen=True, slots=True)
class Geometry:
    """How an image becomes a model's pixels: resized, then cropped at its centre.

    Args:
        size: to which the image is resized, whatever its aspect ratio.
        shorter: to which its shorter side is resized, unless `size` is given; with neither, it isn't resized.
        crop: the part of the centre that is kept; what lies outside the image is black.
        mode: `RGB`, or `L` for models with one channel.
    """

    size: Size | None
    shorter: int | None
    crop: Size | None
    resample: Image.Resampling
    mode: str
    normalisation: Normalisation

    @property
    def fixed(self) -> Size | None:
        """The size that every image comes out in; None if it depends on the image."""
        return self.crop or self.size

    @property
    def least(self) -> int | None:
        """The shorter side, in pixels, to which an image may be reduced before; None if it is not resized."""
        sides = [*(self.size or ()), self.shorter or 0]
        return REDUCED_PER_PIXEL * max(sides) if any(sides) else None

    def resized(self, size: Size) -> Size:
        """The size of an image after it was resized, and before it is cropped."""
        if self.size is not None or self.shorter is None:
            return self.size or size
        long = int(self.shorter * max(size) / min(size))
        return (self.shorter, long) if size[0] <= size[1] else (long, self.shorter)

    def of(self, size: Size) -> Size:
        """The size in which an image comes out."""
        return self.crop or self.resized(size)

    def pixels(self, image: Image.Image) -> Image.Image:
        resized = self.resized(image.size)
        if self.crop is None:
            return _shrunk(image).resize(resized, self.resample)
        left, top = ((side - kept) // 2 for side, kept in zip(resized, self.crop, strict=True))
        crop = (left, top, left + self.crop[0], top + self.crop[1])
        if resized[0] * resized[1] > MAX_RESIZED_PIXELS:
            return self._cropped_first(image, resized, crop)
        return _shrunk(image).resize(resized, self.resample).crop(crop)

    def _cropped_first(self, image: Image.Image, resized: Size, crop: tuple[int, int, int, int]) -> Image.Image:
        """The same, but without the pixels outside the crop, which a slim image has millions of."""
        left, top, right, bottom = (
            max(0, crop[0]), max(0, crop[1]), min(resized[0], crop[2]), min(resized[1], crop[3])
        )  # fmt: skip
        across, down = image.width / resized[0], image.height / resized[1]
        part = image.resize(
            (right - left, bottom - top), self.resample, (left * across, top * down, right * across, bottom * down)
        )
        return part.crop((crop[0] - left, crop[1] - top, crop[2] - left, crop[3] - top))


def _shrunk(image: Image.Image) -> Image.Image:
    across, down = (max(1, side // MAX_REDUCED_SIDE) for side in image.size)
    return image.reduce((across, down)) if across * down > 1 else image
