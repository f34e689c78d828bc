"""Words that BERT's tokenizer takes for unknown are cut in their middle, and no token changes."""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.inputs.texts import words
from gpu_service.inputs.texts.tokens import MOST_READ, TextInputs
from gpu_service.inputs.texts.wordpiece import LONG, WordPiece

CHUNK = 500
LETTERS = ["a", "É", "ß", "İ", "7", "한", "ก", "😀", "→", "ŉ", "́", "中", ".", "\n", "​", "\x01", "ﷺ", "≠", "_", " "]


@cache
def members() -> list[str]:
    return [chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000 and words.are_word(chr(number))]


def chunks(characters: list[str]) -> Iterator[str]:
    for start in range(0, len(characters), CHUNK):
        yield "".join(characters[start : start + CHUNK])


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("accents", [True, False, None])
def test_every_character_of_words_stays_in_one_word(lowercase: bool, accents: bool | None):
    normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=accents)
    pre = pre_tokenizers.BertPreTokenizer()
    count = 0
    for chunk in chunks(members()):
        ((word, _),) = pre.pre_tokenize_str(normalizer.normalize_str(chunk))
        assert len(word) >= len(chunk)
        count += len(chunk)
    assert count > 15_000


def test_characters_that_end_words_or_vanish_are_not_of_words():
    assert not any(
        map(words.are_word, ["中", " ", "\t", ".", "_", "-", "\u0301", "\u200b", "\x00", "≠", "`", "豈", ""])
    )
    assert all(map(words.are_word, ["a", "É", "7", "한", "ก", "😀", "→", "abc123"]))


def test_a_word_stays_longer_than_the_tokenizer_reads():
    kept = 100 + words.KEPT
    assert words.shortened("a" * (2 * kept), 100) == "a" * (2 * kept)
    assert words.shortened("x" + "a" * 9000 + "y", 100) == "x" + "a" * (2 * kept - 2) + "y"
    assert words.shortened("a" * 9000 + "." + "b" * 9000, 100) == "a" * (2 * kept) + "." + "b" * (2 * kept)


@pytest.fixture(scope="module")
def inputs(folder: Callable[[str], Path]) -> TextInputs:
    path = folder("distilbert")
    return TextInputs(Checkpoint(Entry(name="m", task="text-classification", source=str(path)), path), 64)


@pytest.fixture(scope="module")
def plain(folder: Callable[[str], Path]) -> Tokenizer:
    made = Tokenizer.from_file(str(folder("distilbert") / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    return made


runs = st.tuples(st.sampled_from(LETTERS), st.sampled_from([1, 2, 99, 100, 101, 163, 329, LONG, 2 * LONG]))


@pytest.mark.release
@given(parts=st.lists(runs, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_texts_of_long_words_have_the_librarys_tokens(
    inputs: TextInputs, plain: Tokenizer, parts: list[tuple[str, int]]
):
    assert inputs.words is not None
    text = "".join(letter * count for letter, count in parts)
    assert inputs.words(text) == plain.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("token", ["abc", "[abc]", "abc>", "<abc"])
def test_added_tokens_are_found_at_both_ends_of_a_long_word_and_within(plain: Tokenizer, token: str):
    own = Tokenizer.from_str(plain.to_str())
    own.add_tokens([token])
    read = WordPiece(own)
    for before, after in itertools.product(("", token, "b" * 5000, "b" * 5000 + token), repeat=2):
        text = f"{before}{'b' * 9000}{token}{'c' * 9000}{after}"
        assert read(text) == own.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("letter", ["a", "한", "😀", "中"])
def test_the_longest_word_is_read_quickly(inputs: TextInputs, letter: str):
    words.shortened("a", 100)  # finds out which characters there are
    began = time.process_time()
    payload = inputs.payload(letter * MOST_READ)
    assert time.process_time() - began < 0.5  # it took from 0.6 to 6 s
    assert payload.truncated == (letter == "中")
