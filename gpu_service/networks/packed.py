"""Runs BERT-family encoders without padding for tasks other than classification of single texts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gpu_service.networks import bert
from gpu_service.networks.attention import Packed
from gpu_service.networks.bert import BERT, DISTILBERT, ROBERTA, Family, PackedClassifier, Tokens
from gpu_service.networks.transformer import Linear, Weights

BASES = {"DistilBert": DISTILBERT, "Bert": BERT, "Roberta": ROBERTA, "XLMRoberta": ROBERTA, "Camembert": ROBERTA}


def _family(config: dict[str, Any], *endings: str) -> Family | None:
    """As `bert.family`, for an architecture's name with one of the endings."""
    architecture = (config.get("architectures") or [""])[0]
    for ending in endings:
        names = BASES.get(architecture.removesuffix(ending)) if architecture.endswith(ending) else None
        if names is not None:
            base = next(name for name, family in bert.FAMILIES.items() if family is names)
            return bert.family({**config, "architectures": [base]})
    return None


class PackedTokens(PackedClassifier):
    """Takes the token ids of each text and returns the last layer's rows of all tokens: (tokens, width)."""

    def _finish(self, rows: Tensor, sequences: Packed, order: list[int]) -> Tensor:
        for layer in self.layers:
            rows = layer(rows, sequences)
        return self.head(rows[self._send(_unsorted(sequences.lengths, order))])


class PackedTagger(PackedTokens):
    """Takes the token ids of each text and returns logits (tokens, labels)."""

    @staticmethod
    def family(config: dict[str, Any]) -> Family | None:
        return _family(config, "ForTokenClassification")

    @staticmethod
    def _head(_: Family, weights: Weights) -> Callable[[Tensor], Tensor]:
        return Linear.read(weights, "classifier")


class PackedEncoder(PackedTokens):
    """An encoder without a head; that of a checkpoint is left out."""

    @staticmethod
    def family(config: dict[str, Any]) -> Family | None:
        return _family(config, "Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification")

    @staticmethod
    def _head(*_: object) -> Callable[[Tensor], Tensor]:
        return lambda rows: rows


class PackedPairs(PackedClassifier):
    """Takes the tokens of each pair of texts, (tokens, 2) as ids and segments, and returns logits (pairs, labels)."""

    def _read_embeddings(self, weights: Weights) -> None:
        super()._read_embeddings(weights)
        types = weights.get("embeddings.token_type_embeddings.weight")
        self.segments = None if types is None or len(types) < 2 else types - types[0]  # `positions` include the first

    def _embedded(self, texts: Sequence[Tokens], lengths: list[int]) -> Tensor:
        rows = super()._embedded([pair[:, 0] for pair in texts], lengths)
        if self.segments is None:
            return rows
        return rows.add_(F.embedding(self._send(np.concatenate([pair[:, 1] for pair in texts])), self.segments))


def _unsorted(lengths: list[int], order: list[int]) -> Tokens:
    """For each token in the order of the texts, its row among texts that are sorted by `order`."""
    ends = np.cumsum(lengths)
    rows = [np.arange(end - length, end) for length, end in zip(lengths, ends, strict=True)]
    return np.concatenate([rows[place] for place in np.argsort(order)])
