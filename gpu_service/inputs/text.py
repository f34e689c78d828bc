"""Turns texts into token ids with the checkpoint's tokenizer."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.instances import Kind
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.wordpiece import WordPiece, is_bert

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # texts are prepared in our own threads

FEW_CHARACTERS = 4096  # tokenising them takes less time than another thread would add
PREFIX_PER_TOKEN = 64
SURPLUS = 128  # tokens beyond the maximum, so that cutting the prefix within a word cannot change the ids
MOST_READ = 1 << 20  # characters of a text; the library panics on a single word of many millions


class TextInputs:
    """Reads texts; those of more tokens than the model takes are cut."""

    kind: Kind = "text"

    def __init__(self, checkpoint: Checkpoint, max_length: int) -> None:
        path = checkpoint.folder / "tokenizer.json"
        if not path.is_file():
            raise StartError(f"{checkpoint.folder} has no tokenizer.json.")
        self.tokenizer = Tokenizer.from_file(str(path))
        limit = checkpoint.read("tokenizer_config.json").get("model_max_length", max_length)
        self.max_length = min(int(limit), max_length) if isinstance(limit, int | float) else max_length
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.words = WordPiece(self.tokenizer) if is_bert(self.tokenizer) else None
        self.tokenizer.enable_truncation(self.max_length)

    def payload(self, text: object) -> Payload:
        """Raises InstanceError: `invalid_text` or `empty`."""
        text = _checked(text)
        ids, truncated = self._encoded(text)
        return Payload(np.array(ids, dtype=np.int64), len(ids), truncated)

    def payloads(self, texts: Sequence[object]) -> list[Payload | InstanceError]:
        """Each text's payload or error; batches that the library tokenises release the interpreter's lock."""
        payloads: list[Any] = [None] * len(texts)
        batch: dict[int, str] = {}
        for index, text in enumerate(texts):
            try:
                if self.words is None and isinstance(text, str) and len(text) <= self._prefix:
                    batch[index] = _checked(text)
                else:
                    payloads[index] = self.payload(text)
            except InstanceError as error:
                payloads[index] = error
        encodings = self.tokenizer.encode_batch_fast(list(batch.values())) if batch else []
        for index, encoding in zip(batch, encodings, strict=True):
            ids, surplus = _split(encoding)
            payloads[index] = Payload(np.array(ids, dtype=np.int64), len(ids), surplus > 0)
        return payloads

    @property
    def _prefix(self) -> int:
        """How many characters of a text are read first."""
        return PREFIX_PER_TOKEN * self.max_length

    def _encoded(self, text: str) -> tuple[list[int], bool]:
        """The ids, and whether some were cut off; of a very long text only the beginning is read."""
        if len(text) > self._prefix:
            ids, surplus = self._cut(text[: self._prefix])
            if surplus >= SURPLUS:
                return ids, True
        ids, surplus = self._cut(text)
        return ids, surplus > 0

    def _cut(self, text: str) -> tuple[list[int], int]:
        """The ids up to the model's maximum, and how many more there are."""
        if self.words is None:
            return _split(self.tokenizer.encode(text))
        ids, room = self.words(text), self.max_length - 2
        return [self.words.first, *ids[:room], self.words.last], max(0, len(ids) - room)


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise InstanceError("text must be a string.", "invalid_text")
    if not text or text.isspace():
        raise InstanceError("The text is empty.", "empty")
    return text[:MOST_READ]


def _split(encoding: Encoding) -> tuple[list[int], int]:
    return encoding.ids, sum(len(part.ids) for part in encoding.overflowing)
