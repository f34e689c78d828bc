"""Tells whether transformers would use tokenizer.json as it stands.

Of most classes, transformers 5 takes no more than the vocabulary from tokenizer.json, and builds the rest from
tokenizer_config.json and its own defaults. Where both agree, the file can be read without transformers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gpu_service.checkpoints.checkpoint import Checkpoint

UNCHANGED = ("PreTrainedTokenizer", "TokenizersBackend")  # classes that change nothing
BERT_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
ROBERTA_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A class that transformers builds anew: its special tokens, and whether its models read the segments."""

    is_bert: bool
    tokens: dict[str, str]
    has_segments: bool


CLASSES = {
    "BertTokenizer": Rebuilt(True, BERT_TOKENS, True),
    "DistilBertTokenizer": Rebuilt(True, BERT_TOKENS, False),
    "RobertaTokenizer": Rebuilt(False, ROBERTA_TOKENS, False),
}
DEFAULTS = {"bert": "BertTokenizer", "distilbert": "BertTokenizer", "roberta": "RobertaTokenizer"}  # of model types


def as_it_stands(checkpoint: Checkpoint) -> bool | None:
    """Whether the model reads the segments, if transformers would use tokenizer.json as it stands; else None."""
    config = checkpoint.read("tokenizer_config.json")
    kind = str(checkpoint.config.get("model_type"))
    declared = config.get("tokenizer_class") or checkpoint.config.get("tokenizer_class") or DEFAULTS.get(kind, "")
    if kind not in DEFAULTS or config.get("split_special_tokens") or config.get("init_inputs"):
        return None
    pipeline = checkpoint.read("tokenizer.json")
    name = declared.removesuffix("Fast")
    rebuilt = CLASSES.get(name)
    defaults = rebuilt.tokens if rebuilt else {}
    if (rebuilt is None and name not in UNCHANGED) or not _has_tokens(checkpoint, config, pipeline, defaults):
        return None
    if rebuilt is None:
        if not pipeline.get("post_processor"):
            return None
    elif not (_is_bert if rebuilt.is_bert else _is_roberta)(pipeline, {**rebuilt.tokens, **config}):
        return None
    names = config.get("model_input_names")
    return "token_type_ids" in names if names is not None else rebuilt is not None and rebuilt.has_segments


def _has_tokens(
    checkpoint: Checkpoint, config: dict[str, Any], pipeline: dict[str, Any], tokens: dict[str, str]
) -> bool:
    """Whether transformers would add no token to the file's and change none."""
    if (checkpoint.folder / "added_tokens.json").is_file():
        return False
    added = {str(token["id"]): {**token} for token in pipeline.get("added_tokens") or []}
    for token in added.values():
        del token["id"]
    if "added_tokens_decoder" in config:
        if config["added_tokens_decoder"] != added:
            return False
        special = _special({**tokens, **config})
    else:
        special = _special({**tokens, **config, **checkpoint.read("special_tokens_map.json")})
    contents = {token["content"] for token in added.values()}
    return all(content in contents for content in special)


def _special(config: dict[str, Any]) -> Iterator[str]:
    for name, value in config.items():
        if name.endswith("_token"):
            yield from _contents([value])
        elif name in ("additional_special_tokens", "extra_special_tokens") and value:
            yield from _contents(value.values() if isinstance(value, dict) else value)


def _contents(values: Any) -> Iterator[str]:
    for value in values:
        content = value.get("content") if isinstance(value, dict) else value
        if isinstance(content, str):
            yield content


def _is_bert(pipeline: dict[str, Any], config: dict[str, Any]) -> bool:
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": config.get("do_lower_case", True),
    }
    model = pipeline.get("model") or {}
    return (
        pipeline.get("normalizer") == normalizer
        and pipeline.get("pre_tokenizer") == {"type": "BertPreTokenizer"}
        and model.get("type", "WordPiece") == "WordPiece"  # older files leave the type out
        and model.get("unk_token") == _content(config["unk_token"])
        and model.get("continuing_subword_prefix") == "##"
        and model.get("max_input_chars_per_word") == 100
        and _frames(pipeline) == [_content(config["cls_token"]), _content(config["sep_token"])]
        and _are_known(pipeline, [_content(config[name]) for name in ("cls_token", "sep_token")])
    )


def _is_roberta(pipeline: dict[str, Any], config: dict[str, Any]) -> bool:
    spaces = config.get("add_prefix_space", False)
    model, pre = pipeline.get("model") or {}, pipeline.get("pre_tokenizer") or {}
    processor = pipeline.get("post_processor") or {}
    tokens = [_content(config["cls_token"]), _content(config["sep_token"])]
    vocabulary = model.get("vocab") or {}
    return (
        not pipeline.get("normalizer")
        and pre.get("type") == "ByteLevel"
        and pre.get("add_prefix_space") == spaces
        and pre.get("use_regex", True)
        and model.get("type", "BPE") == "BPE"
        and not any(model.get(option) for option in ("dropout", "unk_token", "fuse_unk", "byte_fallback"))
        and not any(model.get(part) for part in ("continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"))
        and processor.get("type") == "RobertaProcessing"
        and [processor["cls"], processor["sep"]] == [[token, vocabulary.get(token)] for token in tokens]
    )


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _frames(pipeline: dict[str, Any]) -> list[Any] | None:
    """The tokens before and after a text, if all is as BERT has it for texts and for pairs."""
    processor = pipeline.get("post_processor") or {}
    if processor.get("type") == "BertProcessing":
        return [processor["cls"][0], processor["sep"][0]]
    if processor.get("type") != "TemplateProcessing":
        return None
    parts = [(kind, part["id"], part["type_id"]) for step in processor["pair"] for kind, part in step.items()]
    single = [(kind, part["id"], part["type_id"]) for step in processor["single"] for kind, part in step.items()]
    if len(parts) != 5 or single != parts[:3]:
        return None
    first, last = parts[0][1], parts[2][1]
    is_usual = parts == [
        ("SpecialToken", first, 0),
        ("Sequence", "A", 0),
        ("SpecialToken", last, 0),
        ("Sequence", "B", 1),
        ("SpecialToken", last, 1),
    ]
    return [first, last] if is_usual else None


def _are_known(pipeline: dict[str, Any], tokens: list[Any]) -> bool:
    """Whether the tokens around a text have the ids of the vocabulary."""
    processor, vocabulary = pipeline["post_processor"], pipeline["model"].get("vocab") or {}
    if processor["type"] == "BertProcessing":
        return [processor["cls"][1], processor["sep"][1]] == [vocabulary.get(token) for token in tokens]
    return all(processor["special_tokens"][token]["ids"] == [vocabulary.get(token)] for token in tokens)
