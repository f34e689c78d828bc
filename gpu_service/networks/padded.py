"""Runs any other text checkpoint for these tasks in padded batches, through one of transformers' Auto classes."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.networks.auto import send

UNLIMITED = 512  # tokens, of a model whose configuration has no limit


class PaddedTexts:
    """Texts of different lengths in one batch; the outputs for padding are dropped."""

    layout = "padded"

    def __init__(self, checkpoint: Checkpoint, device: Device, auto_class: str) -> None:
        self.device = device
        self.model = loaded(checkpoint, device, auto_class)
        self.pad = self.model.config.pad_token_id or 0
        self.max_length = _max_length(self.model)
        types = getattr(self.model.config, "type_vocab_size", 0) or 0
        self.has_segments = types > 1 and "token_type_ids" in inspect.signature(self.model.forward).parameters

    def _outputs(self, texts: Sequence[NDArray[np.int64]]) -> Any:
        """Of texts as token ids, (tokens), or as ids and segments, (tokens, 2)."""
        shape = (len(texts), max(map(len, texts)))
        ids, mask, segments = np.full(shape, self.pad), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(texts):
            ids[row, : len(tokens)] = tokens if tokens.ndim == 1 else tokens[:, 0]
            segments[row, : len(tokens)] = 0 if tokens.ndim == 1 else tokens[:, 1]
            mask[row, : len(tokens)] = 1
        sent = {"input_ids": send(ids, self.device), "attention_mask": send(mask, self.device)}
        if self.has_segments:
            sent["token_type_ids"] = send(segments, self.device)
        return self.model(**sent)

    def _tokens(self, padded: Tensor, texts: Sequence[NDArray[np.int64]]) -> Tensor:
        """From (texts, longest, width) to (tokens, width)."""
        width = padded.shape[1]
        rows = np.concatenate([np.arange(len(tokens)) + index * width for index, tokens in enumerate(texts)])
        return padded.flatten(0, 1)[send(rows, self.device)]


class PaddedTagger(PaddedTexts):
    """Takes the token ids of each text and returns logits (tokens, labels)."""

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        super().__init__(checkpoint, device, "AutoModelForTokenClassification")

    @torch.inference_mode()
    def __call__(self, texts: Sequence[NDArray[np.int64]]) -> Tensor:
        return self._tokens(self._outputs(texts).logits, texts)


class PaddedPairs(PaddedTexts):
    """Takes the tokens of each pair of texts, (tokens, 2) as ids and segments, and returns logits (pairs, labels)."""

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        super().__init__(checkpoint, device, "AutoModelForSequenceClassification")

    @torch.inference_mode()
    def __call__(self, pairs: Sequence[NDArray[np.int64]]) -> Tensor:
        logits: Tensor = self._outputs(pairs).logits
        return logits


class PaddedEncoder(PaddedTexts):
    """Takes the token ids of each text and returns the last layer's rows of all tokens: (tokens, width)."""

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        is_t5 = checkpoint.config.get("model_type") in ("t5", "mt5", "umt5")
        super().__init__(checkpoint, device, "AutoModelForTextEncoding" if is_t5 else "AutoModel")
        if self.model.config.is_encoder_decoder and not is_t5:
            self.model = self.model.get_encoder()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[NDArray[np.int64]]) -> Tensor:
        return self._tokens(self._outputs(texts).last_hidden_state, texts)


def loaded(checkpoint: Checkpoint, device: Device, auto_class: str) -> Any:
    """The checkpoint through the class.

    Raises:
        StartError: transformers cannot load it, or would fill weights that it lacks with random numbers.
    """
    import transformers

    try:
        model, report = getattr(transformers, auto_class).from_pretrained(
            checkpoint.folder, dtype=device.dtype, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StartError(f"transformers cannot load {checkpoint.folder}: {reason}") from error
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise StartError(
            f"{checkpoint.folder} lacks weights that {checkpoint.entry.task} needs, such as {missing[0]}; "
            "choose the task that it was trained for."
        )
    return model.to(device.handle).eval()


def _max_length(model: Any) -> int:
    """The most tokens of a text: positions of RoBERTa's kin begin after that of padding."""
    limit = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return UNLIMITED
    positions = (module for name, module in model.named_modules() if name.endswith("embeddings.position_embeddings"))
    padding = getattr(next(positions, None), "padding_idx", None)
    return limit if padding is None else limit - int(padding) - 1
