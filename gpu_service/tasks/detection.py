"""Object detection: what is where in an image, as transformers' processor decides it."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.images import decoding
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload
from gpu_service.networks.detector import BOX, Detector
from gpu_service.networks.pretrained import first_line
from gpu_service.parameters import Parameters
from gpu_service.tasks.predictions import Box, DetectedObject, Detection
from gpu_service.tasks.task import Task, check_head

SAMPLE = (480, 640)  # height and width of a made-up image
ASPECT = 2  # most memory of an image of another aspect ratio, compared with the sample's
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class ObjectDetection(Task):
    kind = "image"
    prediction = Detection
    inputs: "DetectionInputs"

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        checkpoint.check()
        check_head(checkpoint, "ForObjectDetection")
        self.checkpoint = checkpoint
        self.labels = checkpoint.labels
        self.network = Detector(checkpoint, device)
        self.inputs = DetectionInputs(checkpoint)
        self.sample = self.inputs.prepared(Image.new("RGB", SAMPLE[::-1], (128, 128, 128)))

    def prepared_bytes(self, _: int, __: Parameters) -> int:
        return ASPECT * self.sample.nbytes

    def samples(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        return [self.sample] * len(sizes)

    def scores(self, output: Tensor, data: Sequence[NDArray[Any]]) -> Tensor:
        return torch.cat((output[..., :-BOX].softmax(-1), output[..., -BOX:]), -1)

    def reduced(self, output: Tensor, data: Sequence[NDArray[Any]], parameters: Sequence[Parameters]) -> Tensor:
        return output

    def predict(self, rows: Sequence[Any], payload: Payload, parameters: Parameters) -> Detection:
        output = torch.from_numpy(rows[0])[None]
        outputs = SimpleNamespace(logits=output[..., :-BOX], pred_boxes=output[..., -BOX:])
        (found,) = self.inputs.processor.post_process_object_detection(
            outputs,
            threshold=parameters.threshold,
            target_sizes=torch.tensor([payload.context]),
        )
        objects = [
            DetectedObject(self.labels[label], score, Box(**dict(zip(CORNERS, box, strict=True))))
            for score, label, box in zip(
                found["scores"].tolist(), found["labels"].tolist(), found["boxes"].int().tolist(), strict=True
            )
        ]
        return Detection(objects)


class DetectionInputs:
    """Reads encoded images in full size, and prepares them with the checkpoint's own processor."""

    kind: Kind = "image"

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers import AutoImageProcessor

        try:
            self.processor: Any = AutoImageProcessor.from_pretrained(checkpoint.folder, local_files_only=True)
        except Exception as error:  # its settings may be wrong in any way
            reason = first_line(error)
            raise StartError(f"{checkpoint.folder}: transformers cannot use its image processor: {reason}.") from error
        if not hasattr(self.processor, "post_process_object_detection"):
            raise StartError(
                f"{checkpoint.folder} has the image processor {type(self.processor).__name__}, which finds no objects: "
                "copy the preprocessor_config.json of the model that this one was trained from."
            )

    def payloads(self, images: Sequence[bytes]) -> list[Payload | InstanceError]:
        """Each image's payload or error."""
        return [self._payload(data) for data in images]

    def _payload(self, data: bytes) -> Payload | InstanceError:
        try:
            with decoding.decoded(data, "RGB", None) as image:
                width, height = decoding.size(data)
                try:
                    prepared = self.prepared(image)
                except (ValueError, ZeroDivisionError):
                    return InstanceError("The image is too narrow or too flat for the model.", "unsupported_size")
                return Payload(prepared, 1, context=(height, width))
        except InstanceError as error:
            return error

    def prepared(self, image: Image.Image) -> NDArray[np.float32]:
        """(3, height, width), or (4, height, width) with the mask of pixels that are not padding."""
        inputs = self.processor(images=[image], return_tensors="np")
        pixels, mask = np.asarray(inputs["pixel_values"][0], dtype=np.float32), inputs.get("pixel_mask")
        if mask is None or mask.all():
            return pixels
        return np.concatenate((pixels, mask.astype(np.float32)))
