"""Decodes images of any accepted format and mode within limits, as RGB or grey."""

import io
import math
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from pi_heif.as_plugin import register_heif_opener
from PIL import ExifTags, Image, ImageFile, ImageOps
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from gpu_service.errors import InstanceError
from gpu_service.inputs.images import tones
from gpu_service.inputs.images.tones import Tones

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|RIFF.{4}WEBP|GIF|BM|II[*+]\0|MM\0[*+]|.{4}ftyp(?:avi[fs]|he[iv][cxms]|mif1|msf1)", re.DOTALL
)
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
PREAMBLE_BYTES = 64
MAX_PIXELS = 50_000_000
MAX_WEBP_PIXELS = 25_000_000  # its decoder takes four times the memory of the image
MAX_JPEG_PIXELS = 200_000_000  # of a photo, which is reduced while it is decoded
MAX_PROGRESSIVE_PIXELS = 80_000_000  # whose decoder keeps all of the image before it reduces it
MAX_SIDE = 4_000_000  # pixels; each row takes memory of its own
MAX_TILE_PIXELS = 16_000_000  # of a TIFF, whose tiles may be larger than the image and are decoded whole
BOX_PIXELS = 1_000_000  # converted together, since a conversion takes several times the memory of its pixels
LARGE_PIXELS = 8_000_000
REDUCTIONS = (8, 4, 2)  # in which JPEG's decoder can reduce
MAX_LARGE = 6  # large images at a time; one takes up to 0.8 GB

QUARTER_TURNS = (5, 6, 7, 8)  # among EXIF's orientations

_large = threading.Semaphore(MAX_LARGE)

register_heif_opener(thumbnails=False)
Image.MAX_IMAGE_PIXELS = MAX_JPEG_PIXELS // 2  # Pillow refuses twice as many; the limits here are stricter


def has_signature(data: bytes) -> bool:
    """Whether it begins as an image of an accepted format, by the same rule as uploads: signature and binary content.

    Short signatures are letters that texts begin with too.
    """
    return SIGNATURE.match(data) is not None and CONTROLS.search(data[:PREAMBLE_BYTES]) is not None


@contextmanager
def decoded(data: bytes, mode: str, least: int | None) -> Iterator[Image.Image]:
    """The first frame, upright, in the mode `RGB` or `L`; transparent pixels become white.

    `least` is a length of the shorter side, in pixels, to which a large JPEG may be reduced while it is decoded. One of
    more than MAX_PIXELS is reduced in any case. Large images wait for each other as long as the context is open.

    Raises:
        InstanceError: `empty`, `decompression_bomb`, `truncated_image` or `corrupt_image`.
    """
    if not data:
        raise InstanceError("The image is empty.", "empty")
    with _errors_translated(data):
        image = _opened(data)
    with _large if image.width * image.height > LARGE_PIXELS else nullcontext():
        with _errors_translated(data):
            deep = tones.is_deep(image)
            upright = _upright(image, least)
            rgb = _rgb(upright, tones.of(upright, deep=deep))
            converted = rgb if mode == "RGB" else rgb.convert(mode)
        yield converted


def size(data: bytes) -> tuple[int, int]:
    """The width and height of the upright image, before any reduction. Raises InstanceError, as `decoded` does."""
    with _errors_translated(data):
        image = _opened(data)
        turned = image.getexif().get(ExifTags.Base.Orientation) in QUARTER_TURNS
        return (image.height, image.width) if turned else (image.width, image.height)


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
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and others on damaged data
        raise _undecodable(data, str(error)) from error


def _opened(data: bytes) -> ImageFile.ImageFile:
    """The image, not decoded yet, once its size is known to be acceptable."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    limit = MAX_WEBP_PIXELS if image.format == "WEBP" else MAX_PIXELS
    if image.format in ("JPEG", "MPO"):
        limit = MAX_PROGRESSIVE_PIXELS if image.info.get("progressive") else MAX_JPEG_PIXELS
    if image.width * image.height > limit or max(image.size) > MAX_SIDE:
        raise _decompression_bomb()
    if isinstance(image, TiffImageFile) and _tile_pixels(image) > MAX_TILE_PIXELS:
        raise _decompression_bomb()
    return image


def _tile_pixels(image: TiffImageFile) -> int:
    sides = (image.tag_v2.get(tag, 0) for tag in (TILEWIDTH, TILELENGTH))
    return math.prod(side for side in sides if isinstance(side, int))


def _upright(image: Image.Image, least: int | None) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        _halve(image, least)
    elif least is not None and image.width * image.height > LARGE_PIXELS:
        _reduce(image, least)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _reduce(image: Image.Image, least: int) -> None:
    """Has a JPEG decoded to a fraction of its size, if that is a whole number of pixels."""
    for factor in REDUCTIONS:
        width, height = image.width // factor, image.height // factor
        if (width * factor, height * factor) == image.size and min(width, height) >= least:
            image.draft(None, (width, height))
            return


def _halve(image: Image.Image, least: int | None) -> None:
    """Has a JPEG of too many pixels decoded to the smallest fraction of its size that `least` allows, or to half."""
    for factor in REDUCTIONS:
        width, height = image.width // factor, image.height // factor
        if factor == REDUCTIONS[-1] or (least is not None and min(width, height) >= least):
            image.draft(None, (width, height))
            return


def _rgb(image: Image.Image, toned: Tones | None) -> Image.Image:
    """The image as RGB, converted box by box."""
    if image.mode == "RGB" and "transparency" not in image.info and toned is None:
        return image
    result = Image.new("RGB", image.size)
    for box in _boxes(image.size):
        result.paste(_rgb_box(image.crop(box), toned), box[:2])
    return result


def _boxes(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes that cover an image of the size, of about BOX_PIXELS each."""
    width, height = size
    if width >= height:
        step = max(1, BOX_PIXELS // height)
        for left in range(0, width, step):
            yield left, 0, min(left + step, width), height
    else:
        step = max(1, BOX_PIXELS // width)
        for top in range(0, height, step):
            yield 0, top, width, min(top + step, height)


def _rgb_box(image: Image.Image, toned: Tones | None) -> Image.Image:
    """Any mode as RGB; transparent pixels become white."""
    if toned is not None:
        image = toned(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _decompression_bomb() -> InstanceError:
    limits = (
        f"{MAX_PIXELS:,} pixels in all ({MAX_WEBP_PIXELS:,} as WebP, {MAX_PROGRESSIVE_PIXELS:,} as progressive JPEG, "
        f"{MAX_JPEG_PIXELS:,} as any other JPEG), {MAX_SIDE:,} on a side"
    )
    message = f"An image may have {limits}, and {MAX_TILE_PIXELS:,} in a TIFF's tile."
    return InstanceError(message, "decompression_bomb")


def _undecodable(data: bytes, reason: str) -> InstanceError:
    webp_ends_early = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in reason.lower() or webp_ends_early:
        return InstanceError("The image ends before it is complete.", "truncated_image")
    return InstanceError("The image cannot be decoded: it is damaged, or its format is not accepted.", "corrupt_image")
