"""Decodes images under limits and makes them as small as a model needs."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from pipeline.errors import RejectedError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
MAX_ASPECT = 16  # of the longer side to the shorter one's limit, so that a banner stays small too
PNG_BYTES = 24 * 1024  # lossless while it costs little
JPEG_QUALITY = 92
REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "F")


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image ready to be sent."""

    data: bytes
    extension: str


def shrink(data: bytes, shorter_side: int) -> Encoded:
    """Any accepted image as RGB, upright, its shorter side `shorter_side` pixels at most.

    Of an animation the first frame counts; what is transparent becomes white; colour profiles are left aside.

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
    except Exception as error:  # decoders raise what they stumble over: OSError, SyntaxError, struct.error, ...
        raise _broken(data, str(error)) from error
    return _encode(_resized(_rgb(_reduced(upright, shorter_side)), shorter_side))


def _load(data: bytes, shorter_side: int) -> Image.Image:
    """The first frame, decoded only when it is known to be of bearable size."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width:,} × {image.height:,}"
        raise RejectedError("decompression_bomb", f"The image is {size} pixels; at most {MAX_PIXELS:,} are accepted.")
    image.draft("RGB", (2 * shorter_side, 2 * shorter_side))
    image.load()
    return image


def _broken(data: bytes, reason: str) -> RejectedError:
    webp_ends_early = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in reason.lower() or webp_ends_early:
        return RejectedError("truncated_image", "The image ends before it is complete.")
    return RejectedError("corrupt_image", "The image cannot be decoded: it is damaged, or of no accepted format.")


def _reduced(image: Image.Image, shorter_side: int) -> Image.Image:
    """Cheaply down to about twice the wanted size, before conversions that need several times the memory."""
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
