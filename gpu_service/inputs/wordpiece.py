"""BERT's tokenizer with a memory: words seen before cost a dictionary look-up each.

What a BERT pipeline makes of a text is what it makes of the parts between spaces, one after another. So the parts are
remembered, and only new ones go through the tokenizers library.
"""

import json
from itertools import chain

from tokenizers import Tokenizer

MAX_WORDS = 200_000
MAX_CHARACTERS = 64  # longer parts are hardly seen twice


def is_bert(tokenizer: Tokenizer) -> bool:
    """Whether the parts of a text can be tokenised each by itself, and stand between one token before and one after."""
    pipeline = json.loads(tokenizer.to_str())
    kinds = [(pipeline.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    added = [token["content"] for token in pipeline["added_tokens"]]
    empty, word = tokenizer.encode("").ids, tokenizer.encode("a").ids
    framed = len(empty) == 2 and len(word) > 2 and [word[0], word[-1]] == empty
    return kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"] and framed and not any(map(_has_space, added))


class WordPiece:
    """Token ids of texts without the two that stand around them; not thread-safe in what it learns, but harmless."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.first, self.last = tokenizer.encode("").ids
        self.known: dict[str, tuple[int, ...]] = {"": ()}

    def __call__(self, text: str) -> list[int]:
        known = self.known
        parts = text.split(" ")
        try:
            return list(chain.from_iterable([known[part] for part in parts]))
        except KeyError:
            return list(chain.from_iterable([self._of(part) for part in parts]))

    def _of(self, part: str) -> tuple[int, ...]:
        found = self.known.get(part)
        if found is None:
            found = tuple(self.tokenizer.encode(part, add_special_tokens=False).ids)
            if len(part) <= MAX_CHARACTERS:
                if len(self.known) > MAX_WORDS:
                    self.known = {"": ()}
                self.known[part] = found
        return found


def _has_space(text: str) -> bool:
    return " " in text
