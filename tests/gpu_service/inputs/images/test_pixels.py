"""Images of every mode and shape, and content that is not an image."""

import dataclasses
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor

from gpu_service.checkpoints import checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError
from gpu_service.inputs.images import geometry
from gpu_service.inputs.images.pixels import ImageInputs
from gpu_service.inputs.payloads import Payload


@pytest.fixture(scope="module")
def inputs(folder: Callable[[str], Path]) -> ImageInputs:
    path = folder("vit")
    return ImageInputs(checkpoint.Checkpoint(Entry(name="m", task="image-classification", source=str(path)), path))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def quarters(mode: str = "RGB") -> Image.Image:
    """Red at the top, blue bottom left, white bottom right, so that rotation shows."""
    image = Image.new("RGB", (128, 128), "red")
    image.paste("blue", (0, 64, 64, 128))
    image.paste("white", (64, 64, 128, 128))
    return image.convert(mode)


GREY = np.uint16([[0, 65535], [65535, 0]]).repeat(32, 0).repeat(32, 1)
CASES = {
    "jpeg": (encode(quarters(), "JPEG", quality=95), (255, 0, 0)),
    "cmyk": (encode(quarters("CMYK"), "JPEG", quality=95), (255, 0, 0)),
    "palette": (encode(quarters("P")), (255, 0, 0)),
    "webp": (encode(quarters(), "WEBP", lossless=True), (255, 0, 0)),
    "gif": (
        encode(quarters(), "GIF", save_all=True, append_images=[Image.new("RGB", (128, 128), "lime")]),
        (255, 0, 0),
    ),
    "bmp": (encode(quarters(), "BMP"), (255, 0, 0)),
    "tiff": (encode(quarters(), "TIFF"), (255, 0, 0)),
    "grey": (encode(quarters("L")), (76, 76, 76)),
    "transparent": (encode(Image.new("RGBA", (64, 64), (9, 9, 9, 0))), (255, 255, 255)),
    "transparent palette": (encode(Image.new("P", (64, 64), 0), transparency=0), (255, 255, 255)),
    "one bit": (encode(Image.new("1", (64, 64), 1)), (255, 255, 255)),
    "16 bit": (encode(Image.fromarray(GREY)), (0, 0, 0)),
    "float": (encode(Image.new("F", (64, 64), 1.0), "TIFF"), (255, 255, 255)),
    "one pixel": (encode(Image.new("RGB", (1, 1), "red")), (255, 0, 0)),
    "banner": (encode(Image.new("RGB", (4000, 2), "red")), (255, 0, 0)),
}


@pytest.mark.parametrize("name", CASES)
def test_any_mode_becomes_rgb_of_the_models_size(name: str, inputs: ImageInputs):
    data, colour = CASES[name]
    payload = inputs.payload(data)
    assert (payload.data.shape, payload.data.dtype, payload.size) == ((32, 32, 3), np.uint8, 1)
    assert payload.data[2, 2].tolist() == pytest.approx(list(colour), abs=6)


def test_rotated_photos_are_turned_upright(inputs: ImageInputs):
    turned = quarters().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    payload = inputs.payload(encode(turned, "JPEG", quality=95, exif=exif.tobytes()))
    plain = inputs.payload(encode(quarters(), "JPEG", quality=95))
    assert np.abs(payload.data.astype(int) - plain.data).mean() < 4


def test_large_photos_match_a_full_decode(inputs: ImageInputs):
    ramp = np.linspace(0, 255, 1600).astype(np.uint8)
    photo = Image.fromarray(np.stack([np.tile(ramp, (1200, 1))] * 3, -1))
    payload = inputs.payload(encode(photo, "JPEG", quality=95))
    whole = np.asarray(photo.resize((32, 32), Image.Resampling.BILINEAR))
    assert np.abs(payload.data.astype(int) - whole).mean() < 3


@pytest.fixture
def cropping(inputs: ImageInputs, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImageInputs]:
    """The inputs with another geometry: `cropping(shorter=256, crop=(224, 224))`."""

    def change(**settings: object) -> ImageInputs:
        changed = {"size": None, "shorter": None, "crop": None, **settings}
        monkeypatch.setattr(inputs, "preparation", dataclasses.replace(inputs.preparation, **changed))
        return inputs

    return change


@pytest.mark.parametrize("size", [(640, 480), (457, 1111), (33, 500), (1, 1)])
@pytest.mark.parametrize(("shorter", "side"), [(36, 32), (32, 32), (24, 32)])
def test_ordinary_images_are_cropped_after_they_are_resized(
    cropping: Callable[..., ImageInputs], size: tuple[int, int], shorter: int, side: int
):
    noise = Image.fromarray(np.random.default_rng(7).integers(0, 256, (*size[::-1], 3), np.uint8))
    found = cropping(shorter=shorter, crop=(side, side)).payload(encode(noise)).data
    width, height = (int(shorter * each / min(size)) for each in size)
    left, top = (width - side) // 2, (height - side) // 2
    resized = noise.resize((width, height), Image.Resampling.BILINEAR)
    assert np.array_equal(found, np.asarray(resized.crop((left, top, left + side, top + side))))


@pytest.mark.parametrize("size", [(1, 16_000), (16_000, 1), (2, 4_000_000), (4_000_000, 2)])
@pytest.mark.parametrize(
    "settings", [{"size": (224, 224)}, {"shorter": 256, "crop": (224, 224)}], ids=["squeezed", "cropped"]
)
def test_an_image_of_extreme_aspect_ratio_takes_little_time_and_memory(
    cropping: Callable[..., ImageInputs], size: tuple[int, int], settings: dict[str, object]
):
    data = encode(Image.new("L", size, 255))
    chosen = cropping(**settings)
    began = time.process_time()
    payload = chosen.payload(data)
    assert time.process_time() - began < 5
    assert payload.data.shape == (224, 224, 3)
    assert payload.data.min() == 255


def test_the_middle_of_a_banner_is_kept(cropping: Callable[..., ImageInputs]):
    banner = Image.new("RGB", (4000, 10), "blue")
    banner.paste("red", (1900, 0, 2100, 10))
    payload = cropping(shorter=32, crop=(32, 32)).payload(encode(banner))
    assert (payload.data == [255, 0, 0]).all()


@pytest.mark.parametrize("resample", list(Image.Resampling))
def test_the_middle_of_a_very_long_banner_is_as_if_all_of_it_were_resized(
    cropping: Callable[..., ImageInputs], resample: Image.Resampling, monkeypatch: pytest.MonkeyPatch
):
    ramp = np.random.default_rng(3).integers(0, 256, (9, 900, 3), np.uint8)
    banner = encode(Image.fromarray(ramp))
    chosen = cropping(shorter=36, crop=(32, 32), resample=resample)
    whole = chosen.payload(banner).data.astype(int)
    monkeypatch.setattr(geometry, "MAX_RESIZED_PIXELS", 1)
    assert np.abs(chosen.payload(banner).data - whole).max() <= 1


def test_an_image_that_would_stay_too_large_is_refused(cropping: Callable[..., ImageInputs]):
    for settings, size in (({}, (4000, 3000)), ({"shorter": 64}, (1, 2000))):
        with pytest.raises(InstanceError) as refused:
            cropping(**settings).payload(encode(Image.new("L", size)))
        assert refused.value.code == "too_large"


@pytest.mark.release
def test_a_large_jpeg_is_reduced_only_where_no_pixel_changes_by_two_levels(cropping: Callable[..., ImageInputs]):
    y, x = np.mgrid[0:2800, 0:3600]
    waves = np.stack([128 + 90 * np.sin(x / 40 + channel) * np.cos(y / 30) for channel in range(3)], -1)
    photo = encode(Image.fromarray(waves.astype(np.uint8)), "JPEG", quality=92)
    reduced = cropping(size=(224, 224)).payload(photo).data.astype(int)
    whole = Image.open(io.BytesIO(photo)).resize((224, 224), Image.Resampling.BILINEAR)
    assert 0 < np.abs(reduced - np.asarray(whole)).max() <= 1


JPEG = CASES["jpeg"][0]
BAD = {
    "nothing": (b"", "empty"),
    "text": (b"no image at all", "corrupt_image"),
    "cut JPEG": (JPEG[: len(JPEG) // 2], "truncated_image"),
    "cut PNG": (CASES["palette"][0][:150], "truncated_image"),
    "broken": (JPEG[:20] + b"\0" * 200, "corrupt_image"),
    "no accepted format": (encode(quarters(), "ICO"), "corrupt_image"),
    "bomb": (encode(Image.new("1", (8000, 7000))), "decompression_bomb"),
    "long": (encode(Image.new("1", (4_000_001, 1))), "decompression_bomb"),
    "large WebP": (encode(Image.new("L", (7000, 3600)), "WEBP", method=0), "decompression_bomb"),
    "large bomb": (encode(Image.new("1", (20_000, 20_000))), "decompression_bomb"),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_images_are_refused_with_the_reason(name: str, inputs: ImageInputs):
    data, code = BAD[name]
    with pytest.raises(InstanceError) as failed:
        inputs.payload(data)
    assert failed.value.code == code


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., ImageInputs]:
    """Inputs by the settings of a processor and of config.json."""

    def made(processor: dict[str, Any], **config: Any) -> ImageInputs:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", **config}))
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
        entry = Entry(name="m", task="image-classification", source=str(tmp_path))
        return ImageInputs(checkpoint.Checkpoint(entry, tmp_path))

    return made


def test_a_model_of_one_channel_reads_grey(configured: Callable[..., ImageInputs]):
    processor = {"image_processor_type": "ViTImageProcessor", "size": 64, "image_mean": [0.5], "image_std": [0.5]}
    inputs = configured(processor, num_channels=1)
    data = inputs.payload(CASES["tiff"][0]).data
    assert (data.shape, data.dtype) == ((64, 64, 1), np.uint8)
    assert [data[row, column, 0] for row, column in ((0, 0), (63, 0), (63, 63))] == [76, 29, 255]
    assert inputs.sample.shape == data.shape


OPEN = {"image_processor_type": "ViTImageProcessor", "do_resize": False}
OPEN_FLOAT = {"image_processor_type": "EfficientNetImageProcessor", "do_resize": False, "do_center_crop": False}


@pytest.mark.parametrize(
    ("config", "size"), [({}, (224, 224)), ({"image_size": 48}, (48, 48)), ({"image_size": [40, 72]}, (40, 72))]
)
def test_the_usual_image_has_the_size_that_the_model_states(
    configured: Callable[..., ImageInputs], config: dict[str, Any], size: tuple[int, int]
):
    assert configured(OPEN, **config).sample.shape == (*size, 3)
    assert configured(OPEN_FLOAT, **config).sample.shape == (3, *size)


@pytest.mark.parametrize("processor", [OPEN, OPEN_FLOAT], ids=["own geometry", "transformers"])
def test_an_image_of_another_size_than_the_model_reads_is_refused_with_both(
    configured: Callable[..., ImageInputs], processor: dict[str, Any]
):
    inputs = configured(processor, image_size=[40, 72])
    wide = encode(Image.new("RGB", (60, 30)))
    assert inputs.payload(wide).size == 1
    inputs.accepts_any_size = False
    with pytest.raises(InstanceError) as refused:
        inputs.payload(wide)
    assert refused.value.message == (
        "The model's processor makes 60 × 30 pixels of the image, and the model reads 72 × 40 only."
    )
    assert inputs.payload(encode(Image.new("RGB", (72, 40)))).size == 1


def test_a_larger_image_costs_its_share_of_the_usual_one(configured: Callable[..., ImageInputs]):
    inputs = configured(OPEN, image_size=48)
    sizes = [inputs.payload(encode(Image.new("RGB", size))).size for size in ((8, 8), (48, 48), (96, 48), (480, 480))]
    assert sizes == [1, 1, 2, 100]


def test_what_our_geometry_cannot_follow_has_the_pixels_of_transformers_processor(
    configured: Callable[..., ImageInputs], tmp_path: Path
):
    inputs = configured({**OPEN_FLOAT, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]})
    image = quarters().resize((9, 7))
    data = inputs.payload(encode(image)).data
    expected = AutoImageProcessor.from_pretrained(tmp_path)(images=image, return_tensors="np")["pixel_values"][0]
    assert inputs.geometry is None
    assert data.dtype == np.float32
    assert data == pytest.approx(expected)


def test_a_bad_image_fails_alone(inputs: ImageInputs):
    good, empty, same = inputs.payloads([CASES["tiff"][0], b"", CASES["tiff"][0]])
    assert isinstance(good, Payload)
    assert isinstance(same, Payload)
    assert good.data.tobytes() == same.data.tobytes() == inputs.payload(CASES["tiff"][0]).data.tobytes()
    assert isinstance(empty, InstanceError)
    assert empty.code == "empty"
