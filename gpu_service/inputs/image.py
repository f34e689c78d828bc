"""Decodes images within limits and resizes them for a model."""

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SIGNATURE = re.compile(rb"\xff\xd8\xff|\x89PNG|RIFF.{4}WEBP|GIF|BM|II\*\0|MM\0\*", re.DOTALL)
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
PREAMBLE_BYTES = 64
MAX_PIXELS = 50_000_000
REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
HALF = (0.5, 0.5, 0.5)


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
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of damage that it tolerates
                pixels = self._resized(_rgb(_reduced(_upright(data, self._least), self._least)))
        except (InstanceError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise _decompression_bomb() from error
        except Exception as error:
            raise _undecodable(data, str(error)) from error
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

    def _resized(self, image: Image.Image) -> Image.Image:
        target = self.geometry
        if target.shorter is None:
            return image.resize((target.width, target.height), target.resample)
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


def _upright(data: bytes, least: int) -> Image.Image:
    """The first frame upright; its size is checked before it is decoded."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise _decompression_bomb()
    image.draft("RGB", (least, least))
    image.load()
    return ImageOps.exif_transpose(image) or image


def _reduced(image: Image.Image, least: int) -> Image.Image:
    """Shrinks it cheaply, before conversions that need several times its memory."""
    factor = min(image.size) // least
    return image.reduce(factor) if factor > 1 and image.mode in REDUCIBLE else image


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB; transparent pixels become white."""
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


def _decompression_bomb() -> InstanceError:
    return InstanceError(f"The image has more than {MAX_PIXELS:,} pixels.", "decompression_bomb")


def _undecodable(data: bytes, reason: str) -> InstanceError:
    webp_ends_early = data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in reason.lower() or webp_ends_early:
        return InstanceError("The image ends before it is complete.", "truncated_image")
    return InstanceError("The image cannot be decoded: it is damaged, or its format is not accepted.", "corrupt_image")
