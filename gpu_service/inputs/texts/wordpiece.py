"""BERT's tokenizer with a cache of words.

A BERT pipeline tokenises the parts between spaces independently. So their ids are cached, and only new parts go through
the tokenizers library. Nothing here writes or reads a tokenizer as JSON, which would keep other threads waiting for as
long as the vocabulary is large.
"""

from itertools import chain
from typing import Any

from tokenizers import AddedToken, Tokenizer

from gpu_service.inputs.texts import words

MAX_WORDS = 200_000
MAX_CHARACTERS = 64  # longer parts hardly ever recur
LONG = 4096  # characters of a part, of which long words are cut


def is_bert(tokenizer: Tokenizer) -> bool:
    """Whether the parts of a text are tokenised independently, between one token before and one after the text."""
    kinds = [type(part).__name__ for part in (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.model)]
    framed = tokenizer.encode("a")
    empty, word = tokenizer.encode("").ids, framed.ids
    is_framed = len(empty) == 2 and len(word) > 2 and [word[0], word[-1]] == empty and not any(framed.type_ids)
    is_pipeline = kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]
    return is_pipeline and is_framed and not any(" " in token.content for token in _added(tokenizer).values())


class WordPiece:
    """Token ids of texts without the first and last token; threads may race for the cache, which is harmless."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        model: Any = tokenizer.model
        self.tokenizer = _untruncated(tokenizer)
        self.longest: int = model.max_input_chars_per_word
        self.shortens = not any(words.are_word(token.content) for token in _added(tokenizer).values())
        self.first, self.last = tokenizer.encode("").ids
        self.known: dict[str, tuple[int, ...]] = {"": ()}

    def __call__(self, text: str) -> list[int]:
        known = self.known
        parts = text.split(" ")
        try:
            return list(chain.from_iterable([known[part] for part in parts]))
        except KeyError:
            return list(chain.from_iterable([self._tokenise(part) for part in parts]))

    def _tokenise(self, part: str) -> tuple[int, ...]:
        ids = self.known.get(part)
        if ids is None:
            if len(part) > LONG and self.shortens:
                part = words.shortened(part, self.longest)
            ids = tuple(self.tokenizer.encode(part, add_special_tokens=False).ids)
            if len(part) <= MAX_CHARACTERS:
                if len(self.known) > MAX_WORDS:
                    self.known = {"": ()}
                self.known[part] = ids
        return ids


def _untruncated(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer for parts of texts, without truncation and padding; the two share the vocabulary."""
    copy = Tokenizer(tokenizer.model)
    parts: Any = copy
    parts.normalizer, parts.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    for token in _added(tokenizer).values():
        add = copy.add_special_tokens if token.special else copy.add_tokens
        add([token])
    if repr(_added(copy)) == repr(_added(tokenizer)):
        return copy
    copy = Tokenizer.from_str(tokenizer.to_str())  # of added tokens with other ids
    copy.no_truncation()
    copy.no_padding()
    return copy


def _added(tokenizer: Tokenizer) -> dict[int, AddedToken]:
    """The added tokens by id, in the order of their ids."""
    return dict(sorted(tokenizer.get_added_tokens_decoder().items()))
