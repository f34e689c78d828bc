"""Decodes images within limits and resizes them for a model."""

import io
import math
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SIGNATURE = re.compile(rb"\xff\xd8\xff|\x89PNG|RIFF.{4}WEBP|GIF|BM|II\*\0|MM\0\*", re.DOTALL)
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
PREAMBLE_BYTES = 64
MAX_PIXELS = 50_000_000
MAX_WEBP_PIXELS = 25_000_000  # its decoder takes four times the memory of the image
MAX_SIDE = 4_000_000  # pixels; each row takes memory of its own
MAX_TILE_PIXELS = 16_000_000  # of a TIFF, whose tiles may be larger than the image and are decoded whole
BOX_PIXELS = 1_000_000  # converted together, since a conversion takes several times the memory of its pixels
LARGE_PIXELS = 8_000_000
MAX_LARGE = 6  # large images at a time; one takes up to 0.8 GB
MAX_ASPECT = 16  # beyond which an image is cropped, or shrunk along its longer side, before it is resized
SQUEEZED_SIDE = 1 << 15
REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
HALF = (0.5, 0.5, 0.5)

_large = threading.Semaphore(MAX_LARGE)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The size and normalisation that preprocessor_config.json asks for.

    Unless `shorter` is None, the shorter side is resized to it and the centre is cropped.
    """

    width: int
    height: int
    shorter: int | None
    resample: Image.Resampling
    mean: Sequence[float]
    std: Sequence[float]

    @staticmethod
    def read(checkpoint: Checkpoint) -> "Geometry":
        config = checkpoint.read("preprocessor_config.json")
        side = checkpoint.config.get("image_size", 224)
        height, width = (side, side) if isinstance(side, int) else side
        size = config.get("size") or {}
        size = {"height": size, "width": size} if isinstance(size, int) else size
        shorter = size.get("shortest_edge")
        crop = (config.get("crop_size") or {}) if config.get("do_center_crop") else {}
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        target = crop or size
        is_normalised = config.get("do_normalize", True)
        return Geometry(
            width=int(target.get("width", shorter or width)),
            height=int(target.get("height", shorter or height)),
            shorter=None if shorter is None else int(shorter),
            resample=Image.Resampling(config.get("resample", Image.Resampling.BILINEAR)),
            mean=config.get("image_mean", HALF) if is_normalised else (0.0, 0.0, 0.0),
            std=config.get("image_std", HALF) if is_normalised else (1.0, 1.0, 1.0),
        )


class ImageInputs:
    """Reads encoded images; every image costs the same."""

    kind: Kind = "image"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.geometry = Geometry.read(checkpoint)

    def payload(self, data: bytes) -> Payload:
        """Raises InstanceError: `empty`, `decompression_bomb`, `truncated_image` or `corrupt_image`."""
        if not data:
            raise InstanceError("The image is empty.", "empty")
        with _errors_translated(data):
            pixels = self._pixels(data)
        return Payload(np.asarray(pixels), 1)

    def payloads(self, images: Sequence[bytes]) -> list[Payload | InstanceError]:
        """Each image's payload or error."""
        return [self._payload(data) for data in images]

    def _payload(self, data: bytes) -> Payload | InstanceError:
        try:
            return self.payload(data)
        except InstanceError as error:
            return error

    @property
    def _least(self) -> int:
        """The shorter side, in pixels, below which an image loses detail before it is resized."""
        return 2 * max(self.geometry.width, self.geometry.height, self.geometry.shorter or 0)

    def _pixels(self, data: bytes) -> Image.Image:
        image = _opened(data)
        with _large if image.width * image.height > LARGE_PIXELS else nullcontext():
            upright = _upright(image, self._least)
            return self._resized(_reduced_rgb(self._centre(upright), self._least))

    def _centre(self, image: Image.Image) -> Image.Image:
        """What is left of an image of extreme aspect ratio when resizing it would make far more than is kept."""
        target = self.geometry
        if target.shorter is None:
            return image
        aspect = max(MAX_ASPECT, -(-max(target.width, target.height) // target.shorter))
        longest = aspect * min(image.size)
        if max(image.size) <= longest:
            return image
        left, top = (max(0, side - longest) // 2 for side in image.size)
        return image.crop((left, top, min(left + longest, image.width), min(top + longest, image.height)))

    def _resized(self, image: Image.Image) -> Image.Image:
        target = self.geometry
        if target.shorter is None:
            across, down = (max(1, side // SQUEEZED_SIDE) for side in image.size)
            reduced = image.reduce((across, down)) if across * down > 1 else image
            return reduced.resize((target.width, target.height), target.resample)
        scale = target.shorter / min(image.size)
        width, height = (max(target.shorter, round(side * scale)) for side in image.size)
        left, top = (width - target.width) // 2, (height - target.height) // 2
        box = (left, top, left + target.width, top + target.height)
        return image.resize((width, height), target.resample).crop(box)


def has_signature(data: bytes) -> bool:
    """Whether it begins as an image of an accepted format, by the same rule as uploads: signature and binary content.

    Short signatures are letters that texts begin with too.
    """
    return SIGNATURE.match(data) is not None and CONTROLS.search(data[:PREAMBLE_BYTES]) is not None


@contextmanager
def decoded(data: bytes) -> Iterator[Image.Image]:
    """The first frame in full size, upright, in RGB; large images wait for each other as long as the context is open.

    Raises:
        InstanceError: as ImageInputs.payload does.
    """
    if not data:
        raise InstanceError("The image is empty.", "empty")
    with _errors_translated(data):
        image = _opened(data)
    with _large if image.width * image.height > LARGE_PIXELS else nullcontext():
        with _errors_translated(data):
            rgb = _reduced_rgb(_upright(image, MAX_SIDE), MAX_SIDE)
        yield rgb


@contextmanager
def _errors_translated(data: bytes) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damage that it tolerates
            yield
    except (InstanceError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _decompression_bomb() from error
    except Exception as error:
        raise _undecodable(data, str(error)) from error


def _opened(data: bytes) -> Image.Image:
    """The image, not decoded yet, once its size is known to be acceptable."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    limit = MAX_WEBP_PIXELS if image.format == "WEBP" else MAX_PIXELS
    if image.width * image.height > limit or max(image.size) > MAX_SIDE:
        raise _decompression_bomb()
    if isinstance(image, TiffImageFile) and _tile_pixels(image) > MAX_TILE_PIXELS:
        raise _decompression_bomb()
    return image


def _tile_pixels(image: TiffImageFile) -> int:
    sides = (image.tag_v2.get(tag, 0) for tag in (TILEWIDTH, TILELENGTH))
    return math.prod(side for side in sides if isinstance(side, int))


def _upright(image: Image.Image, least: int) -> Image.Image:
    """The first frame upright."""
    image.draft("RGB", (least, least))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _reduced_rgb(image: Image.Image, least: int) -> Image.Image:
    """The image as RGB, cheaply reduced to about twice the final size where its mode permits, box by box."""
    factor = max(1, min(image.size) // least) if image.mode in REDUCIBLE else 1
    scale = 1.0
    if image.mode == "F":
        extremes: Any = image.getextrema()
        scale = 255.0 if extremes[1] <= 1 else 1.0
    result = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for left, top, right, bottom in _boxes(image.size, factor):
        box = image.crop((left, top, right, bottom))
        result.paste(_rgb(box.reduce(factor) if factor > 1 else box, scale), (left // factor, top // factor))
    return result


def _boxes(size: tuple[int, int], factor: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes that cover an image of the size, of about BOX_PIXELS each; they begin at multiples of `factor`."""
    width, height = size
    if width >= height:
        step = max(1, BOX_PIXELS // height // factor) * factor
        for left in range(0, width, step):
            yield left, 0, min(left + step, width), height
    else:
        step = max(1, BOX_PIXELS // width // factor) * factor
        for top in range(0, height, step):
            yield 0, top, width, min(top + step, height)


def _rgb(image: Image.Image, scale: float) -> Image.Image:
    """Any mode as RGB; transparent pixels become white, and `scale` makes a float image's values 0 to 255."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode == "F":
        return image.point(lambda value: value * scale).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _decompression_bomb() -> InstanceError:
    limits = f"{MAX_PIXELS:,} pixels in all ({MAX_WEBP_PIXELS:,} as WebP), {MAX_SIDE:,} on a side"
    message = f"An image may have {limits}, and {MAX_TILE_PIXELS:,} in a TIFF's tile."
    return InstanceError(message, "decompression_bomb")


def _undecodable(data: bytes, reason: str) -> InstanceError:
    webp_ends_early = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in reason.lower() or webp_ends_early:
        return InstanceError("The image ends before it is complete.", "truncated_image")
    return InstanceError("The image cannot be decoded: it is damaged, or its format is not accepted.", "corrupt_image")
