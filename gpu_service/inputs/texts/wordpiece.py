"""BERT's tokenizer with a cache of words.

A BERT pipeline tokenises the parts between spaces independently. So their ids are cached, and only new parts go through
the tokenizers library.
"""

import json
from itertools import chain

from tokenizers import Tokenizer

from gpu_service.inputs.texts import words

MAX_WORDS = 200_000
MAX_CHARACTERS = 64  # longer parts hardly ever recur
LONG = 4096  # characters of a part, of which long words are cut


def is_bert(tokenizer: Tokenizer) -> bool:
    """Whether the parts of a text are tokenised independently, between one token before and one after the text."""
    pipeline = json.loads(tokenizer.to_str())
    kinds = [(pipeline.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    added = [token["content"] for token in pipeline["added_tokens"]]
    framed = tokenizer.encode("a")
    empty, word = tokenizer.encode("").ids, framed.ids
    is_framed = len(empty) == 2 and len(word) > 2 and [word[0], word[-1]] == empty and not any(framed.type_ids)
    is_pipeline = kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]
    return is_pipeline and is_framed and not any(map(_has_space, added))


class WordPiece:
    """Token ids of texts without the first and last token; threads may race for the cache, which is harmless."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        pipeline = json.loads(tokenizer.to_str())
        self.tokenizer = Tokenizer.from_str(json.dumps({**pipeline, "truncation": None, "padding": None}))
        self.longest: int = pipeline["model"]["max_input_chars_per_word"]
        self.shortens = not any(words.are_word(token["content"]) for token in pipeline["added_tokens"])
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


def _has_space(text: str) -> bool:
    return " " in text
