"""Runs any other text classifier in batches through transformers' Auto class."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.networks.completeness import refuse_mismatched, refuse_missing

Tokens = NDArray[np.int64]  # the ids (tokens,), or ids and segments (tokens, 2)
Padding = Literal["right", "left", "none"]

UNLIMITED = 4096  # tokens for models without a maximum of their own; attention takes their square
POSITIONS = ("position_embeddings", "embed_positions", "positions_embed", "wpe")  # modules in transformers
PROBE_LENGTHS = (3, 29, 12)
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-4}  # of the largest logit
ROUGH_TOLERANCE = 5e-3


class AutoTextClassifier:
    """Takes the tokens of each text and returns logits (texts, labels), those of each text alone.

    Some architectures let padding change the logits. So the start compares padded texts with the same texts alone, and
    chooses the side to pad, or to run only texts of one length together.
    """

    layout = "padded"

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        self.device = device
        self.model = _loaded(checkpoint, device)
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

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Tokens]) -> Tensor:
        groups: dict[tuple[int, int], list[int]] = {}
        for index, text in enumerate(texts):
            groups.setdefault(self._group(text), []).append(index)
        logits = torch.cat([self._run([texts[index] for index in group], self.padding) for group in groups.values()])
        order = np.argsort(np.concatenate(list(groups.values())))
        return logits[torch.from_numpy(order).to(logits.device)]

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
        inputs = {"input_ids": self._send(ids)}
        if self.takes_mask:
            inputs["attention_mask"] = self._send(mask)
        if self.takes_segments and any(text.ndim == 2 for text in texts):
            inputs["token_type_ids"] = self._send(segments)
        logits: Tensor = self.model(**inputs, **self.options).logits
        return logits

    def _pad(self, texts: Sequence[Tokens]) -> int:
        """The padding token. A model without one reads each text's last token, which padding must not equal."""
        if self.pad is not None:
            return self.pad
        last = {int(_ids(text)[-1]) for text in texts}
        pad = next(token for token in range(len(last) + 1) if token not in last)
        self.config.pad_token_id = pad
        return pad

    def _exact_padding(self, checkpoint: Checkpoint) -> Padding:
        """Raises StartError: the model does not run on texts alone."""
        texts = self._probes()
        try:
            with torch.inference_mode():
                alone = torch.cat([self._run([text], "none") for text in texts]).float()
        except Exception as error:
            raise StartError(f"{checkpoint.folder} does not classify texts: {_first_line(error)}.") from error
        sides: tuple[Padding, ...] = ("right", "left")
        return next((side for side in sides if self._is_exact(side, texts, alone)), "none")

    def _is_exact(self, side: Padding, texts: Sequence[Tokens], alone: Tensor) -> bool:
        try:
            with torch.inference_mode():
                together = self._run(texts, side).float()
        except (RuntimeError, ValueError, IndexError):
            return False
        tolerance = TOLERANCES.get(self.device.dtype, ROUGH_TOLERANCE)
        return float((together - alone).abs().max()) <= tolerance * float(alone.abs().max())  # False for NaN

    def _probes(self) -> list[Tokens]:
        """Made-up texts, without the tokens that some models look for, but with the end that others require."""
        special = {self.pad, *(getattr(self.config, name, None) for name in ("bos_token_id", "eos_token_id"))}
        tokens = [token for token in range(min(self.vocabulary or 64, 1000)) if token not in special] or [0]
        rng = np.random.default_rng(0)
        texts = [rng.choice(tokens, min(length, self.max_length)) for length in PROBE_LENGTHS]
        for text in texts:
            text[-1] = text[-1] if self.end is None else self.end
        return [np.stack((text, np.zeros_like(text)), 1) if self.takes_segments else text for text in texts]

    def _send(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        if not self.device.is_cuda:
            return tensor
        return tensor.pin_memory().to(self.device.handle, non_blocking=True)


def _ids(text: Tokens) -> Tokens:
    return text if text.ndim == 1 else text[:, 0]


def _loaded(checkpoint: Checkpoint, device: Device) -> Any:
    """Raises StartError: transformers cannot load it, or only with random weights."""
    from transformers import AutoModelForSequenceClassification

    load: Callable[..., Any] = AutoModelForSequenceClassification.from_pretrained
    try:
        model, report = load(
            checkpoint.folder,
            dtype=device.dtype,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to refuse them by name
        )
    except Exception as error:
        raise StartError(f"{checkpoint.folder} cannot be loaded by transformers: {_first_line(error)}.") from error
    refuse_missing(checkpoint, report["missing_keys"])
    refuse_mismatched(checkpoint, {name: (tuple(was), tuple(is_)) for name, was, is_ in report["mismatched_keys"]})
    return model.to(device.handle).eval()


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


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
