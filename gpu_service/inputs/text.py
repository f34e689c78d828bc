"""Turns texts into token ids with the checkpoint's tokenizer."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError
from gpu_service.inputs import tokenizer
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.tokenizer import Encoding
from gpu_service.inputs.wordpiece import WordPiece, is_bert

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # texts are prepared in our own threads

Tokens = NDArray[np.int64]  # the ids (tokens,), or ids and segments (tokens, 2) where a segment is not 0

FEW_CHARACTERS = 4096  # tokenising them takes less time than another thread would add
PREFIX_PER_TOKEN = 64
SURPLUS = 128  # tokens beyond the maximum, so that cutting the prefix within a word cannot change the ids


class TextInputs:
    """Reads texts; those of more tokens than the model takes are cut, on the side that the tokenizer says.

    `vocabulary` is how many tokens the model knows, which may be fewer than the tokenizer has.
    """

    kind: Kind = "text"

    def __init__(self, checkpoint: Checkpoint, max_length: int, vocabulary: int | None = None) -> None:
        self.tokenizer, settings = tokenizer.load(checkpoint)
        self.max_length = min(settings.max_length or max_length, max_length)
        self.cuts_start = settings.truncation_side == "left"
        self.has_segments = settings.has_segments
        known = self.tokenizer.get_vocab_size()
        self.vocabulary = min(vocabulary or known, known)
        self.is_partial = self.vocabulary < known
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.words = None
        if isinstance(self.tokenizer, Tokenizer) and not self.cuts_start and is_bert(self.tokenizer):
            self.words = WordPiece(self.tokenizer)
        self.tokenizer.enable_truncation(self.max_length, direction=settings.truncation_side)

    def sample(self, size: int) -> Tokens:
        """Made-up tokens, of which the last is that of any text, as some models require."""
        tokens: Tokens = np.arange(size, dtype=np.int64) % self.vocabulary
        tokens[-1:] = self.tokenizer.encode("a").ids[-1:] or tokens[-1:]
        return tokens

    def payload(self, text: object) -> Payload:
        """Raises InstanceError: `invalid_text` or `empty`."""
        text = checked(text)
        if self.words is not None:
            ids, truncated = self._encoded(text)
            return self._payload(ids, None, truncated)
        encoding = self._encoding(text)
        return self._payload(encoding.ids, encoding.type_ids, bool(encoding.overflowing))

    def payloads(self, texts: Sequence[object]) -> list[Payload | InstanceError]:
        """Each text's payload or error; batches that the library tokenises release the interpreter's lock."""
        payloads: list[Any] = [None] * len(texts)
        batch: dict[int, str] = {}
        for index, text in enumerate(texts):
            try:
                if self.words is None and isinstance(text, str) and len(text) <= self._prefix:
                    batch[index] = checked(text)
                else:
                    payloads[index] = self.payload(text)
            except InstanceError as error:
                payloads[index] = error
        encodings: Sequence[Encoding] = self.tokenizer.encode_batch_fast(list(batch.values())) if batch else []
        for index, encoding in zip(batch, encodings, strict=True):
            try:
                payloads[index] = self._payload(encoding.ids, encoding.type_ids, bool(encoding.overflowing))
            except InstanceError as error:
                payloads[index] = error
        return payloads

    def _payload(self, ids: list[int], segments: list[int] | None, truncated: bool) -> Payload:
        """Raises InstanceError: the text has no tokens, or one that the model does not know."""
        if not ids:
            raise InstanceError("The text has nothing that the model's tokenizer reads.", "empty")
        if self.is_partial and max(ids) >= self.vocabulary:
            token = self.tokenizer.decode([max(ids)], skip_special_tokens=False)
            raise InstanceError(
                f"The text has the token {token!r:.100}, which the model does not know.", "invalid_text"
            )
        if self.has_segments and segments is not None and any(segments):
            return Payload(np.array((ids, segments), dtype=np.int64).T, len(ids), truncated)
        return Payload(np.array(ids, dtype=np.int64), len(ids), truncated)

    @property
    def _prefix(self) -> int:
        """How many characters of a text are read first."""
        return PREFIX_PER_TOKEN * self.max_length

    def _encoding(self, text: str) -> Encoding:
        """Of a very long text only the beginning is read, unless the start is what the tokenizer cuts off."""
        if len(text) > self._prefix and not self.cuts_start:
            encoding: Encoding = self.tokenizer.encode(text[: self._prefix])
            if _surplus(encoding) >= SURPLUS:
                return encoding
        whole: Encoding = self.tokenizer.encode(text)
        return whole

    def _encoded(self, text: str) -> tuple[list[int], bool]:
        """The ids through the cache of words, and whether some were cut off."""
        if len(text) > self._prefix:
            ids, surplus = self._cut(text[: self._prefix])
            if surplus >= SURPLUS:
                return ids, True
        ids, surplus = self._cut(text)
        return ids, surplus > 0

    def _cut(self, text: str) -> tuple[list[int], int]:
        """The ids up to the model's maximum, and how many more there are."""
        assert self.words is not None
        ids, room = self.words(text), self.max_length - 2
        return [self.words.first, *ids[:room], self.words.last], max(0, len(ids) - room)


def checked(text: object) -> str:
    """Raises InstanceError: `invalid_text` or `empty`."""
    if not isinstance(text, str):
        raise InstanceError("text must be a string.", "invalid_text")
    if not text or text.isspace():
        raise InstanceError("The text is empty.", "empty")
    return text


def _surplus(encoding: Encoding) -> int:
    return sum(len(part.ids) for part in encoding.overflowing)
