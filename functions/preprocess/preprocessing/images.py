"""Decodes images within limits and shrinks them to the size that a model needs."""

import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from pipeline.errors import RejectedError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
MAX_WEBP_PIXELS = 25_000_000  # its decoder takes four times the memory of the image
MAX_SIDE = 4_000_000  # pixels; each row takes memory of its own
MAX_TILE_PIXELS = 16_000_000  # of a TIFF, whose tiles may be larger than the image and are decoded whole
BOX_PIXELS = 1_000_000  # converted together, since a conversion takes several times the memory of its pixels
MAX_ASPECT = 16  # of the longer side to the limit of the shorter one, so that banners become small too
PNG_BYTES = 24 * 1024  # up to this size images stay lossless
JPEG_QUALITY = 92
REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "F")


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image ready to be sent."""

    data: bytes
    extension: str


def shrink(data: bytes, shorter_side: int) -> Encoded:
    """Any accepted image as RGB, upright, with at most `shorter_side` pixels on its shorter side.

    Animations are reduced to their first frame, transparency becomes white, and colour profiles are ignored.

    Raises:
        RejectedError: `decompression_bomb`, `truncated_image` or `corrupt_image`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damage that it can read past
            image = _load(data, shorter_side)
            ImageOps.exif_transpose(image, in_place=True)
    except RejectedError:
        raise
    except Image.DecompressionBombError as error:
        raise RejectedError("decompression_bomb", f"The image has more than {MAX_PIXELS:,} pixels.") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and others on damaged data
        raise _broken(data, str(error)) from error
    return _encode(_resized(_reduced_rgb(image, shorter_side), shorter_side))


def _load(data: bytes, shorter_side: int) -> Image.Image:
    """The first frame, decoded only once its size is known to be acceptable."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    limit = MAX_WEBP_PIXELS if image.format == "WEBP" else MAX_PIXELS
    if image.width * image.height > limit or max(image.size) > MAX_SIDE:
        size = f"{image.width:,} × {image.height:,}"
        accepted = f"at most {limit:,} are accepted, and {MAX_SIDE:,} on a side"
        raise RejectedError("decompression_bomb", f"The {image.format} has {size} pixels; {accepted}.")
    if isinstance(image, TiffImageFile) and _tile_pixels(image) > MAX_TILE_PIXELS:
        raise RejectedError("decompression_bomb", "The TIFF's tiles are too large.")
    image.draft("RGB", (2 * shorter_side, 2 * shorter_side))
    image.load()
    return image


def _tile_pixels(image: TiffImageFile) -> int:
    sides = (image.tag_v2.get(tag, 0) for tag in (TILEWIDTH, TILELENGTH))
    return math.prod(side for side in sides if isinstance(side, int))


def _broken(data: bytes, reason: str) -> RejectedError:
    webp_ends_early = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in reason.lower() or webp_ends_early:
        return RejectedError("truncated_image", "The image ends before it is complete.")
    return RejectedError("corrupt_image", "The image cannot be decoded: it is damaged, or its format is not accepted.")


def _reduced_rgb(image: Image.Image, shorter_side: int) -> Image.Image:
    """The image as RGB, cheaply reduced to about twice the final size where its mode permits, tile by tile."""
    factor = max(1, min(image.size) // (2 * shorter_side)) if image.mode in REDUCIBLE else 1
    scale = 1.0
    if image.mode == "F":
        image, factor = image.reduce(factor), 1
        (_, brightest) = image.getextrema()
        scale = 255.0 if isinstance(brightest, float) and brightest <= 1 else 1.0
    result = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for left, top, right, bottom in _boxes(image.size, factor):
        tile = image.crop((left, top, right, bottom))
        result.paste(_rgb(tile.reduce(factor) if factor > 1 else tile, scale), (left // factor, top // factor))
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
    """An image of any mode; `scale` makes a float image's values 0 to 255."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode == "F":
        return image.point(lambda value: value * scale).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _resized(image: Image.Image, shorter_side: int) -> Image.Image:
    scale = min(1.0, shorter_side / min(image.size), MAX_ASPECT * shorter_side / max(image.size))
    if scale == 1.0:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _encode(image: Image.Image) -> Encoded:
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    if encoded.tell() <= PNG_BYTES:
        return Encoded(encoded.getvalue(), "png")
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return Encoded(encoded.getvalue(), "jpg")
