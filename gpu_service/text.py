"""Turns texts into token ids, with the checkpoint's own tokenizer."""

from typing import Any

import numpy as np
from tokenizers import Tokenizer

from .checkpoint import Checkpoint
from .errors import InstanceError, StartError
from .payloads import Payload

FEW_CHARACTERS = 4096  # tokenised in less time than handing over to another thread takes
PREFIX_PER_TOKEN = 64
SURPLUS = 128  # tokens past the maximum that show the cut of a prefix to be harmless


class TextInputs:
    """Reads `{"text": "…"}`; longer texts are cut at the model's maximum."""

    kind = "text"

    def __init__(self, checkpoint: Checkpoint, max_length: int) -> None:
        path = checkpoint.folder / "tokenizer.json"
        if not path.is_file():
            raise StartError(f"{checkpoint.folder} has no tokenizer.json.")
        self.tokenizer = Tokenizer.from_file(str(path))
        limit = checkpoint.read("tokenizer_config.json").get("model_max_length", max_length)
        self.max_length = min(int(limit), max_length) if isinstance(limit, int | float) else max_length
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_length)

    def payload(self, text: object) -> Payload:
        """Raises InstanceError: `invalid_text` or `empty`."""
        if not isinstance(text, str):
            raise InstanceError("text must be a string.", "invalid_text")
        if not text or text.isspace():
            raise InstanceError("The text is empty.", "empty")
        encoding = self._encode(text)
        ids = np.array(encoding.ids, dtype=np.int64)
        return Payload(ids, len(ids), bool(encoding.overflowing))

    def _encode(self, text: str) -> Any:
        prefix = PREFIX_PER_TOKEN * self.max_length
        if len(text) > prefix:
            encoding = self.tokenizer.encode(text[:prefix])
            if sum(len(part.ids) for part in encoding.overflowing) >= SURPLUS:
                return encoding
        return self.tokenizer.encode(text)
