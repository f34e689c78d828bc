"""Object detection finds what transformers' pipeline finds, in pixels of the uploaded image."""

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForObjectDetection, ObjectDetectionPipeline

from gpu_service.errors import InstanceError, StartError
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.predicting import together

SIZES = [(300, 200), (60, 200), (96, 64), (300, 200), (31, 17)]


def _images() -> list[Image.Image]:
    rng = np.random.default_rng(3)
    return [
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in SIZES
    ]


def _encoded(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


@pytest.mark.parametrize("name", list(checkpoints.DETECTORS))
def test_a_batch_has_the_objects_of_the_pipeline(name: str, tmp_path: Path):
    folder = checkpoints.detector(tmp_path, name)
    pipeline = ObjectDetectionPipeline(
        model=AutoModelForObjectDetection.from_pretrained(folder).eval(),
        image_processor=AutoImageProcessor.from_pretrained(folder),
    )
    model = checkpoints.load(folder, "object-detection")
    count = 0
    for threshold in (0.3, 0.5):
        found = together(model, [_encoded(image) for image in _images()], threshold=threshold)
        for image, prediction in zip(_images(), found, strict=True):
            expected = pipeline(image, threshold=threshold)
            count += len(expected)
            objects = msgspec.to_builtins(prediction.objects)
            assert [each["label"] for each in objects] == [each["label"] for each in expected]
            assert [each["score"] for each in objects] == pytest.approx([e["score"] for e in expected], abs=1e-4)
            for one, other in zip(objects, expected, strict=True):
                assert list(one["box"].values()) == pytest.approx(list(other["box"].values()), abs=1)
    assert count > 20


def test_boxes_follow_the_orientation_that_the_image_is_seen_in(tmp_path: Path):
    model = checkpoints.load(checkpoints.detector(tmp_path, "yolos"), "object-detection")
    image = _images()[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    turned = _encoded(image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    upright, seen = together(model, [_encoded(image), turned], threshold=0.3)
    assert upright == seen


def test_images_that_cannot_be_read_fail_alone(tmp_path: Path):
    model = checkpoints.load(checkpoints.detector(tmp_path, "yolos"), "object-detection")
    found = together(model, [b"", b"GIF89a", _encoded(Image.new("RGB", (20_000, 1))), _encoded(_images()[0])])
    assert [each.code for each in found if isinstance(each, InstanceError)] == [
        "empty",
        "corrupt_image",
        "unsupported_size",
    ]
    assert not isinstance(found[3], InstanceError)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("config.json", {"auto_map": {"AutoModel": "own.Model"}}, "names code of its own"),
        ("config.json", {"quantization_config": {"quant_method": "gptq"}}, r"is quantised \(gptq\)"),
        ("adapter_config.json", {"peft_type": "LORA"}, "has an adapter"),
        ("preprocessor_config.json", {"image_processor_type": "ViTImageProcessor"}, "which finds no objects: copy"),
        ("preprocessor_config.json", {"image_processor_type": 7}, "cannot use its image processor"),
    ],
)
def test_a_checkpoint_that_would_not_answer_as_trained_is_refused(
    name: str, settings: dict[str, Any], message: str, tmp_path: Path
):
    path = checkpoints.detector(tmp_path, "yolos") / name
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **settings}))
    with pytest.raises(StartError, match=message):
        checkpoints.load(tmp_path, "object-detection")
