"""Which processors our geometry follows: for each, the pixels are those of transformers' own, with any settings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.images import processors
from gpu_service.inputs.images.geometry import Geometry
from gpu_service.inputs.images.processors import STANDARD, Processor
from tests.gpu_service.parity.images import photo

SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "size as a number": {"size": 40, "crop_size": 36},
    "both sides": {"size": {"height": 40, "width": 52}, "crop_size": {"height": 30, "width": 36}},
    "a list": {"size": [40, 52], "crop_size": [30, 36]},
    "shorter side": {"size": {"shortest_edge": 45}},
    "shorter side and crop": {"size": {"shortest_edge": 45}, "do_center_crop": True, "crop_size": 41},
    "a larger crop": {"size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": 33},
    "no crop": {"size": 50, "do_center_crop": False},
    "crop_pct": {"size": 50, "crop_pct": 0.7, "do_center_crop": False},
    "large": {"size": {"shortest_edge": 400}, "crop_pct": 0.7},
    "square told": {"size": 50, "default_to_square": True},
    "not square told": {"size": 50, "default_to_square": False},
    "nothing": {"do_resize": False, "do_center_crop": False, "do_rescale": False, "do_normalize": False},
    "another factor": {"rescale_factor": 0.01, "image_mean": 0.4, "image_std": [0.2, 0.3, 0.4]},
    "nearest": {"resample": 0},
    "Lanczos": {"resample": 1},
}
IMAGES = [photo(*size, seed) for seed, size in enumerate([(97, 61), (60, 201), (33, 34), (7, 5), (1, 1)])]


def preparation(folder: Path, settings: dict[str, Any], config: dict[str, Any] | None = None) -> Geometry | Processor:
    (folder / "config.json").write_text(json.dumps(config or {}))
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return processors.of(Checkpoint(Entry(name="m", task="image-classification", source=str(folder)), folder))


def normalised(geometry: Geometry, image: Image.Image) -> Any:
    shift, scale = (np.array(each)[:, None, None] for each in geometry.normalisation.values)
    return (np.asarray(geometry.pixels(image)).transpose(2, 0, 1).astype(np.float64) - shift) / scale


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("variant", SETTINGS)
def test_the_pixels_are_those_of_transformers_processor(name: str, variant: str, tmp_path: Path):
    settings = {"image_processor_type": name, **SETTINGS[variant]}
    own_class = getattr(transformers, f"{name}Pil")
    try:
        made = own_class(**SETTINGS[variant])
        expected = [made(images=image, return_tensors="np")["pixel_values"][0] for image in IMAGES]
    except (ValueError, TypeError, AttributeError):
        with pytest.raises(StartError, match="transformers cannot use"):
            preparation(tmp_path, settings)
        return
    chosen = preparation(tmp_path, settings)
    for image, pixels in zip(IMAGES, expected, strict=True):
        found = normalised(chosen, image) if isinstance(chosen, Geometry) else chosen.pixels(image)
        assert found.shape == pixels.shape
        assert np.abs(found - pixels).max() < 1e-4


@pytest.mark.parametrize("name", STANDARD)
def test_the_geometry_follows_the_usual_settings(name: str, tmp_path: Path):
    assert isinstance(preparation(tmp_path, {"image_processor_type": name}), Geometry)


@pytest.mark.parametrize(
    "settings",
    [
        {"image_processor_type": "EfficientNetImageProcessor"},
        {"image_processor_type": "MobileViTImageProcessor"},
        {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 40, "longest_edge": 90}},
        {"image_processor_type": "ViTImageProcessor", "size": {"max_height": 40, "max_width": 90}},
        {"image_processor_type": "ViTImageProcessor", "do_pad": True, "pad_size": 300},
        {"image_processor_type": "PoolFormerImageProcessor", "size": 40, "crop_pct": None},
    ],
    ids=str,
)
def test_other_settings_are_left_to_transformers(settings: dict[str, Any], tmp_path: Path):
    chosen = preparation(tmp_path, settings)
    assert isinstance(chosen, Processor)
    made = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    for image in IMAGES[:3]:
        assert np.array_equal(chosen.pixels(image), made(images=image, return_tensors="np")["pixel_values"][0])


@pytest.mark.release
def test_a_slim_image_does_not_become_millions_of_pixels(tmp_path: Path):
    settings = {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 64}, "crop_size": 64}
    chosen = preparation(tmp_path, settings)
    assert isinstance(chosen, Processor)
    banner = Image.new("RGB", (20_000, 2), "blue")
    banner.paste("red", (5_000, 0, 15_000, 2))
    assert chosen.pixels(banner).mean((1, 2)).tolist() == pytest.approx([0, 0, 1])  # its channels are flipped
    assert chosen.pixels(Image.new("RGB", (1, 2_000_000))).shape == (3, 64, 64)
    limited = {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 40, "longest_edge": 90}}
    assert preparation(tmp_path, limited).pixels(Image.new("RGB", (20, 900))).shape[1] == 90
    free = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_pad": True, "pad_size": None}
    with pytest.raises(InstanceError) as refused:
        preparation(tmp_path, free).pixels(Image.new("RGB", (4000, 3000)))
    assert refused.value.code == "too_large"
