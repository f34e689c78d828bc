"""Texts as token ids: the tokenizer with a word cache gives what the tokenizers library gives."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, processors

import gpu_service
from gpu_service.checkpoints import checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError
from gpu_service.inputs.texts.tokens import MOST_READ, TextInputs
from gpu_service.inputs.texts.wordpiece import MAX_CHARACTERS, WordPiece, is_bert

PIECES = [
    "good",
    "bad",
    "Film",
    "[SEP]",
    "[MASK]",
    "a[CLS]b",
    "\n",
    "\t",
    "\x1c",
    "\u00a0",
    "\u0301",
    "e\u0301",
    "É",
    "影画",
    "!?",
    "...",
    "\u200d",
]


@pytest.fixture(scope="module")
def inputs(folder: Callable[[str], Path]) -> TextInputs:
    path = folder("distilbert")
    return TextInputs(checkpoint.Checkpoint(Entry(name="m", task="text-classification", source=str(path)), path), 64)


@pytest.fixture(scope="module")
def plain(folder: Callable[[str], Path]) -> Tokenizer:
    made = Tokenizer.from_file(str(folder("distilbert") / "tokenizer.json"))
    made.no_padding()
    made.enable_truncation(64)
    return made


texts = st.one_of(st.text(max_size=80), st.lists(st.sampled_from([*PIECES, " ", "  "]), max_size=90).map("".join))


@given(text=texts)
@settings(max_examples=400, deadline=None)
def test_any_text_has_the_librarys_tokens(inputs: TextInputs, plain: Tokenizer, text: str):
    assert inputs.words is not None
    expected = plain.encode(text)
    for _ in range(2):  # learning, and remembering
        ids, truncated = inputs._encoded(text)
        assert (ids, truncated) == (expected.ids, bool(expected.overflowing))


@pytest.mark.parametrize(
    "text", ["film " * 62, "film " * 63, "good" * 50, "x" * 5_000_000, "film " * 100_000, "film\n" * 9000]
)
def test_long_texts_are_truncated_as_by_the_library(inputs: TextInputs, plain: Tokenizer, text: str):
    payload = inputs.payload(text)
    expected = plain.encode(text[:50_000])
    was_cut = bool(expected.overflowing) or len(text) > MOST_READ
    assert (payload.data.tolist(), payload.truncated) == (expected.ids, was_cut)
    assert payload.size == len(payload.data) <= 64


def test_long_words_are_not_cached(inputs: TextInputs):
    assert inputs.words is not None
    inputs.payload("y" * MAX_CHARACTERS + " " + "z" * (MAX_CHARACTERS + 1))
    assert "y" * MAX_CHARACTERS in inputs.words.known
    assert "z" * (MAX_CHARACTERS + 1) not in inputs.words.known


def test_the_cache_is_bounded(plain: Tokenizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gpu_service.inputs.texts.wordpiece.MAX_WORDS", 10)
    words = WordPiece(plain)
    for letter in "abcdefghijklmnopqrstuvwxyz":
        words(f"{letter} good")
        assert len(words.known) <= 13


@pytest.mark.parametrize("first_id", [None, 5_000])
def test_added_tokens_are_found_whatever_their_ids(plain: Tokenizer, first_id: int | None):
    plain.add_tokens(["qwertz", AddedToken("Zyx", normalized=False)])
    plain.add_special_tokens(["[EXTRA]"])
    pipeline = json.loads(plain.to_str())
    for number, token in enumerate(pipeline["added_tokens"][-3:] if first_id else []):
        token["id"] = first_id + 2 * number
    extended = Tokenizer.from_str(json.dumps(pipeline))
    extended.enable_truncation(3)
    words = WordPiece(extended)
    extended.no_truncation()
    text = "a Qwertz good Zyx zyx [EXTRA] film [MASK] and qwertzqwertz"
    assert words(text) == extended.encode(text, add_special_tokens=False).ids
    assert max(words(text)) == max(token["id"] for token in json.loads(extended.to_str())["added_tokens"])


def test_other_pipelines_go_through_the_library(plain: Tokenizer):
    assert is_bert(plain)
    other = Tokenizer.from_str(plain.to_str())
    other.normalizer = normalizers.Sequence([normalizers.Lowercase()])
    assert not is_bert(other)
    spaced = Tokenizer.from_str(plain.to_str())
    spaced.add_tokens(["New York"])
    assert not is_bert(spaced)


TEMPLATES = ["[CLS] $A [SEP]", "$A [SEP] [CLS]", "[CLS] $A", "$A [SEP]", "$A"]


@pytest.mark.parametrize("length", [8, 9, 20, 63])
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_shortened_payload_is_as_if_truncated_at_its_length(inputs: TextInputs, template: str, length: int):
    """Wherever the special tokens stand."""
    given = copy.copy(inputs)
    given.__dict__.pop("_special", None)
    given.words, given.tokenizer = None, Tokenizer.from_str(inputs.tokenizer.to_str())
    special = [(token, inputs.tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    given.tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    text = " ".join(["good", "bad", "film"] * 30)
    shortened = given.shortened(given.payload(text), length)
    given.tokenizer.enable_truncation(length)
    assert shortened.data.tolist() == given.tokenizer.encode(text).ids
    assert (shortened.size, shortened.truncated) == (length, True)
    assert given.shortened(shortened, length) is shortened


@pytest.mark.parametrize(
    ("value", "code"),
    [("", "empty"), (" \n\t", "empty"), (7, "invalid_text"), (None, "invalid_text"), (["a"], "invalid_text")],
)
def test_invalid_texts_are_refused_with_the_reason(inputs: TextInputs, value: object, code: str):
    with pytest.raises(InstanceError) as failed:
        inputs.payload(value)
    assert failed.value.code == code


@pytest.mark.release
@pytest.mark.parametrize("unit", ["a", "1", "a ", "é", "\u4e00", "\u0301", "a'"])
@pytest.mark.parametrize("of", ["the tests", "the starter model"])
def test_of_the_longest_texts_as_much_is_read_as_the_library_bears(inputs: TextInputs, unit: str, of: str):
    """It ends in a panic, which is no Exception, where its pattern tries too often within a single word."""
    if of == "the starter model":
        path = Path(gpu_service.__file__).parent / "models" / "sentiment"
        entry = Entry(name="m", task="text-classification", source=str(path))
        inputs = TextInputs(checkpoint.Checkpoint(entry, path), 512)
    most, more = (inputs.payload(unit * (length // len(unit))) for length in (MOST_READ, 16 * MOST_READ))
    assert more.data.tolist() == most.data.tolist()
