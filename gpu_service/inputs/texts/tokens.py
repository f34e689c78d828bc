"""Turns texts into token ids with the checkpoint's tokenizer."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gpu_service import logs
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.instances import Kind, Pair
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.texts import tokenizer
from gpu_service.inputs.texts.tokenizer import Encoding
from gpu_service.inputs.texts.wordpiece import WordPiece, is_bert
from gpu_service.parameters import MAX_TOKENS

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # texts are prepared in our own threads

Tokens = NDArray[np.int64]  # the ids (tokens,), or ids and segments (tokens, 2) where a segment is not 0

FEW_CHARACTERS = 4096  # tokenising them takes less time than another thread would add
PREFIX_PER_TOKEN = 64
TOKEN_BYTES = 16  # an id and a segment
SPECIAL_TOKENS = 4  # at most, around a text or a pair
SURPLUS = 128  # tokens beyond the maximum, so that cutting the prefix within a word cannot change the ids
MOST_READ = 1 << 20  # characters of a text; the library panics on a single word of many millions

logger = logging.getLogger(__name__)


class TextInputs:
    """Reads texts; those of more tokens than the model takes are cut, on the side that the tokenizer says.

    `vocabulary` is how many tokens the model knows, which may be fewer than the tokenizer has.
    """

    kind: Kind = "text"

    def __init__(self, checkpoint: Checkpoint, max_length: int, vocabulary: int | None = None) -> None:
        self.checkpoint = checkpoint
        self.tokenizer, settings = tokenizer.load(checkpoint)
        most: int = checkpoint.defaults.get("max_length", MAX_TOKENS)
        self.max_length = min(settings.max_length or max_length, max_length, most)
        self.cuts_start = settings.truncation_side == "left"
        self.has_segments = settings.has_segments
        known = self.tokenizer.get_vocab_size()
        self.vocabulary = min(vocabulary or known, known)
        self.is_partial = self.vocabulary < known
        if self.is_partial:
            logger.warning(
                "the tokenizer has more tokens than the model knows; is it the one that the model was trained with?",
                extra=logs.fields(model=checkpoint.entry.name, tokenizer=known, known=self.vocabulary),
            )
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

    def prepared_bytes(self, size: int) -> int:
        """The most memory that the tokens of a text of `size` bytes take."""
        return TOKEN_BYTES * min(size + SPECIAL_TOKENS, self.max_length)

    def payload(self, text: object) -> Payload:
        """Raises InstanceError: `invalid_text` or `empty`."""
        whole = checked(text)
        text = self._bounded(whole)
        was_cut = len(text) < len(whole)
        if self.words is not None:
            ids, truncated = self._encoded(text)
            return self._payload(ids, None, truncated or was_cut)
        encoding = self._encoding(text)
        return self._payload(encoding.ids, encoding.type_ids, bool(encoding.overflowing) or was_cut)

    def of_encoding(self, encoding: Encoding, context: Any = None) -> Payload:
        """Raises InstanceError: the text has no tokens, or one that the model does not know."""
        return self._payload(encoding.ids, encoding.type_ids, bool(encoding.overflowing), context)

    def pair(self, pair: Pair, max_length: int) -> Payload:
        """Two texts as one payload, of which the longer one is cut first, as transformers does.

        Raises:
            InstanceError: as `payload` does.
        """
        first, second = (self._bounded(checked(text)) for text in (pair.text, pair.text_pair))
        if not isinstance(self.tokenizer, Tokenizer):
            return self.shortened(self.of_encoding(self.tokenizer.encode(first, second)), max_length)
        parts = [self._encoding(text, add_special_tokens=False) for text in (first, second)]
        room = min(max_length, self.max_length) - self.tokenizer.num_special_tokens_to_add(True)
        whole = [len(part.ids) + _surplus(part) for part in parts]
        lengths = _longest_first(whole[0], whole[1], room)
        was_cut = sum(lengths) < sum(whole) or len(first) + len(second) < len(pair.text) + len(pair.text_pair)
        for part, length in zip(parts, lengths, strict=True):
            part.truncate(length, direction="left" if self.cuts_start else "right")
        together = self.tokenizer.post_process(*parts)
        return self._payload(together.ids, together.type_ids, was_cut)

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
                payloads[index] = self.of_encoding(encoding)
            except InstanceError as error:
                payloads[index] = error
        return payloads

    def _payload(self, ids: list[int], segments: list[int] | None, truncated: bool, context: Any = None) -> Payload:
        if not ids:
            raise InstanceError("The text has nothing that the model's tokenizer reads.", "empty")
        if self.is_partial and max(ids) >= self.vocabulary:
            token = self.tokenizer.decode([max(ids)], skip_special_tokens=False)
            raise InstanceError(
                f"The text has the token {token!r:.100}, which the model does not know.", "invalid_text"
            )
        has_segments = self.has_segments and segments is not None and any(segments)
        data = np.array((ids, segments), dtype=np.int64).T if has_segments else np.array(ids, dtype=np.int64)
        return Payload(data, len(ids), truncated, context=context)

    def shortened(self, payload: Payload, max_length: int) -> Payload:
        """The payload with at most `max_length` tokens, of which the special ones are kept."""
        data, length = payload.data, len(payload.data)
        surplus = length - max_length
        if surplus <= 0:
            return payload
        before, after = self._special
        first, last = before, length - after - surplus
        if self.cuts_start:
            first, last = before + surplus, length - after
        kept = (data[:before], data[first:last], data[length - after :])
        return replace(payload, data=np.concatenate(kept), size=max_length, truncated=True)

    @cached_property
    def _special(self) -> tuple[int, int]:
        """How many special tokens stand before a text's own, and how many after them."""
        special, ids = self.tokenizer.encode("").ids, self.tokenizer.encode("a").ids
        differing = (at for at, (one, other) in enumerate(zip(special, ids, strict=False)) if one != other)
        before = next(differing, len(special))
        return before, len(special) - before

    @property
    def _prefix(self) -> int:
        """How many characters of a text are read first."""
        return min(PREFIX_PER_TOKEN * self.max_length, MOST_READ)

    def _bounded(self, text: str) -> str:
        return text[-MOST_READ:] if self.cuts_start else text[:MOST_READ]

    def _encoding(self, text: str, **options: bool) -> Any:
        """Of a very long text only the beginning is read, unless the start is what the tokenizer cuts off."""
        encode: Any = self.tokenizer.encode
        if len(text) > self._prefix and not self.cuts_start:
            encoding: Encoding = encode(text[: self._prefix], **options)
            if _surplus(encoding) >= SURPLUS:
                return encoding
        return encode(text, **options)

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


class LocatedTextInputs(TextInputs):
    """Reads texts whose tokens must be found in them again."""

    tokenizer: Tokenizer

    def __init__(self, checkpoint: Checkpoint, max_length: int, vocabulary: int | None = None) -> None:
        super().__init__(checkpoint, max_length, vocabulary)
        if not isinstance(self.tokenizer, Tokenizer):
            raise StartError(
                f"{checkpoint.folder} has a tokenizer that runs in Python only, which is not supported for "
                f"{checkpoint.entry.task}: choose a model with a tokenizer.json."
            )

    def encoding(self, text: object, *, special: bool = True) -> tokenizers.Encoding:
        """The tokens up to the model's maximum. Raises InstanceError: `invalid_text` or `empty`."""
        encoding: tokenizers.Encoding = self._encoding(self._bounded(checked(text)), add_special_tokens=special)
        return encoding


def checked(text: object) -> str:
    """Raises InstanceError: `invalid_text` or `empty`."""
    if not isinstance(text, str):
        raise InstanceError("text must be a string.", "invalid_text")
    if not text or text.isspace():
        raise InstanceError("The text is empty.", "empty")
    return text


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """The lengths to which two texts are cut: the longer one as far as the shorter, then both alike."""
    shorter, longer = sorted((first, second))
    if first + second > room:
        longer = max(shorter, room - shorter)
        if shorter + longer > room:
            shorter, longer = room // 2, room - room // 2
    return (longer, shorter) if first > second else (shorter, longer)


def _surplus(encoding: Encoding) -> int:
    return sum(len(part.ids) for part in encoding.overflowing)
