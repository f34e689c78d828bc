"""Shortens words that BERT's tokenizer takes for unknown however long they are, since reading them takes seconds."""

import re
import unicodedata
from functools import cache

CHINESE = (  # which BERT takes for words of their own
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip
OTHERS = "\u166d\ufffd"  # a sign that ends words in older Unicode, and what BERT leaves out
LAST = 0x1FFFF  # beyond are Chinese, private and unassigned characters
KEPT = 64  # characters on either side, beside those that make a word too long


def shortened(text: str, longest: int) -> str:
    """The text with words of more than `longest` characters cut in their middle; they stay longer than that."""
    kept = longest + KEPT
    return _runs(2 * kept + 1).sub(lambda run: run[0][:kept] + run[0][-kept:], text)


def are_word(text: str) -> bool:
    """Whether all characters stay in one word."""
    return bool(text) and all(ord("0") <= ord(each) <= LAST and _stays(each) for each in text)


@cache
def _runs(least: int) -> re.Pattern[str]:
    return re.compile(f"[{_characters()}]{{{least},}}")


@cache
def _characters() -> str:
    """The characters that stay in a word, as ranges for a regular expression."""
    known = {number for number in range(ord("0"), LAST + 1) if _stays(chr(number))}
    first = sorted(number for number in known if number - 1 not in known)
    last = sorted(number for number in known if number + 1 not in known)
    return "".join(f"\\U{start:08x}-\\U{end:08x}" for start, end in zip(first, last, strict=True))


def _stays(character: str) -> bool:
    """Whether BERT's normalisation leaves at least one character of a word, and no end of one."""
    left = [each for each in unicodedata.normalize("NFD", character) if unicodedata.category(each) != "Mn"]
    return bool(left) and all(map(_is_of_word, left))


def _is_of_word(character: str) -> bool:
    number = ord(character)
    if number < 128:
        return character.isalnum()
    is_chinese = any(first <= number <= last for first, last in CHINESE)
    return unicodedata.category(character)[0] in "LNS" and not is_chinese and character not in OTHERS
