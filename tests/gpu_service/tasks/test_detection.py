"""Object detection finds objects in pixels of the uploaded image; the parity suite compares them with transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gpu_service.errors import InstanceError, StartError
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.photos import encoded, images
from tests.gpu_service.tasks.predicting import together


def test_boxes_follow_the_orientation_that_the_image_is_seen_in(tmp_path: Path):
    model = checkpoints.load(checkpoints.detector(tmp_path, "yolos"), "object-detection")
    image = images()[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    turned = encoded(image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    upright, seen = together(model, [encoded(image), turned], threshold=0.3)
    assert upright == seen


def test_images_that_cannot_be_read_fail_alone(tmp_path: Path):
    model = checkpoints.load(checkpoints.detector(tmp_path, "yolos"), "object-detection")
    found = together(model, [b"", b"GIF89a", encoded(Image.new("RGB", (20_000, 1))), encoded(images()[0])])
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
