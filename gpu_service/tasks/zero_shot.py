"""Zero-shot classification: how well labels of the caller's choice fit a text, by natural-language inference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.texts.tokens import LocatedTextInputs
from gpu_service.networks import text as networks
from gpu_service.parameters import Parameters
from gpu_service.tasks.predictions import Classification
from gpu_service.tasks.task import Network, Task, check_head


class ZeroShotClassification(Task):
    """An instance runs as one pair of texts per label: the text itself, and the label in the template."""

    kind = "text"
    prediction = Classification
    inputs: LocatedTextInputs

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        check_head(checkpoint, "ForSequenceClassification")
        self.checkpoint = checkpoint
        self.labels = checkpoint.labels
        self.entailment = _entailment(checkpoint)
        self.contradiction = -1 if self.entailment == 0 else 0
        network = networks.network(checkpoint, device, networks.CLASSIFIER)
        self.network: Network = network
        self.inputs = LocatedTextInputs(checkpoint, network.max_length, network.vocabulary)
        side = "left" if self.inputs.cuts_start else "right"
        self.inputs.tokenizer.enable_truncation(self.inputs.max_length, strategy="only_first", direction=side)

    def payloads(self, values: Sequence[Any], parameters: Sequence[Parameters]) -> Sequence[Payload | InstanceError]:
        known: dict[str, Encoding] = {}
        return [self._payload(value, chosen, known) for value, chosen in zip(values, parameters, strict=True)]

    def _payload(self, value: object, parameters: Parameters, known: dict[str, Encoding]) -> Payload | InstanceError:
        """`known` are the hypotheses of earlier instances."""
        if not parameters.labels:
            message = "Zero-shot classification requires the parameter labels, a list of candidate labels."
            return InstanceError(message, "invalid_parameters")
        hypotheses = [parameters.hypothesis_template.replace("{}", label) for label in dict.fromkeys(parameters.labels)]
        for text in hypotheses:
            if text not in known:
                known[text] = self.inputs.tokenizer.encode(text, add_special_tokens=False)
        try:
            premise = self.inputs.encoding(value, special=False)
        except InstanceError as error:
            return error
        truncated = bool(premise.overflowing)
        parts = []
        for hypothesis in map(known.__getitem__, hypotheses):
            room = self.inputs.max_length - len(hypothesis.ids) - self.inputs.tokenizer.num_special_tokens_to_add(True)
            if room < 1 or hypothesis.overflowing:
                return InstanceError("A label is too long for the model.", "invalid_parameters")
            truncated = truncated or len(premise.ids) > room
            pair = self.inputs.tokenizer.post_process(premise, hypothesis)
            parts.append(self.inputs.of_encoding(pair))
        return Payload(parts[0].data, sum(part.size for part in parts), truncated, parts)

    def prepared_bytes(self, size: int, parameters: Parameters) -> int:
        longest = max(map(len, parameters.labels), default=0) + len(parameters.hypothesis_template)
        return len(parameters.labels) * self.inputs.prepared_bytes(size + 4 * longest)

    def samples(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        return [self.inputs.sample(size) for size in sizes]

    def scores(self, output: Tensor, data: Sequence[NDArray[Any]]) -> Tensor:
        return output.float().softmax(-1)

    def reduced(self, output: Tensor, data: Sequence[NDArray[Any]], parameters: Sequence[Parameters]) -> Tensor:
        return output.float()

    def predict(self, rows: Sequence[Any], payload: Payload, parameters: Parameters) -> Classification:
        labels = list(dict.fromkeys(parameters.labels))
        logits = np.stack(rows).astype(np.float64)
        if parameters.multi_label or len(labels) == 1:  # each label by itself
            scores = _softmax(logits[:, [self.contradiction, self.entailment]], 1)[:, 1]
        else:
            scores = _softmax(logits[:, self.entailment], 0)
        best = sorted(range(len(labels)), key=lambda index: -scores[index])
        by_label = {labels[index]: float(scores[index]) for index in best}
        return Classification(labels[best[0]], float(scores[best[0]]), by_label, truncated=payload.truncated)


def _softmax(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    powers = np.exp(values - values.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def _entailment(checkpoint: Checkpoint) -> int:
    """The number of the label that says that the second text follows from the first. Raises StartError."""
    numbers = checkpoint.config.get("label2id") or {label: index for index, label in enumerate(checkpoint.labels)}
    for label, number in numbers.items():
        if str(label).lower().startswith("entail"):
            return int(number)
    raise StartError(
        f"{checkpoint.folder} has no label that begins with 'entail', so it cannot do zero-shot classification; "
        "name its labels in id2label and label2id of config.json, or choose text-classification."
    )
