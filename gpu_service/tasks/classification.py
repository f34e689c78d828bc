"""Classification of texts and images: the best labels with their scores."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import InstanceError
from gpu_service.inputs.images.pixels import ImageInputs
from gpu_service.inputs.instances import Pair
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.texts.tokens import TextInputs
from gpu_service.networks import text
from gpu_service.parameters import Parameters
from gpu_service.tasks import images
from gpu_service.tasks.predictions import Classification, Prediction
from gpu_service.tasks.task import Inputs, Network, Task, refuse_other_head

FEW_LABELS = 64  # all their scores are copied from the device; of more labels only the best


@dataclass(frozen=True, slots=True)
class Row:
    """The best scores of one instance, in falling order, and the numbers of their labels."""

    scores: list[float]
    labels: list[int]


class Classifier(Task):
    prediction = Classification

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        refuse_other_head(checkpoint)
        self.checkpoint = checkpoint
        self.labels = checkpoint.labels
        self.scoring = checkpoint.scoring
        self.inputs, self.network = self._parts(checkpoint, device)

    @abstractmethod
    def _parts(self, checkpoint: Checkpoint, device: Device) -> tuple[Inputs, Network]: ...

    def scores(self, output: Tensor, data: Sequence[NDArray[Any]]) -> Tensor:
        """In float32: probabilities over all labels, or of each label by itself, or a regression's values."""
        logits = output.float()
        if self.scoring == "none":
            return logits
        return logits.sigmoid() if self.scoring == "sigmoid" else logits.softmax(-1)

    def reduced(self, output: Tensor, data: Sequence[NDArray[Any]], parameters: Sequence[Parameters]) -> Tensor:
        """The best scores, then their labels' numbers."""
        count = len(self.labels)
        if count > FEW_LABELS:
            count = min(count, max(each.top_k for each in parameters))
        best, labels = self.scores(output, data).topk(count, dim=-1)
        return torch.cat((best, labels.float()), dim=1)

    def rows(self, copied: Tensor, data: Sequence[NDArray[Any]]) -> list[Any]:
        half = copied.shape[1] // 2
        return [Row(row[:half], [int(label) for label in row[half:]]) for row in copied.tolist()]

    def is_finite(self, row: Row) -> bool:
        return math.isfinite(row.scores[0]) and math.isfinite(row.scores[-1])  # in falling order, NaN first

    def predict(self, rows: Sequence[Row], payload: Payload, parameters: Parameters) -> Prediction:
        (row,) = rows
        scores: dict[str, float] = {}
        for label, score in zip(row.labels[: parameters.top_k], row.scores, strict=False):
            if parameters.threshold and score < parameters.threshold:  # a regression's values may be below 0
                break
            scores.setdefault(self.labels[label], score)  # of two labels with one name, as ImageNet has, the better one
        return Classification(self.labels[row.labels[0]], row.scores[0], scores, truncated=payload.truncated)


class TextClassifier(Classifier):
    kind = "text"
    reads_pairs = True
    inputs: TextInputs

    def _parts(self, checkpoint: Checkpoint, device: Device) -> tuple[Inputs, Network]:
        network = text.network(checkpoint, device, text.CLASSIFIER)
        return TextInputs(checkpoint, network.max_length, network.vocabulary), network

    def payloads(self, values: Sequence[Any], parameters: Sequence[Parameters]) -> Sequence[Payload | InstanceError]:
        texts = iter(self.inputs.payloads([value for value in values if not isinstance(value, Pair)]))
        return [
            self._pair(value, chosen.max_length) if isinstance(value, Pair) else next(texts)
            for value, chosen in zip(values, parameters, strict=True)
        ]

    def _pair(self, pair: Pair, max_length: int) -> Payload | InstanceError:
        try:
            return self.inputs.pair(pair, max_length)
        except InstanceError as error:
            return error

    def prepared_bytes(self, size: int, _: Parameters) -> int:
        return self.inputs.prepared_bytes(size)

    def samples(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        return [self.inputs.sample(size) for size in sizes]


class ImageClassifier(Classifier):
    kind = "image"
    inputs: ImageInputs

    def _parts(self, checkpoint: Checkpoint, device: Device) -> tuple[Inputs, Network]:
        checkpoint.check()
        return images.classifier(checkpoint, device)

    def prepared_bytes(self, _: int, __: Parameters) -> int:
        return self.inputs.prepared_bytes

    def samples(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        return [self.inputs.sample for _ in sizes]
