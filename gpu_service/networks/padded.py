"""Runs any other text checkpoint in batches through one of transformers' Auto classes."""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device, full_precision
from gpu_service.errors import StartError
from gpu_service.networks import pretrained
from gpu_service.networks.pretrained import first_line

Tokens = NDArray[np.int64]  # the ids (tokens,), or ids and segments (tokens, 2)
Padding = Literal["right", "left", "none"]

UNLIMITED = 4096  # tokens for models without a maximum of their own; attention takes their square
POSITIONS = ("position_embeddings", "embed_positions", "positions_embed", "wpe")  # modules in transformers
PROBE_LENGTHS = (3, 29, 12)
TOLERANCE = 1e-4  # of the largest logit


class PaddedTexts(ABC):
    """Takes the tokens of each text and returns what the model returns for each text alone.

    Some architectures let padding change the logits. So the start compares padded texts with the same texts alone, and
    chooses the side to pad, or to run only texts of one length together.
    """

    layout = "padded"
    auto_class: ClassVar[str]

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        self.device = device
        self.model = self._load(checkpoint, device)
        self.config: Any = self.model.config.get_text_config()
        accepted = inspect.signature(self.model.forward).parameters
        self.takes_mask = "attention_mask" in accepted
        self.takes_segments = "token_type_ids" in accepted
        self.options = {"use_cache": False} if "use_cache" in accepted else {}
        self.pad: int | None = getattr(self.config, "pad_token_id", None)
        ends = getattr(self.config, "eos_token_id", None)
        self.end: int | None = ends if getattr(self.model.config, "is_encoder_decoder", False) else None
        self.vocabulary = _vocabulary(self.model)
        self.max_length = _max_length(self.model, self.config)
        self.padding = self._exact_padding(checkpoint)

    def _load(self, checkpoint: Checkpoint, device: Device) -> Any:
        return pretrained.load(checkpoint, device, self.auto_class)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Tokens]) -> Tensor:
        groups: dict[tuple[int, int], list[int]] = {}
        for index, text in enumerate(texts):
            groups.setdefault(self._group(text), []).append(index)
        rows = torch.cat([self._run([texts[index] for index in group], self.padding) for group in groups.values()])
        order = self._order([index for group in groups.values() for index in group], texts)
        return rows[torch.from_numpy(order).to(rows.device)]

    @abstractmethod
    def _rows(self, outputs: Any, mask: NDArray[np.int64], /) -> Tensor:
        """The rows of a batch, without those of padding, of the model's outputs."""

    @abstractmethod
    def _order(self, indices: list[int], texts: Sequence[Tokens], /) -> NDArray[np.int64]:
        """Where the rows of each text are, in the order of the texts, when they lie in the order of `indices`."""

    def _group(self, text: Tokens) -> tuple[int, int]:
        """Texts that run together have one group: a length, or as many ends, which encoder-decoders require."""
        ends = int((_ids(text) == self.end).sum()) if self.end is not None else 0
        return (len(text) if self.padding == "none" else 0, ends)

    def _run(self, texts: Sequence[Tokens], padding: Padding) -> Tensor:
        longest = max(len(text) for text in texts)
        ids = np.full((len(texts), longest), self._pad(texts))
        mask, segments = np.zeros_like(ids), np.zeros_like(ids)
        for row, text in enumerate(texts):
            length = len(text)
            at = slice(longest - length, None) if padding == "left" else slice(length)
            mask[row, at] = 1
            ids[row, at] = _ids(text)
            if text.ndim == 2:
                segments[row, at] = text[:, 1]
        inputs = {"input_ids": self.device.send(ids)}
        if self.takes_mask:
            inputs["attention_mask"] = self.device.send(mask)
        if self.takes_segments and any(text.ndim == 2 for text in texts):
            inputs["token_type_ids"] = self.device.send(segments)
        return self._rows(self.model(**inputs, **self.options), mask)

    def _pad(self, texts: Sequence[Tokens]) -> int:
        """The padding token. A model without one reads each text's last token, which padding must not equal."""
        if self.pad is not None:
            return self.pad
        last = {int(_ids(text)[-1]) for text in texts}
        pad = next(token for token in range(len(last) + 1) if token not in last)
        self.config.pad_token_id = pad
        return pad

    def _exact_padding(self, checkpoint: Checkpoint) -> Padding:
        """Compares in float32, since half precision rounds as much as padding may change.

        Raises:
            StartError: the model does not run on texts alone.
        """
        texts, model = self._probes(), self.model
        if self.device.dtype != torch.float32:
            self.model = copy.deepcopy(model).float()
        try:
            with torch.inference_mode(), full_precision():
                alone = torch.cat([self._run([text], "none") for text in texts])
                sides: tuple[Padding, ...] = ("right", "left")
                return next((side for side in sides if self._is_exact(side, texts, alone)), "none")
        except Exception as error:
            raise StartError(f"{checkpoint.folder} does not run: {first_line(error)}.") from error
        finally:
            self.model = model

    def _is_exact(self, side: Padding, texts: Sequence[Tokens], alone: Tensor) -> bool:
        try:
            together = self._run(texts, side)
        except (RuntimeError, ValueError, IndexError):
            return False
        return float((together - alone).abs().max()) <= TOLERANCE * float(alone.abs().max())  # False for NaN

    def _probes(self) -> list[Tokens]:
        """Made-up texts, without the tokens that some models look for, but with the end that others require."""
        special = {self.pad, *(getattr(self.config, name, None) for name in ("bos_token_id", "eos_token_id"))}
        tokens = [token for token in range(min(self.vocabulary or 64, 1000)) if token not in special] or [0]
        rng = np.random.default_rng(0)
        texts = [rng.choice(tokens, min(length, self.max_length)) for length in PROBE_LENGTHS]
        for text in texts:
            text[-1] = text[-1] if self.end is None else self.end
        return [np.stack((text, np.zeros_like(text)), 1) if self.takes_segments else text for text in texts]


def _ids(text: Tokens) -> Tokens:
    return text if text.ndim == 1 else text[:, 0]


class PaddedClassifier(PaddedTexts):
    """Returns logits (texts, labels)."""

    auto_class = "AutoModelForSequenceClassification"

    def _rows(self, outputs: Any, _: NDArray[np.int64], /) -> Tensor:
        logits: Tensor = outputs.logits
        return logits

    def _order(self, indices: list[int], _: Sequence[Tokens], /) -> NDArray[np.int64]:
        return np.argsort(indices)


class PaddedTokens(PaddedTexts):
    """Returns a row for each token: (tokens, width)."""

    output: ClassVar[str]

    def _rows(self, outputs: Any, mask: NDArray[np.int64], /) -> Tensor:
        padded: Tensor = getattr(outputs, self.output)
        return padded.flatten(0, 1)[self.device.send(np.flatnonzero(mask))]

    def _order(self, indices: list[int], texts: Sequence[Tokens], /) -> NDArray[np.int64]:
        ends = np.cumsum([len(texts[index]) for index in indices])
        rows = {index: np.arange(end - len(texts[index]), end) for index, end in zip(indices, ends, strict=True)}
        return np.concatenate([rows[index] for index in range(len(texts))])


class PaddedTagger(PaddedTokens):
    """Returns logits (tokens, labels)."""

    auto_class = "AutoModelForTokenClassification"
    output = "logits"


class PaddedEncoder(PaddedTokens):
    """Returns the last layer's rows; of models with a decoder, those of the encoder."""

    auto_class = "AutoModel"
    output = "last_hidden_state"

    def _load(self, checkpoint: Checkpoint, device: Device) -> Any:
        is_t5 = checkpoint.config.get("model_type") in ("t5", "mt5", "umt5")
        auto_class = "AutoModelForTextEncoding" if is_t5 else self.auto_class
        model = pretrained.load(checkpoint, device, auto_class, unused="pooler")
        return model.get_encoder() if model.config.is_encoder_decoder and not is_t5 else model


def _vocabulary(model: Any) -> int | None:
    """How many tokens the model knows; None if it hashes them."""
    try:
        return int(getattr(model.get_input_embeddings(), "num_embeddings", 0)) or None
    except NotImplementedError:
        return None


def _max_length(model: nn.Module, config: Any) -> int:
    """The most tokens that the model has positions for: less than `max_position_embeddings` in RoBERTa's relatives."""
    limits = [limit for name, module in model.named_modules() if (limit := _positions(name, module)) is not None]
    stated = int(getattr(config, "max_position_embeddings", 0) or 0)
    return min((*limits, stated) if stated > 0 else limits, default=UNLIMITED)


def _positions(name: str, module: nn.Module) -> int | None:
    """For how many tokens a table of absolute positions has rows; None for other modules."""
    table = getattr(module, "weight", None)
    if name.rpartition(".")[2] not in POSITIONS or table is None:
        return None
    padding: int | None = getattr(module, "padding_idx", None)
    offset = getattr(module, "offset", 0) if padding is None else padding + 1
    return int(table.shape[0]) - int(offset)
