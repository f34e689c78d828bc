"""Object detectors with random weights, served and held to transformers' pipeline."""

from functools import partial
from pathlib import Path

import msgspec
from transformers import AutoImageProcessor, AutoModelForObjectDetection, ObjectDetectionPipeline

from gpu_service.errors import StartError
from gpu_service.serving.model import Model
from tests.gpu_service.parity.cases import Case
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.photos import encoded, images
from tests.gpu_service.tasks.predicting import together

THRESHOLDS = (0.3, 0.5)
TOLERANCE = 1e-4  # of scores in float32
FEWEST = 20  # objects, so that there is something to compare
CASES = [
    Case(architecture, "as saved", partial(checkpoints.detector, name=name), "fallback")
    for architecture, name in {
        "YOLOS": "yolos",
        "DETR": "detr",
        "Conditional DETR": "conditional-detr",
        "Deformable DETR": "deformable-detr",
        "RT-DETR": "rt-detr",
        "RT-DETR v2": "rt-detr-v2",
        "D-FINE": "d-fine",
    }.items()
]


def outcome(case: Case, folder: Path) -> str:
    """The path that found what transformers' pipeline finds, or the sentence that refused the checkpoint."""
    case.build(folder)
    try:
        model = checkpoints.load(folder, "object-detection")
    except StartError as error:
        return error.message
    hold(model, folder)
    return "fallback"


def hold(model: Model, folder: Path) -> None:
    """Compares the objects in all images, which run in one batch, with those of the pipeline for each alone."""
    pipeline = ObjectDetectionPipeline(
        model=AutoModelForObjectDetection.from_pretrained(folder).eval(),
        image_processor=AutoImageProcessor.from_pretrained(folder),
    )
    count = 0
    for threshold in THRESHOLDS:
        predictions = together(model, [encoded(image) for image in images()], threshold=threshold)
        for image, prediction in zip(images(), predictions, strict=True):
            expected = pipeline(image, threshold=threshold)
            count += len(expected)
            objects = msgspec.to_builtins(prediction.objects)
            assert [each["label"] for each in objects] == [each["label"] for each in expected]
            for one, other in zip(objects, expected, strict=True):
                assert abs(one["score"] - other["score"]) <= TOLERANCE, f"{one} instead of {other}"
                corners = zip(one["box"].values(), other["box"].values(), strict=True)
                assert all(abs(a - b) <= 1 for a, b in corners), f"{one} instead of {other}"
    assert count > FEWEST
