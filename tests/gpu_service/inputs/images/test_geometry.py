"""Sizes, crops and limits of images: what preprocessor_config.json may ask for, seen in the pixels that come out."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError
from gpu_service.inputs.images.pixels import ImageInputs

Make = Callable[..., ImageInputs]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The inputs of a model with the given preprocessor_config.json, by default of ViT's processor."""

    def make(**preprocessor: Any) -> ImageInputs:
        (tmp_path / "config.json").write_text("{}")
        settings = {"image_processor_type": "ViTImageProcessor", **preprocessor}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
        entry = Entry(name="m", task="image-classification", source=str(tmp_path))
        return ImageInputs(Checkpoint(entry, tmp_path))

    return make


def png(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def pixels(inputs: ImageInputs, image: Image.Image) -> Any:
    return np.asarray(inputs.payload(png(image)).data).astype(int)


def stripes(width: int, height: int, *, upright: bool) -> Image.Image:
    """A quarter red, a half lime, a quarter blue: from left to right, or from top to bottom."""
    image = Image.new("RGB", (width, height), "lime")
    long, short = (width, height) if upright else (height, width)
    for start, colour in ((0, "red"), (long - long // 4, "blue")):
        box = (start, 0, start + long // 4, short) if upright else (0, start, short, start + long // 4)
        image.paste(colour, box)
    return image


@pytest.mark.parametrize(
    ("preprocessor", "shape"),
    [
        ({}, (224, 224)),
        ({"size": 20}, (20, 20)),
        ({"size": [20, 28]}, (20, 28)),
        ({"size": {"height": 20, "width": 28}}, (20, 28)),
        ({"size": {"shortest_edge": 24}}, (24, 40)),
        ({"size": {"shortest_edge": 24}, "do_center_crop": True, "crop_size": 16}, (16, 16)),
        ({"size": {"shortest_edge": 24}, "do_center_crop": True, "crop_size": {"height": 12, "width": 18}}, (12, 18)),
        ({"size": {"shortest_edge": 24}, "do_center_crop": False, "crop_size": 16}, (24, 40)),
        ({"size": {"shortest_edge": 24}, "crop_size": 16}, (24, 40)),
        ({"do_resize": False}, (60, 100)),
        ({"do_resize": False, "do_center_crop": True, "crop_size": 16}, (16, 16)),
    ],
    ids=str,
)
def test_images_come_out_in_the_size_that_the_processor_names(
    make: Make, preprocessor: dict[str, Any], shape: tuple[int, int]
):
    data = pixels(make(**preprocessor), Image.new("RGB", (100, 60), "red"))
    assert data.shape == (*shape, 3)
    assert (data == [255, 0, 0]).all()


@pytest.mark.parametrize("upright", [True, False], ids=["wide", "tall"])
def test_the_shorter_side_is_fitted_and_the_middle_is_kept(make: Make, upright: bool):
    image = stripes(200, 100, upright=True) if upright else stripes(100, 200, upright=False)
    data = pixels(make(size={"shortest_edge": 32}, do_center_crop=True, crop_size=32), image)
    assert (np.abs(data[2:-2, 2:-2] - [0, 255, 0]) <= 3).all()


@pytest.mark.parametrize("upright", [True, False], ids=["wide", "tall"])
def test_without_a_shorter_side_all_of_the_image_is_kept(make: Make, upright: bool):
    image = stripes(200, 100, upright=True) if upright else stripes(100, 200, upright=False)
    data = pixels(make(size=32), image)
    line = data[16] if upright else data[:, 16]
    assert line[2].tolist() == pytest.approx([255, 0, 0], abs=3)
    assert line[16].tolist() == pytest.approx([0, 255, 0], abs=3)
    assert line[29].tolist() == pytest.approx([0, 0, 255], abs=3)


def test_a_crop_larger_than_the_resized_image_is_black_around_it(make: Make):
    data = pixels(
        make(size={"shortest_edge": 16}, do_center_crop=True, crop_size=32), Image.new("RGB", (50, 50), "red")
    )
    assert data.shape == (32, 32, 3)
    assert data[0, 0].tolist() == [0, 0, 0]
    assert data[8, 8].tolist() == data[23, 23].tolist() == [255, 0, 0]


def test_a_slim_image_keeps_every_side_at_least_as_long_as_the_shorter_one(make: Make):
    assert pixels(make(size={"shortest_edge": 20}), Image.new("RGB", (1, 900), "red")).shape == (18_000, 20, 3)


@pytest.mark.parametrize("resample", list(Image.Resampling))
def test_the_filter_is_the_one_that_the_model_names(make: Make, resample: Image.Resampling):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (50, 50, 3), dtype=np.uint8))
    expected = np.asarray(noise.resize((32, 32), resample)).astype(int)
    assert (pixels(make(size=32, resample=int(resample)), noise) == expected).all()
    bilinear = np.asarray(noise.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert (pixels(make(size=32), noise) == bilinear).all()


@pytest.mark.parametrize(
    ("preprocessor", "black", "white"),
    [
        ({}, (-1, -1, -1), (1, 1, 1)),
        ({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}, (-0.25, -0.4, -0.5), (2.25, 1.6, 7 / 6)),
        ({"image_mean": 0.2, "image_std": 0.4}, (-0.5, -0.5, -0.5), (2, 2, 2)),
        ({"do_normalize": False, "image_mean": [0.1, 0.2, 0.3]}, (0, 0, 0), (1, 1, 1)),
        ({"do_normalize": False, "do_rescale": False}, (0, 0, 0), (255, 255, 255)),
        ({"do_rescale": False, "image_mean": 51, "image_std": 51}, (-1, -1, -1), (4, 4, 4)),
        ({"rescale_factor": 1 / 127.5}, (-1, -1, -1), (3, 3, 3)),
    ],
    ids=str,
)
def test_the_normalisation_is_the_one_that_the_processor_names(
    make: Make, preprocessor: dict[str, Any], black: tuple[float, ...], white: tuple[float, ...]
):
    shift, scale = make(**preprocessor).geometry.normalisation.values
    for level, expected in ((0, black), (255, white)):
        found = [(level - each) / by for each, by in zip(shift, scale, strict=True)]
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "P", "1"])
def test_large_images_of_every_mode_come_out_as_when_read_whole(make: Make, mode: str):
    ramp = np.linspace(0, 255, 900).astype(np.uint8)
    whole = Image.fromarray(np.stack([np.tile(ramp, (700, 1))] * 3, -1)).convert(mode)
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    data = np.asarray(make(size=32).payload(png(whole, kind)).data).astype(int)
    expected = np.asarray(whole.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(data - expected).mean() < 4


@pytest.mark.parametrize(("value", "level"), [(0, 0), (256, 1), (32_768, 128), (65_535, 255)])
def test_16_bits_are_scaled_to_8(make: Make, value: int, level: int):
    values = np.full((40, 40), value, dtype=np.uint16)
    values[:, 30:] = 65_535
    assert pixels(make(size=32), Image.fromarray(values))[5, 5].tolist() == pytest.approx([level] * 3, abs=1)


@pytest.mark.parametrize(("highest", "value", "level"), [(1.0, 0.5, 127), (255.0, 100.0, 100), (2.0, 2.0, 2)])
def test_floats_up_to_one_are_scaled_and_others_are_not(make: Make, highest: float, value: float, level: int):
    values = np.full((40, 40), value, dtype=np.float32)
    values[:, :4] = highest
    data = np.asarray(make(size=40).payload(png(Image.fromarray(values), "TIFF")).data)
    assert data[20, 30].tolist() == pytest.approx([level] * 3, abs=1)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_half_transparent_is_half_white(make: Make, mode: str):
    image = Image.new(mode, (40, 40), (0, 128) if mode == "LA" else (0, 0, 0, 128))
    assert pixels(make(size=32), image)[5, 5].tolist() == pytest.approx([127] * 3, abs=1)


def test_images_of_as_many_pixels_as_allowed_are_decoded(make: Make):
    data = np.asarray(make(size=32).payload(png(Image.new("1", (10_000, 5000), 1))).data)
    assert (data == 255).all()
    with pytest.raises(InstanceError) as refused:
        make(size=32).payload(png(Image.new("1", (10_001, 5000), 1)))
    assert refused.value.code == "decompression_bomb"


def test_of_several_images_each_bad_one_fails_alone(make: Make):
    good = png(Image.new("RGB", (40, 40), "red"))
    payloads = make(size=32).payloads([good, b"", good[:60], b"no image", good])
    assert [getattr(payload, "code", None) for payload in payloads][:2] == [None, "empty"]
    assert [isinstance(payload, InstanceError) for payload in payloads] == [False, True, True, True, False]


def test_a_webp_that_ends_early_is_told_from_one_that_is_damaged(make: Make):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (80, 80, 3), dtype=np.uint8))
    whole = png(noise, "WEBP", lossless=True)
    damaged = whole[:40] + bytes(len(whole) - 40)
    for data, code in ((whole[:-1], "truncated_image"), (whole[:100], "truncated_image"), (damaged, "corrupt_image")):
        with pytest.raises(InstanceError) as failed:
            make(size=32).payload(data)
        assert failed.value.code == code
