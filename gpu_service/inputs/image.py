"""Decodes images under limits and brings them to the size that a model reads."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError
from gpu_service.inputs.payloads import Payload

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Geometry:
    """How preprocessor_config.json wants an image: its shorter side resized or all of it, then cropped or not."""

    width: int
    height: int
    shorter: int | None
    resample: Image.Resampling
    mean: Sequence[float]
    std: Sequence[float]

    @staticmethod
    def read(checkpoint: Checkpoint) -> "Geometry":
        wanted = checkpoint.read("preprocessor_config.json")
        side = checkpoint.config.get("image_size", 224)
        height, width = (side, side) if isinstance(side, int) else side
        size = wanted.get("size") or {}
        size = {"height": size, "width": size} if isinstance(size, int) else size
        shorter = size.get("shortest_edge")
        crop = (wanted.get("crop_size") or {}) if wanted.get("do_center_crop") else {}
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        target = crop or size
        normalised = wanted.get("do_normalize", True)
        return Geometry(
            width=int(target.get("width", shorter or width)),
            height=int(target.get("height", shorter or height)),
            shorter=None if shorter is None else int(shorter),
            resample=Image.Resampling(wanted.get("resample", Image.Resampling.BILINEAR)),
            mean=wanted.get("image_mean", HALF) if normalised else (0.0, 0.0, 0.0),
            std=wanted.get("image_std", HALF) if normalised else (1.0, 1.0, 1.0),
        )


class ImageInputs:
    """Reads encoded images; what costs is one image, whatever it weighed before."""

    kind = "image"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.geometry = Geometry.read(checkpoint)

    def payload(self, data: bytes) -> Payload:
        """Raises InstanceError: `empty`, `decompression_bomb`, `truncated_image` or `corrupt_image`."""
        if not data:
            raise InstanceError("The image is empty.", "empty")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of damage that it can read past
                pixels = self._resized(_rgb(_reduced(_upright(data, self._least), self._least)))
        except (InstanceError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise _bomb() from error
        except Exception as error:
            raise _broken(data, str(error)) from error
        return Payload(np.asarray(pixels), 1)

    def payloads(self, images: Sequence[bytes]) -> list[Payload | InstanceError]:
        """Of several images, each one's payload or error."""
        return [self._payload(data) for data in images]

    def _payload(self, data: bytes) -> Payload | InstanceError:
        try:
            return self.payload(data)
        except InstanceError as error:
            return error

    @property
    def _least(self) -> int:
        """The side, in pixels, below which detail would be lost before resizing."""
        return 2 * max(self.geometry.width, self.geometry.height, self.geometry.shorter or 0)

    def _resized(self, image: Image.Image) -> Image.Image:
        wanted = self.geometry
        if wanted.shorter is None:
            return image.resize((wanted.width, wanted.height), wanted.resample)
        scale = wanted.shorter / min(image.size)
        width, height = (max(wanted.shorter, round(side * scale)) for side in image.size)
        left, top = (width - wanted.width) // 2, (height - wanted.height) // 2
        box = (left, top, left + wanted.width, top + wanted.height)
        return image.resize((width, height), wanted.resample).crop(box)


def _upright(data: bytes, least: int) -> Image.Image:
    """The first frame, decoded only when it is known to be of bearable size."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise _bomb()
    image.draft("RGB", (least, least))
    image.load()
    return ImageOps.exif_transpose(image) or image


def _reduced(image: Image.Image, least: int) -> Image.Image:
    """Cheaply towards the wanted size, before conversions that need several times the memory."""
    factor = min(image.size) // least
    return image.reduce(factor) if factor > 1 and image.mode in REDUCIBLE else image


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB; what is transparent becomes white."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode == "F":
        extremes: Any = image.getextrema()
        scale = 255.0 if extremes[1] <= 1 else 1.0
        return image.point(lambda value: value * scale).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _bomb() -> InstanceError:
    return InstanceError(f"The image has more than {MAX_PIXELS:,} pixels.", "decompression_bomb")


def _broken(data: bytes, reason: str) -> InstanceError:
    webp_ends_early = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in reason.lower() or webp_ends_early:
        return InstanceError("The image ends before it is complete.", "truncated_image")
    return InstanceError("The image cannot be decoded: it is damaged, or of no accepted format.", "corrupt_image")
