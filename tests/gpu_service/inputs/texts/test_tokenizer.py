"""Tokenizers are those of transformers' pipeline, and are read without transformers where tokenizer.json says all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers, processors
from transformers import AutoTokenizer

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.texts import rebuilding, tokenizer
from gpu_service.inputs.texts.tokens import TextInputs
from tests.gpu_service.parity.texts import INPUTS, as_saved_by_transformers_4, edit_tokenizer, vocabulary_only
from tests.gpu_service.parity.vocabularies import TOKENIZERS

Edit = Callable[[Path], Any]


def edit_pipeline(change: Callable[[Any], Any]) -> Edit:
    from tokenizers import Tokenizer

    def edit(folder: Path) -> None:
        path = str(folder / "tokenizer.json")
        pipeline = Tokenizer.from_file(path)
        change(pipeline)
        pipeline.save(path)

    return edit


def checkpoint(folder: Path, kind: str, name: str, *edits: Edit) -> Checkpoint:
    TOKENIZERS[name]().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    for edit in edits:
        edit(folder)
    return Checkpoint(Entry(name="m", task="text-classification", source=str(folder)), folder)


def lower_case(pipeline: Any) -> None:
    pipeline.normalizer = normalizers.BertNormalizer(lowercase=False)


def other_frame(pipeline: Any) -> None:
    pipeline.post_processor = processors.BertProcessing(("[SEP]", 3), ("[MASK]", 4))


def same_frame(pipeline: Any) -> None:
    pipeline.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))


CASES: dict[str, tuple[str, str, list[Edit], bool]] = {
    "bert": ("bert", "bert", [], True),
    "distilbert": ("distilbert", "distilbert", [], True),
    "roberta": ("roberta", "roberta", [], True),
    "bert of transformers 4": ("bert", "bert", [as_saved_by_transformers_4], True),
    "roberta of transformers 4": ("roberta", "roberta", [as_saved_by_transformers_4], True),
    "distilbert of transformers 4": ("distilbert", "distilbert", [as_saved_by_transformers_4], True),
    "no settings at all": ("bert", "bert", [lambda folder: (folder / "tokenizer_config.json").unlink()], True),
    "the older kind of frame": ("bert", "bert", [edit_pipeline(same_frame)], True),
    "any class": ("bert", "bert", [edit_tokenizer(tokenizer_class="PreTrainedTokenizerFast")], True),
    "lower case in the file only": ("bert", "bert", [edit_pipeline(lower_case)], False),
    "lower case in both": ("bert", "bert", [edit_pipeline(lower_case), edit_tokenizer(do_lower_case=False)], True),
    "lower case in the settings only": ("bert", "bert", [edit_tokenizer(do_lower_case=False)], False),
    "another frame": ("bert", "bert", [edit_pipeline(other_frame)], False),
    "another separator": ("bert", "bert", [edit_tokenizer(sep_token="[MASK]")], False),
    "a new special token": ("bert", "bert", [edit_tokenizer(cls_token="[NEW]")], False),
    "a new token in the file": ("bert", "bert", [edit_pipeline(lambda made: made.add_tokens(["new york"]))], True),
    "special tokens split": ("bert", "bert", [edit_tokenizer(split_special_tokens=True)], False),
    "a space before the text": ("roberta", "roberta", [edit_tokenizer(add_prefix_space=True)], False),
    "a class of another kind": ("bert", "bert", [edit_tokenizer(tokenizer_class="MPNetTokenizer")], False),
    "vocabulary files": ("bert", "bert", [vocabulary_only], False),
    "another architecture": ("xlm-roberta", "xlm-roberta", [], False),
}


@pytest.mark.parametrize("name", CASES)
def test_the_tokens_are_those_of_transformers(name: str, tmp_path: Path):
    kind, made, edits, stands = CASES[name]
    source = checkpoint(tmp_path, kind, made, *edits)
    if (tmp_path / "tokenizer.json").is_file():
        assert (rebuilding.as_it_stands(source) is not None) == stands
    reference = AutoTokenizer.from_pretrained(tmp_path)
    found, settings = tokenizer.load(source)
    found.no_padding()
    found.no_truncation()
    assert settings.has_segments == ("token_type_ids" in reference.model_input_names)
    assert settings.truncation_side == reference.truncation_side
    assert settings.max_length == (reference.model_max_length if reference.model_max_length < 10**9 else None)
    for text in [*INPUTS, "in new york", "[NEW] good"]:
        encoding, expected = found.encode(text), reference(text, return_token_type_ids=True)
        assert (encoding.ids, encoding.type_ids) == (expected["input_ids"], expected["token_type_ids"]), text


def test_a_completed_folder_is_read_without_transformers(tmp_path: Path):
    source = checkpoint(tmp_path, "bert", "bert", vocabulary_only)
    tokenizer.complete(source)
    assert rebuilding.as_it_stands(source) is True
    written = (tmp_path / "tokenizer.json").read_bytes()
    tokenizer.complete(source)
    assert (tmp_path / "tokenizer.json").read_bytes() == written


def test_texts_are_cut_at_the_start_if_the_tokenizer_says_so(tmp_path: Path):
    inputs = TextInputs(checkpoint(tmp_path, "bert", "bert", edit_tokenizer(truncation_side="left")), 8)
    reference = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("a long film was not good", "good " * 9000 + "bad", "a film"):
        expected = reference(text, truncation=True, max_length=8)["input_ids"]
        payload = inputs.payload(text)
        assert payload.data.tolist() == expected
        assert payload.truncated == (len(reference(text)["input_ids"]) > 8)


LONG = ["a long film was not good " * 400, "x" * 9000, "ab" * 5000 + " good", "影画" * 4000, "film\n" * 3000]


@pytest.mark.parametrize(
    "kind", ["roberta", "gpt2", "xlm-roberta", "albert", "xlnet", "t5", "deberta-v2", "mpnet", "byt5"]
)
def test_of_very_long_texts_the_beginning_is_enough(kind: str, tmp_path: Path):
    model_type = "t5" if kind == "byt5" else kind
    inputs = TextInputs(checkpoint(tmp_path, model_type, kind), 32)
    reference = AutoTokenizer.from_pretrained(tmp_path)
    payloads = inputs.payloads(LONG)
    for text, payload in zip(LONG, payloads, strict=True):
        assert isinstance(payload, Payload)
        expected = reference(text, truncation=True, max_length=32)["input_ids"]
        assert payload.data.reshape(len(payload.data), -1)[:, 0].tolist() == expected, text[:20]
        assert payload.truncated == (len(reference(text)["input_ids"]) > 32), text[:20]


def test_a_text_without_tokens_and_an_unknown_token_fail_alone(tmp_path: Path):
    inputs = TextInputs(checkpoint(tmp_path, "gpt2", "gpt2", edit_tokenizer(extra_special_tokens=["<new>"])), 8, 403)
    good, empty, unknown = inputs.payloads(["good", "", "<new>"])
    assert isinstance(good, Payload)
    assert isinstance(empty, InstanceError)
    assert isinstance(unknown, InstanceError)
    assert (unknown.code, "'<new>'" in unknown.message) == ("invalid_text", True)


def test_a_tokenizer_of_more_tokens_than_the_model_knows_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    TextInputs(checkpoint(tmp_path, "gpt2", "gpt2"), 8, 403)
    assert caplog.messages == []
    TextInputs(checkpoint(tmp_path, "gpt2", "gpt2"), 8, 402)
    assert "is it the one that the model was trained with?" in caplog.text


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_file_prevents_the_start(tmp_path: Path, file: str):
    source = checkpoint(tmp_path, "bert", "bert")
    (tmp_path / file).write_text('{"model": ')
    with pytest.raises(StartError, match="is not valid JSON"):
        tokenizer.load(source)
