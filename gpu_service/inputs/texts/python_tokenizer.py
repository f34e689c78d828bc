"""Gives a tokenizer that transformers runs in Python the interface of the tokenizers library."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Overflow:
    ids: list[int]


@dataclass(frozen=True, slots=True)
class PythonEncoding:
    ids: list[int]
    type_ids: list[int]
    overflowing: list[Overflow] = field(default_factory=list)


class PythonTokenizer:
    """A tokenizer without a fast version, as for PhoBERT, FlauBERT or CANINE."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.max_length: int | None = None

    def no_padding(self) -> None:
        """It never pads."""

    def no_truncation(self) -> None:
        self.max_length = None

    def enable_truncation(self, max_length: int, direction: str = "right") -> None:
        self.max_length = max_length
        self.tokenizer.truncation_side = direction

    def encode(self, text: str, pair: str | None = None) -> PythonEncoding:
        whole = self.tokenizer(text, pair, truncation=False, return_token_type_ids=True, verbose=False)
        ids, types = list(whole["input_ids"]), list(whole["token_type_ids"])
        if self.max_length is None or len(ids) <= self.max_length:
            return PythonEncoding(ids, types)
        cut = self.tokenizer(text, pair, truncation=True, max_length=self.max_length, return_token_type_ids=True)
        surplus = Overflow(ids[: len(ids) - len(cut["input_ids"])])
        return PythonEncoding(list(cut["input_ids"]), list(cut["token_type_ids"]), [surplus])

    def encode_batch_fast(self, texts: Sequence[str]) -> list[PythonEncoding]:
        return [self.encode(text) for text in texts]

    def get_vocab_size(self) -> int:
        return len(self.tokenizer)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))
