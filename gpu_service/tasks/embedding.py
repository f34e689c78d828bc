"""Embeddings: one vector for a text, pooled as the checkpoint's own files say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.texts.tokens import TextInputs
from gpu_service.networks import text
from gpu_service.networks.pooling import Pooling
from gpu_service.parameters import Parameters
from gpu_service.tasks.predictions import Embedding
from gpu_service.tasks.sentence_transformers import SentenceTransformer
from gpu_service.tasks.task import Network, Task


class FeatureExtraction(Task):
    """A folder of sentence-transformers, or a plain encoder, whose tokens' vectors are averaged."""

    kind = "text"
    prediction = Embedding
    inputs: TextInputs

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        files = {path.name for path in checkpoint.folder.iterdir()}
        if "preprocessor_config.json" in files and not files & {"tokenizer.json", "tokenizer_config.json"}:
            raise StartError(f"{checkpoint.folder} is a model for images; feature-extraction embeds texts only.")
        self.labels: list[str] = []
        self.definition = SentenceTransformer.read(checkpoint)
        encoder = self.checkpoint = self.definition.encoder
        network = text.network(encoder, device, text.ENCODER)
        self.network: Network = network
        self.pooling = Pooling(self.definition.modes, self.definition.steps(device), device)
        max_length = min(network.max_length, self.definition.max_length or network.max_length)
        self.inputs = TextInputs(encoder, max_length, network.vocabulary)

    def payloads(self, values: Sequence[Any], parameters: Sequence[Parameters]) -> Sequence[Payload | InstanceError]:
        return self.inputs.payloads([self.definition.prepared(value) for value in values])

    def prepared_bytes(self, size: int, _: Parameters) -> int:
        return self.inputs.prepared_bytes(size)

    def samples(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        return [self.inputs.sample(size) for size in sizes]

    def scores(self, output: Tensor, data: Sequence[NDArray[Any]]) -> Tensor:
        """The vectors in length 1."""
        return torch.nn.functional.normalize(self.pooling(output, [len(tokens) for tokens in data]))

    def reduced(self, output: Tensor, data: Sequence[NDArray[Any]], parameters: Sequence[Parameters]) -> Tensor:
        return self.pooling(output, [len(tokens) for tokens in data])

    def predict(self, rows: Sequence[NDArray[np.float32]], payload: Payload, parameters: Parameters) -> Embedding:
        return Embedding(rows[0].tolist(), truncated=payload.truncated)
