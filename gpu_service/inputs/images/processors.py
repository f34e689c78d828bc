"""Decides how a checkpoint's images are prepared: by our own geometry where it makes the pixels of transformers'
processor, else by that processor itself.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.images.geometry import MAX_RESIZED_PIXELS, REDUCED_PER_PIXEL, Geometry, Normalisation

CHANNELS = {1: "L", 3: "RGB"}
MAX_PREPARED_PIXELS = 8_000_000  # of an image whose size the processor leaves open
PROBES = ((300, 200), (200, 400))
HALF = (0.5, 0.5, 0.5)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
CONVNEXT_WARPED = 384  # from which size on ConvNeXt's processor squeezes images instead of cropping them


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a class of processors takes for settings that preprocessor_config.json leaves out.

    Args:
        square: whether a size that is one number is that of both sides, not of the shorter one.
        crop: whether it crops unless told otherwise, and to what size.
        crop_pct: the share of the resized image's shorter side that is kept, for processors that have the setting.
    """

    size: Any = 224
    square: bool = True
    crop: int | None = None
    resample: Image.Resampling = Image.Resampling.BICUBIC
    mean: Sequence[float] = HALF
    std: Sequence[float] = HALF
    crop_pct: float = 1.0


BILINEAR = Image.Resampling.BILINEAR
STANDARD = {  # processors that our geometry can follow; a test compares each with transformers' own
    "BeitImageProcessor": Defaults(),
    "BitImageProcessor": Defaults(square=False, crop=224, mean=CLIP[0], std=CLIP[1]),
    "CLIPImageProcessor": Defaults(square=False, crop=224, mean=CLIP[0], std=CLIP[1]),
    "ConvNextImageProcessor": Defaults(size=384, square=False, crop_pct=0.875),
    "DeiTImageProcessor": Defaults(size=256, crop=224),
    "LevitImageProcessor": Defaults(square=False, crop=224, mean=IMAGENET[0], std=IMAGENET[1]),
    "MobileNetV1ImageProcessor": Defaults(size=256, square=False, crop=224, resample=BILINEAR),
    "MobileNetV2ImageProcessor": Defaults(size=256, square=False, crop=224, resample=BILINEAR),
    "PoolFormerImageProcessor": Defaults(square=False, crop=224, mean=IMAGENET[0], std=IMAGENET[1], crop_pct=0.9),
    "PvtImageProcessor": Defaults(mean=IMAGENET[0], std=IMAGENET[1]),
    "SiglipImageProcessor": Defaults(size={"height": 224, "width": 224}, square=False),
    "ViTImageProcessor": Defaults(resample=BILINEAR),
}
OF_MODEL_TYPES = {"vit": "ViTImageProcessor", "resnet": "ConvNextImageProcessor"}  # of files that name no processor


@dataclass(frozen=True, slots=True)
class Processor:
    """transformers' own processor, which makes float32 pixels (channels, height, width).

    Args:
        fixed: the size that every image comes out in; None if it depends on the image.
    """

    processor: Any
    mode: str
    fixed: tuple[int, int] | None

    @property
    def least(self) -> int | None:
        """As a geometry's; the size before a crop is not known, but at most twice what is kept of it."""
        return 2 * REDUCED_PER_PIXEL * max(self.fixed) if self.fixed else None

    def pixels(self, image: Image.Image) -> NDArray[np.float32]:
        """Raises InstanceError when the image cannot be processed, or would become too large."""
        return _processed(self.processor, self._bounded(image))

    def _bounded(self, image: Image.Image) -> Image.Image:
        """The image, or the centre of a slim one of which the processor would make millions of pixels."""
        if not getattr(self.processor, "do_resize", True):
            if image.width * image.height > MAX_PREPARED_PIXELS:
                raise too_large(image.size)
            return image
        size = getattr(self.processor, "size", None)
        shorter = getattr(size, "shortest_edge", None)
        if not shorter or getattr(size, "longest_edge", None):
            return image
        most = MAX_RESIZED_PIXELS if self.fixed else MAX_PREPARED_PIXELS
        longest = max(1, int(most / shorter**2 * min(image.size)))
        if max(image.size) <= longest:
            return image
        if self.fixed is None:
            raise too_large((shorter, shorter * max(image.size) // min(image.size)))
        left, top = (max(0, side - longest) // 2 for side in image.size)
        return image.crop((left, top, min(left + longest, image.width), min(top + longest, image.height)))


def too_large(size: tuple[int, int]) -> InstanceError:
    width, height = size
    return InstanceError(
        f"This model does not reduce images to one size, and the image would have {width:,} × {height:,} pixels; it "
        f"may have {MAX_PREPARED_PIXELS:,} in all.",
        "too_large",
    )


def _processed(processor: Any, image: Image.Image) -> NDArray[np.float32]:
    try:
        made = processor(images=image, return_tensors="np")
    except (ValueError, TypeError, ZeroDivisionError) as error:
        message = f"The model's processor cannot process the image: {str(error).splitlines()[0]}"
        raise InstanceError(message) from error
    return np.asarray(made["pixel_values"][0], dtype=np.float32)


def of(checkpoint: Checkpoint) -> Geometry | Processor:
    """How the checkpoint's images are prepared.

    Raises:
        StartError: it has no processor, or one that the service cannot use.
    """
    channels = checkpoint.config.get("num_channels", 3)
    if channels not in CHANNELS:
        raise StartError(f"{checkpoint.folder}: the model reads {channels} channels; serve one that reads 1 or 3.")
    settings = checkpoint.read("processor_config.json").get("image_processor")
    if settings is None:
        settings = checkpoint.read("preprocessor_config.json")
    if not settings:
        raise StartError(
            f"{checkpoint.folder} has no preprocessor_config.json; copy it from the model that this one was trained "
            "from, or write it with AutoImageProcessor.save_pretrained."
        )
    with contextlib.suppress(_OtherSettings, TypeError, ValueError, KeyError, IndexError, AttributeError):
        return _geometry(settings, checkpoint.config.get("model_type"), CHANNELS[channels])
    return _processor(checkpoint, CHANNELS[channels])


class _OtherSettings(Exception):  # noqa: N818  never seen outside this module
    """The geometry cannot follow these settings."""


def _processor(checkpoint: Checkpoint, mode: str) -> Processor:
    from transformers import AutoImageProcessor

    try:
        processor: Any = AutoImageProcessor.from_pretrained(checkpoint.folder, local_files_only=True)
        wide, tall = (processor(images=Image.new(mode, size), return_tensors="np") for size in PROBES)
    except (OSError, ValueError, TypeError, KeyError, ImportError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise StartError(f"{checkpoint.folder}: transformers cannot use preprocessor_config.json: {reason}") from error
    if list(wide) != ["pixel_values"] or wide["pixel_values"].ndim != 4:
        raise StartError(
            f"{checkpoint.folder}: its processor makes {', '.join(wide)}; serve a model that reads one image's "
            "pixel_values alone."
        )
    _, _, height, width = wide["pixel_values"].shape
    is_fixed = wide["pixel_values"].shape == tall["pixel_values"].shape
    return Processor(processor, mode, (width, height) if is_fixed else None)


def _geometry(settings: dict[str, Any], model_type: object, mode: str) -> Geometry:
    """Raises _OtherSettings, or what reading values of unexpected types raises."""
    name = _name(settings) or OF_MODEL_TYPES.get(str(model_type), "")
    if name not in STANDARD or settings.get("auto_map") or settings.get("do_pad"):
        raise _OtherSettings
    defaults = STANDARD[name]

    setting = settings.get  # null is a value of its own
    size, shorter, crop = None, None, None
    if setting("do_resize", True):
        square = setting("default_to_square", defaults.square)
        size, shorter = _size(setting("size", _as_dict(defaults.size, square=defaults.square)), square=square)
    if setting("do_center_crop", defaults.crop is not None):
        crop, _ = _size(setting("crop_size", defaults.crop), square=True)
        if crop is None:
            raise _OtherSettings
    if name == "LevitImageProcessor" and shorter is not None:
        shorter = int((256 / 224) * shorter)
    elif name == "PoolFormerImageProcessor" and setting("do_resize", True):
        shorter = int(_one(size, shorter) / setting("crop_pct", defaults.crop_pct))
        size = None
    elif name == "ConvNextImageProcessor" and setting("do_resize", True):
        if shorter is None or crop is not None:
            raise _OtherSettings
        if shorter < CONVNEXT_WARPED:
            crop, shorter = (shorter, shorter), int(shorter / setting("crop_pct", defaults.crop_pct))
        else:
            size, shorter = (shorter, shorter), None
    sides = [*(size or ()), *(crop or ()), 1 if shorter is None else shorter]
    if any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
        raise _OtherSettings
    resample = Image.Resampling(setting("resample", defaults.resample))
    return Geometry(
        size,
        shorter,
        crop,
        BILINEAR if resample is None else Image.Resampling(resample),
        mode,
        _normalisation(settings, defaults, len(mode)),
    )


def _name(settings: dict[str, Any]) -> str | None:
    """The class of the processor: as it is called today, without its variants that make the same pixels."""
    name = settings.get("image_processor_type")
    if name is None and (old := settings.get("feature_extractor_type")) is not None:
        name = old.replace("FeatureExtractor", "ImageProcessor")
    return None if name is None else str(name).removesuffix("Fast").removesuffix("Pil")


def _as_dict(size: Any, *, square: bool) -> Any:
    if not isinstance(size, int):
        return size
    return {"height": size, "width": size} if square else {"shortest_edge": size}


def _size(size: Any, *, square: bool) -> tuple[tuple[int, int] | None, int | None]:
    """Either width and height, or the shorter side."""
    if isinstance(size, list):
        size = {"height": size[0], "width": size[1]}
    match _as_dict(size, square=square):
        case {"height": height, "width": width, **rest} if not rest:
            return (width, height), None
        case {"shortest_edge": shorter, **rest} if not rest:
            return None, shorter
    raise _OtherSettings


def _one(size: tuple[int, int] | None, shorter: int | None) -> int:
    if size is None and shorter is not None:
        return shorter
    if size is None or size[0] != size[1]:
        raise _OtherSettings
    return size[0]


def _normalisation(settings: dict[str, Any], defaults: Defaults, channels: int) -> Normalisation:
    """Of pixels from 0 to 255, in transformers' two steps: scaled by a factor, then normalised."""
    setting = settings.get
    factor = float(setting("rescale_factor", 1 / 255)) if setting("do_rescale", True) else 1.0
    if not setting("do_normalize", True):
        return Normalisation((0.0,) * channels, (1 / factor,) * channels)
    mean, std = setting("image_mean", defaults.mean), setting("image_std", defaults.std)
    means, stds = (
        [float(value)] * channels if isinstance(value, int | float) else [float(each) for each in value]
        for value in (mean, std)
    )
    if len(means) != channels or len(stds) != channels or not all(stds) or not factor:
        raise _OtherSettings
    return Normalisation([value / factor for value in means], [value / factor for value in stds])
