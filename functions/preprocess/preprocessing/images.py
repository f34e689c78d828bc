"""Decodes images within limits and shrinks them to the size that a model needs."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from pipeline.errors import RejectedError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
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
            upright = ImageOps.exif_transpose(image) or image
    except RejectedError:
        raise
    except Image.DecompressionBombError as error:
        raise RejectedError("decompression_bomb", f"The image has more than {MAX_PIXELS:,} pixels.") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and others on damaged data
        raise _broken(data, str(error)) from error
    return _encode(_resized(_rgb(_reduced(upright, shorter_side)), shorter_side))


def _load(data: bytes, shorter_side: int) -> Image.Image:
    """The first frame, decoded only once its size is known to be acceptable."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width:,} × {image.height:,}"
        raise RejectedError("decompression_bomb", f"The image has {size} pixels; at most {MAX_PIXELS:,} are accepted.")
    image.draft("RGB", (2 * shorter_side, 2 * shorter_side))
    image.load()
    return image


def _broken(data: bytes, reason: str) -> RejectedError:
    webp_ends_early = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in reason.lower() or webp_ends_early:
        return RejectedError("truncated_image", "The image ends before it is complete.")
    return RejectedError("corrupt_image", "The image cannot be decoded: it is damaged, or its format is not accepted.")


def _reduced(image: Image.Image, shorter_side: int) -> Image.Image:
    """Cheaply reduces to about twice the final size, before conversions that need several times the memory."""
    factor = min(image.size) // (2 * shorter_side)
    return image.reduce(factor) if factor > 1 and image.mode in REDUCIBLE else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode == "F":
        (_, brightest) = image.getextrema()
        scale = 255.0 if isinstance(brightest, float) and brightest <= 1 else 1.0
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
