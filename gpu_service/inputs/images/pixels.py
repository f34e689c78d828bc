"""Reads encoded images as the pixels that a model's processor would make of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError
from gpu_service.inputs.images import processors
from gpu_service.inputs.images.decoding import decoded
from gpu_service.inputs.images.geometry import Geometry
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload

SIDE = 224  # of the made-up image, unless config.json names a size


class ImageInputs:
    """Reads encoded images; an image costs 1, or its share of the usual size where the processor leaves that open.

    A payload's data are uint8 (height, width, channels) that the network normalises, or float32 (channels, height,
    width) that transformers' processor has normalised.
    """

    kind: Kind = "image"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.preparation = processors.of(checkpoint)
        side = checkpoint.config.get("image_size") or SIDE
        height, width = (side, side) if isinstance(side, int) else side
        self.sample: NDArray[Any] = self._prepared(Image.new(self.preparation.mode, (width, height), "gray"))
        self.accepts_any_size = True  # unless the network turns out to read one size alone

    @property
    def geometry(self) -> Geometry | None:
        """None where transformers' processor prepares the images."""
        return self.preparation if isinstance(self.preparation, Geometry) else None

    @property
    def prepared_bytes(self) -> int:
        """The most memory that the pixels of an image take."""
        if self.preparation.fixed is not None:
            return self.sample.nbytes
        return processors.MAX_PREPARED_PIXELS * len(self.preparation.mode) * self.sample.itemsize

    def payload(self, data: bytes) -> Payload:
        """Raises InstanceError: `empty`, `decompression_bomb`, `truncated_image`, `corrupt_image` or `too_large`."""
        with decoded(data, self.preparation.mode, self.preparation.least) as image:
            prepared = self._prepared(image)
        if prepared.shape != self.sample.shape and not self.accepts_any_size:
            made, read = _size(prepared), _size(self.sample)
            raise InstanceError(
                f"The model's processor makes {made} pixels of the image, and the model reads {read} only."
            )
        return Payload(prepared, max(1, round(prepared.size / self.sample.size)))

    def payloads(self, images: Sequence[bytes]) -> list[Payload | InstanceError]:
        """Each image's payload or error."""
        return [self._payload(data) for data in images]

    def _payload(self, data: bytes) -> Payload | InstanceError:
        try:
            return self.payload(data)
        except InstanceError as error:
            return error

    def _prepared(self, image: Image.Image) -> NDArray[Any]:
        if not isinstance(self.preparation, Geometry):
            return self.preparation.pixels(image)
        width, height = size = self.preparation.of(image.size)
        if self.preparation.fixed is None and width * height > processors.MAX_PREPARED_PIXELS:
            raise processors.too_large(size)
        pixels = np.asarray(self.preparation.pixels(image))
        return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _size(pixels: NDArray[Any]) -> str:
    height, width = pixels.shape[:2] if pixels.dtype == np.uint8 else pixels.shape[1:]
    return f"{width:,} × {height:,}"
