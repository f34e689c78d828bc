"""Text classifiers as people have them: architectures and variants, held to transformers' own pipeline."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gpu_service.checkpoints import device
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError, StartError
from gpu_service.parameters import Parameters
from gpu_service.serving.model import Model
from tests.gpu_service.parity.cases import Case
from tests.gpu_service.parity.vocabularies import MAX_LENGTH, TOKENIZERS

LABELS = {0: "calm", 1: "glad", 2: "grim"}
INPUTS = [
    "good film",
    "a",
    "A dull story, not bright.",
    "Été à Zürich: déjà vu, naïve façade",
    "影画はとても良い",
    "👍🏽🎬 good 🙂",
    "\u200d",
    "\u0301",
    "[PAD] a [SEP] b [MASK]",
    "a <pad> good <pad>",
    "good</s> end </s>",
    "good <mask> film",
    "the end<|endoftext|>",
    "a long film was not good " * 60,
    "the film, " + "x" * 2000,
    "影画" * 400,
    "good " * MAX_LENGTH,
    "tab\tnew\nline  two  spaces",
    " a space before",
    "a space after ",
    "UPPER lower MiXeD",
    "ÀÉÎ upper accents",
    "123 4567.89 %$#@",
    "http://example.com/a?b=c&d",
    "don't can't it's",
    "Привет, мир",
    "مرحبا بالعالم",
    "e\u0301 composed, ﬁ ligature ①②, a\u00a0b",
    "a bell \x07 and a null",
    "is this a bad story? no, a very good one!",
]
TOLERANCE = 1e-3
LEAST_SPREAD = 0.02  # standard deviation of a label's score over the inputs
BATCH = 7

BODY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
COMMON = {"initializer_range": 0.3, "id2label": LABELS, "label2id": {name: n for n, name in LABELS.items()}}
ENCODER = {**BODY, **COMMON, "max_position_embeddings": MAX_LENGTH}
OFFSET = {**ENCODER, "max_position_embeddings": MAX_LENGTH + 2, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": MAX_LENGTH, **COMMON}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": MAX_LENGTH, **COMMON}
DECODER = {**ENCODER, "num_key_value_heads": 2, "head_dim": 8}
BART = {
    **COMMON,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": MAX_LENGTH,
    "init_std": 0.3,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
}

Edit = Callable[[Path], None]


def config(kind: str, size: int, **options: Any) -> Any:
    return transformers.AutoConfig.for_model(kind, vocab_size=size, **options)


def save(
    folder: Path,
    kind: str,
    tokenizer: str,
    options: dict[str, Any],
    *edits: Edit,
    tokens: dict[str, Any] | None = None,
    model_class: str = "AutoModelForSequenceClassification",
    **saving: Any,
) -> None:
    """A checkpoint with random weights whose head spreads the scores, then changed by the edits."""
    made = TOKENIZERS[tokenizer](**(tokens or {}))
    torch.manual_seed(11)
    model = getattr(transformers, model_class).from_config(config(kind, len(made), **options)).eval()
    if model_class == "AutoModelForSequenceClassification":
        calibrate(model, made)
    made.save_pretrained(folder)
    model.save_pretrained(folder, **saving)
    for edit in edits:
        edit(folder)


def calibrate(model: Any, tokenizer: Any) -> None:
    """Removes what all texts have in common from the head's logits, and scales the rest."""
    head = next(module for module in reversed(list(model.modules())) if isinstance(module, nn.Linear))
    seen: list[Tensor] = []
    hook = head.register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0].reshape(-1, head.in_features)[-1])
    )
    for text in INPUTS:
        encoded = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        if encoded["input_ids"].shape[1]:
            with torch.inference_mode():
                model(**{name: value for name, value in encoded.items() if name != "token_type_ids"})
    hook.remove()
    features = torch.stack(seen)
    mean = features.mean(0)
    weight = head.weight.data - torch.outer(head.weight.data @ mean, mean) / (mean @ mean)
    head.weight.data = weight * (1.5 / (features @ weight.T).std(0, keepdim=True).T)
    if head.bias is not None:
        head.bias.data.zero_()


def change_config(folder: Path, name: str = "config.json", *, remove: tuple[str, ...] = (), **values: Any) -> None:
    path = folder / name
    content = {**(json.loads(path.read_text()) if path.exists() else {}), **values}
    path.write_text(json.dumps({key: value for key, value in content.items() if key not in remove}))


def edit_config(name: str = "config.json", **values: Any) -> Edit:
    return partial(change_config, name=name, **values)


def edit_tokenizer(**values: Any) -> Edit:
    return edit_config("tokenizer_config.json", **values)


def edit_weights(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        save_file(change(tensors), path, {"format": "pt"})

    return edit


def rename(old: str, new: str) -> Edit:
    return edit_weights(lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()})


def drop(part: str) -> Edit:
    return edit_weights(lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name})


def remove(*names: str) -> Edit:
    def edit(folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return edit


def pickle_weights(folder: Path, *, legacy: bool = False, content: Any = None) -> None:
    tensors = load_file(folder / "model.safetensors")
    torch.save(content or tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    (folder / "model.safetensors").unlink()


def stray_weights(folder: Path) -> None:
    """An older state beside the one to serve, under a name that sorts after it."""
    tensors = {name: torch.zeros_like(tensor) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model_old.safetensors", {"format": "pt"})


def vocabulary_only(folder: Path) -> None:
    """The layout before tokenizer.json."""
    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]
    pieces = sorted(tokens["vocab"], key=tokens["vocab"].get)
    if tokens.get("merges"):
        (folder / "vocab.json").write_text(json.dumps(tokens["vocab"]))
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokens["merges"]]
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    else:
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    remove("tokenizer.json", "special_tokens_map.json")(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": MAX_LENGTH}))


def sentencepiece_only(folder: Path) -> None:
    """A folder with spiece.model, as published before there was a fast tokenizer."""
    from transformers.convert_slow_tokenizer import import_protobuf

    model: Any = import_protobuf().ModelProto()
    for index, (piece, score) in enumerate(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]):
        kind = 2 if piece == "<unk>" else 3 if index < 7 and piece.startswith("<") else 1
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = 1
    model.trainer_spec.unk_id = 0
    model.normalizer_spec.name = "nmt_nfkc"
    (folder / "spiece.model").write_bytes(model.SerializeToString())
    remove("tokenizer.json")(folder)


def shard_pickles(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    halves = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for file, part in halves.items():
        torch.save({name: tensors[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def remove_first_shard(folder: Path) -> None:
    min(folder.glob("model-*.safetensors")).unlink()


def whole_numbers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(torch.int8) if tensor.ndim == 2 else tensor for name, tensor in tensors.items()}


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def without_limit(folder: Path) -> None:
    change_config(folder, "tokenizer_config.json", remove=("model_max_length",))


def as_saved_by_transformers_4(folder: Path) -> None:
    """The settings that version 4 wrote, with all added tokens, and their map."""
    tokens = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    decoder = {str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in tokens}
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    special = {name: value for name, value in settings.items() if name.endswith("_token")}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    change_config(folder, path.name, remove=("backend", "is_local"), added_tokens_decoder=decoder)
    if settings["tokenizer_class"].startswith(("Bert", "DistilBert")):
        change_config(folder, path.name, do_lower_case=True, strip_accents=None, tokenize_chinese_chars=True)


def copied(name: str, new: str) -> Edit:
    return lambda folder: shutil.copy(folder / name, folder / new) and None


CAST = {
    "float16": lambda tensors: {name: tensor.half() for name, tensor in tensors.items()},
    "float8": lambda tensors: {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items()},
    "bfloat16": lambda tensors: {name: tensor.bfloat16() for name, tensor in tensors.items()},
}


def case(
    architecture: str,
    variant: str,
    expect: str,
    kind: str,
    tokenizer: str,
    options: dict[str, Any],
    *edits: Edit,
    **more: Any,
) -> Case:
    return Case(architecture, variant, lambda folder: save(folder, kind, tokenizer, options, *edits, **more), expect)


def packed_variants(architecture: str, kind: str, tokenizer: str, options: dict[str, Any]) -> list[Case]:
    """The variants that each packed family is held to."""

    def made(variant: str, expect: str, *edits: Edit, **changes: Any) -> Case:
        more = {name: changes.pop(name) for name in ("tokens", "model_class", "max_shard_size") if name in changes}
        return case(architecture, variant, expect, kind, tokenizer, {**options, **changes}, *edits, **more)

    activation = "activation" if kind == "distilbert" else "hidden_act"
    return [
        made("as saved", "packed"),
        made("one label", "packed", id2label={0: "toxic"}, label2id={"toxic": 0}),
        made("multi-label", "packed", problem_type="multi_label_classification"),
        made(
            "regression, one value", "packed", problem_type="regression", id2label={0: "stars"}, label2id={"stars": 0}
        ),
        made("regression, three values", "packed", problem_type="regression"),
        made("single label stated", "packed", problem_type="single_label_classification"),
        made("another activation", "packed", **{activation: "gelu_new"}),
        made("an activation of its own", "fallback", **{activation: "quick_gelu"}),
        made("float16", "packed", edit_weights(CAST["float16"]), edit_config(dtype="float16")),
        made("bfloat16", "packed", edit_weights(CAST["bfloat16"]), edit_config(dtype="bfloat16")),
        made("shards", "packed", max_shard_size="20KB"),
        made("a stray file of weights", "packed", stray_weights),
        made("pytorch_model.bin", "packed", pickle_weights),
        made("pytorch_model.bin, old format", "packed", partial(pickle_weights, legacy=True)),
        made(
            "pytorch_model.bin with code",
            r"torch\.load\('pytorch_model\.bin', weights_only=False\)",
            partial(pickle_weights, content={"model": nn.ReLU()}),
        ),
        made("keys without the prefix", "packed", rename(f"{prefix(kind)}.", "")),
        made(
            "keys gamma and beta",
            "packed",
            rename("LayerNorm.weight", "LayerNorm.gamma"),
            rename("LayerNorm.bias", "LayerNorm.beta"),
        ),
        made(
            "position_ids in the file",
            "packed",
            edit_weights(
                lambda tensors: {**tensors, f"{prefix(kind)}.embeddings.position_ids": torch.arange(MAX_LENGTH)[None]}
            ),
        ),
        made("architectures absent", "packed", edit_config(remove=("architectures",))),
        made(
            "no id2label, three labels", "name all 3 labels in id2label", edit_config(remove=("id2label", "label2id"))
        ),
        made(
            "two labels without names",
            "packed",
            edit_config(remove=("id2label", "label2id")),
            id2label={0: "a", 1: "b"},
            label2id={"a": 0, "b": 1},
        ),
        made("label2id only", "name all 3 labels in id2label", edit_config(remove=("id2label",))),
        made(
            "too many names in id2label",
            "describes 4 labels, but .* has 3 rows",
            edit_config(id2label={n: f"L{n}" for n in range(4)}),
        ),
        made("id2label with a gap", 'from "0" on', edit_config(id2label={"1": "a", "2": "b", "3": "c"})),
        made("two labels of one name", "packed", edit_config(id2label={"0": "a", "1": "a", "2": "c"})),
        made("an unknown problem_type", "problem_type must be one of", edit_config(problem_type="ranking")),
        made(
            "a masked language model",
            r"lacks weights of a classifier \(.*classifier",
            model_class="AutoModelForMaskedLM",
        ),
        made(
            "a token classifier",
            r"cannot do text-classification: set its task to token-classification\.",
            model_class="AutoModelForTokenClassification",
        ),
        made("an encoder alone", r"lacks weights of a classifier \(classifier", model_class="AutoModel"),
        made(
            "a head that is missing its bias",
            "lacks weights of a classifier",
            drop("classifier.bias" if kind in ("bert", "distilbert") else "out_proj.bias"),
        ),
        made("code of its own", "auto_map", edit_config(auto_map={"AutoModelForSequenceClassification": "m.Model"})),
        made("quantised", "quantised .fp8.", edit_config(quantization_config={"quant_method": "fp8"})),
        made(
            "an adapter beside",
            "merge it",
            lambda folder: change_config(folder, "adapter_config.json", peft_type="LORA"),
        ),
        made("no weights", "has no model.safetensors", remove("model.safetensors")),
        made(
            "TensorFlow weights",
            "TensorFlow weights",
            copied("model.safetensors", "tf_model.h5"),
            remove("model.safetensors"),
        ),
        made("no tokenizer", "save the tokenizer there", remove("tokenizer.json", "tokenizer_config.json")),
        made("no model_max_length", "packed", without_limit),
        made("a huge model_max_length", "packed", edit_tokenizer(model_max_length=int(1e30))),
        made("a small model_max_length", "packed", edit_tokenizer(model_max_length=20)),
        made("truncation_side left", "packed", edit_tokenizer(truncation_side="left")),
        made("padding_side left", "packed", edit_tokenizer(padding_side="left")),
        made("vocabulary files only", "packed", vocabulary_only)
        if "xlm" not in kind and kind != "camembert"
        else made("no truncation in the file", "packed"),
    ]


def prefix(kind: str) -> str:
    return "roberta" if kind in ("xlm-roberta", "camembert") else kind


def fallback_variants(
    architecture: str,
    kind: str,
    tokenizer: str,
    options: dict[str, Any],
    *more: Case,
    tokens: dict[str, Any] | None = None,
) -> list[Case]:
    """The variants of architectures that run through transformers."""

    def made(variant: str, expect: str, *edits: Edit, **changes: Any) -> Case:
        saving = {name: changes.pop(name) for name in ("model_class",) if name in changes}
        return case(
            architecture, variant, expect, kind, tokenizer, {**options, **changes}, *edits, tokens=tokens, **saving
        )

    return [
        made("as saved", "fallback"),
        made("one label", "fallback", id2label={0: "toxic"}, label2id={"toxic": 0}),
        made("no model_max_length", "fallback", without_limit),
        made("an encoder alone", "lacks weights of a classifier", model_class="AutoModel"),
        *more,
    ]


LLAMA = {**DECODER, "pad_token_id": None, "bos_token_id": None, "eos_token_id": 0}
XLNET = {**COMMON, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}
ELECTRA = {**ENCODER, "embedding_size": 16}
MOBILE = {
    **ENCODER,
    "embedding_size": 16,
    "intra_bottleneck_size": 16,
    "true_hidden_size": 16,
    "num_feedforward_networks": 2,
}
T5 = {
    **COMMON,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "initializer_factor": 2.0,
    "decoder_start_token_id": 0,
}
UNLIMITED = ("XLNet", "T5")  # no positions that could run out

CASES: list[Case] = [
    *packed_variants("BERT", "bert", "bert", ENCODER),
    *packed_variants("DistilBERT", "distilbert", "distilbert", DISTIL),
    *packed_variants("RoBERTa", "roberta", "roberta", OFFSET),
    *packed_variants("XLM-RoBERTa", "xlm-roberta", "xlm-roberta", OFFSET),
    case("BERT", "pytorch_model.bin in shards", "packed", "bert", "bert", ENCODER, shard_pickles),
    case("BERT", "whole-number weights", "without quantisation", "bert", "bert", ENCODER, edit_weights(whole_numbers)),
    case("BERT", "float8 weights", "packed", "bert", "bert", ENCODER, edit_weights(CAST["float8"])),
    case("BERT", "a file cut short", "copy the file again", "bert", "bert", ENCODER, cut_short),
    case(
        "BERT",
        "a shard missing",
        "lacks model-00001",
        "bert",
        "bert",
        ENCODER,
        remove_first_shard,
        max_shard_size="20KB",
    ),
    case(
        "BERT",
        "another vocabulary in config.json",
        "take the config.json",
        "bert",
        "bert",
        ENCODER,
        edit_config(vocab_size=90),
    ),
    case("BERT", "an unknown model_type", "does not recognize", "bert", "bert", ENCODER, edit_config(model_type="own")),
    case(
        "BERT",
        "neither model_type nor architectures",
        "has no model_type",
        "bert",
        "bert",
        ENCODER,
        edit_config(remove=("model_type", "architectures")),
    ),
    case("BERT", "config.json for images", "cannot be loaded", "bert", "bert", ENCODER, edit_config(model_type="vit")),
    case("CamemBERT", "as saved", "packed", "camembert", "camembert", OFFSET),
    case("CamemBERT", "no model_max_length", "packed", "camembert", "camembert", OFFSET, without_limit),
    case(
        "BERT",
        "do_lower_case only in the settings",
        "packed",
        "bert",
        "bert",
        ENCODER,
        edit_tokenizer(do_lower_case=False),
    ),
    case(
        "BERT",
        "strip_accents only in the settings",
        "packed",
        "bert",
        "bert",
        ENCODER,
        edit_tokenizer(strip_accents=False),
    ),
    case(
        "BERT",
        "a lower-case tokenizer of another class",
        "packed",
        "bert",
        "bert",
        ENCODER,
        edit_tokenizer(tokenizer_class="PreTrainedTokenizerFast"),
    ),
    case(
        "BERT",
        "a relative position_embedding_type",
        "absolute positions",
        "bert",
        "bert",
        ENCODER,
        edit_config(position_embedding_type="relative_key"),
    ),
    case(
        "BERT",
        "more tokens than embeddings",
        "packed",
        "bert",
        "bert",
        ENCODER,
        edit_tokenizer(extra_special_tokens=["<new>"]),
    ),
    case(
        "RoBERTa",
        "add_prefix_space only in the settings",
        "packed",
        "roberta",
        "roberta",
        OFFSET,
        edit_tokenizer(add_prefix_space=True),
    ),
    case(
        "BERT",
        "no model_type",
        "packed",
        "bert",
        "bert",
        ENCODER,
        edit_config(remove=("model_type",)),
        edit_tokenizer(tokenizer_class="BertTokenizer"),
    ),
    *fallback_variants("ELECTRA", "electra", "bert", ELECTRA),
    *fallback_variants("ALBERT", "albert", "albert", {**ENCODER, "embedding_size": 16}),
    *fallback_variants("MPNet", "mpnet", "mpnet", OFFSET),
    *fallback_variants("MobileBERT", "mobilebert", "bert", MOBILE),
    *fallback_variants("SqueezeBERT", "squeezebert", "bert", {**ENCODER, "embedding_size": 32}),
    *fallback_variants("ConvBERT", "convbert", "bert", {**ENCODER, "embedding_size": 16}),
    *fallback_variants(
        "DeBERTa",
        "deberta",
        "deberta",
        {**ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0},
    ),
    *fallback_variants(
        "DeBERTa v2",
        "deberta-v2",
        "deberta-v2",
        {
            **ENCODER,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    *fallback_variants("Longformer", "longformer", "roberta", {**OFFSET, "attention_window": 16}),
    *fallback_variants(
        "BigBird",
        "big_bird",
        "bert",
        {**ENCODER, "attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1},
    ),
    case("MRA", "as saved", "only with a CUDA kernel", "mra", "roberta", OFFSET),
    *fallback_variants("FNet", "fnet", "bert", ENCODER),
    *fallback_variants(
        "Nystromformer", "nystromformer", "bert", {**ENCODER, "num_landmarks": 64, "segment_means_seq_len": 64}
    ),
    *fallback_variants(
        "RemBERT", "rembert", "bert", {**ENCODER, "input_embedding_size": 16, "output_embedding_size": 16}
    ),
    *fallback_variants("YOSO", "yoso", "roberta", {**OFFSET, "max_position_embeddings": MAX_LENGTH}),
    *fallback_variants("RoFormer", "roformer", "bert", {**ENCODER, "embedding_size": 32}),
    *fallback_variants(
        "ModernBERT",
        "modernbert",
        "bert",
        {
            **ENCODER,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "sep_token_id": 3,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "local_attention": 8,
            "classifier_pooling": "mean",
        },
    ),
    *fallback_variants("XLNet", "xlnet", "xlnet", XLNET),
    *fallback_variants("BART", "bart", "roberta", BART),
    *fallback_variants("T5", "t5", "t5", T5),
    *fallback_variants("GPT-2", "gpt2", "gpt2", {**GPT, "pad_token_id": None, "bos_token_id": 0, "eos_token_id": 0}),
    *fallback_variants(
        "GPT-2 with a pad token", "gpt2", "gpt2", {**GPT, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    ),
    *fallback_variants("Llama", "llama", "gpt2", LLAMA),
    *fallback_variants("Mistral", "mistral", "gpt2", {**LLAMA, "sliding_window": 16}),
    *fallback_variants("Qwen2", "qwen2", "qwen2", LLAMA),
    *fallback_variants("Qwen3", "qwen3", "qwen2", LLAMA),
    *fallback_variants(
        "OPT",
        "opt",
        "gpt2",
        {
            **COMMON,
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "num_hidden_layers": 2,
            "ffn_dim": 48,
            "num_attention_heads": 4,
            "max_position_embeddings": MAX_LENGTH,
            "init_std": 0.3,
            "pad_token_id": 1,
        },
    ),
    case(
        "ALBERT",
        "spiece.model only",
        "fallback",
        "albert",
        "albert",
        {**ENCODER, "embedding_size": 16},
        sentencepiece_only,
    ),
    case("GPT-2", "vocabulary files only", "fallback", "gpt2", "gpt2", GPT, vocabulary_only),
    case(
        "GPT-2",
        "vocabulary without merges",
        "no tokenizer that transformers can load",
        "gpt2",
        "gpt2",
        GPT,
        vocabulary_only,
        remove("merges.txt"),
    ),
    case("Llama", "padding_side left", "fallback", "llama", "gpt2", LLAMA, edit_tokenizer(padding_side="left")),
    case("ELECTRA", "pytorch_model.bin", "fallback", "electra", "bert", ELECTRA, pickle_weights),
    case("ELECTRA", "regression", "fallback", "electra", "bert", {**ELECTRA, "problem_type": "regression"}),
    case("ELECTRA", "a stray file of weights", "fallback", "electra", "bert", ELECTRA, stray_weights),
    case(
        "ELECTRA",
        "too many names in id2label",
        "has 3 rows",
        "electra",
        "bert",
        ELECTRA,
        edit_config(id2label={n: f"L{n}" for n in range(4)}),
    ),
    case(
        "ELECTRA",
        "do_lower_case only in the settings",
        "fallback",
        "electra",
        "bert",
        ELECTRA,
        edit_tokenizer(do_lower_case=False),
    ),
    case(
        "ELECTRA",
        "float16",
        "fallback",
        "electra",
        "bert",
        ELECTRA,
        edit_weights(CAST["float16"]),
        edit_config(dtype="float16"),
    ),
    case(
        "ELECTRA",
        "code in the tokenizer",
        "auto_map",
        "electra",
        "bert",
        ELECTRA,
        edit_tokenizer(auto_map={"AutoTokenizer": ["t.T", None]}),
    ),
    case("T5", "a tokenizer in Python (bytes)", "fallback", "t5", "byt5", T5),
    case(
        "CANINE",
        "a tokenizer in Python (characters)",
        "fallback",
        "canine",
        "canine",
        {
            **ENCODER,
            "num_hash_buckets": 64,
            "num_hash_functions": 4,
            "local_transformer_stride": 8,
            "downsampling_rate": 2,
            "upsampling_kernel_size": 2,
        },
    ),
    case("Data2Vec", "no model_max_length", "fallback", "data2vec-text", "roberta", OFFSET, without_limit),
    case(
        "RoBERTa-PreLayerNorm",
        "no model_max_length",
        "fallback",
        "roberta-prelayernorm",
        "roberta",
        OFFSET,
        without_limit,
    ),
    case("XLM-RoBERTa-XL", "no model_max_length", "fallback", "xlm-roberta-xl", "xlm-roberta", OFFSET, without_limit),
    case("ERNIE", "as saved", "fallback", "ernie", "bert", ENCODER),
    case(
        "BLOOM",
        "as saved",
        "fallback",
        "bloom",
        "gpt2",
        {**COMMON, "hidden_size": 32, "n_layer": 2, "n_head": 4, "pad_token_id": None},
    ),
    case(
        "Gemma 2",
        "as saved",
        "fallback",
        "gemma2",
        "gpt2",
        {
            **DECODER,
            "pad_token_id": 0,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "query_pre_attn_scalar": 8,
            "sliding_window": 16,
        },
    ),
    case(
        "XLM",
        "as saved",
        "fallback",
        "xlm",
        "gpt2",
        {
            **COMMON,
            "emb_dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "max_position_embeddings": MAX_LENGTH,
            "n_langs": 1,
            "use_lang_emb": False,
            "init_std": 0.3,
            "embed_init_std": 0.3,
            "pad_index": 1,
        },
    ),
]


def outcome(case: Case, folder: Path) -> str:
    """The path that answered as transformers' pipeline does, or the sentence that refused the checkpoint."""
    case.build(folder)
    source = Checkpoint(Entry(name="case", task="text-classification", source=str(folder)), folder)
    try:
        model = Model(source, device.choose("cpu"))
    except StartError as error:
        return error.message
    torch.set_num_threads(1)  # the models are tiny
    expected = reference(folder, None if case.architecture in UNLIMITED else MAX_LENGTH)
    check(case, model, expected)
    return "packed" if model.is_packed else "fallback"


def reference(folder: Path, limit: int | None) -> list[dict[str, float] | None]:
    """Each input's scores by transformers' pipeline, alone; None where it has no token."""
    if not (json.loads((folder / "config.json").read_text())).get("model_type"):
        change_config(folder, model_type="bert")  # transformers needs it
    classify: Any = transformers.pipeline("text-classification", str(folder), dtype=torch.float32, device="cpu")
    stated = classify.tokenizer.model_max_length
    most = min(stated, limit) if limit else stated
    cut = {"truncation": True, "max_length": most} if most < 10**9 else {}
    answers: list[dict[str, float] | None] = []
    for text in INPUTS:
        if classify.tokenizer(text, **cut)["input_ids"]:
            best_last = reversed(classify(text, top_k=None, **cut))
            answers.append({each["label"]: each["score"] for each in best_last})
        else:
            answers.append(None)
    return answers


def check(case: Case, model: Model, expected: list[dict[str, float] | None]) -> None:
    """Holds the model to the expected scores: all inputs together, in batches of another order, and alone."""
    payloads = model.inputs.payloads(INPUTS)
    prepared = [index for index, payload in enumerate(payloads) if not isinstance(payload, InstanceError)]
    assert prepared == [index for index, scores in enumerate(expected) if scores is not None], case.name
    backwards = prepared[::-1]
    together = [] if case.architecture in UNLIMITED else [prepared]  # thousands of tokens would take gigabytes
    batches = [*together, *(backwards[start : start + BATCH] for start in range(0, len(backwards), BATCH))]
    batches += [[index] for index in prepared[::5]]
    parameters = Parameters(top_k=len(model.labels))
    for batch in batches:
        rows = model.launch([payloads[index].data for index in batch], [parameters] * len(batch)).rows()
        for index, row in zip(batch, rows, strict=True):
            scores = model.task.predict([row], payloads[index], parameters).scores
            assert scores == pytest.approx(expected[index], abs=TOLERANCE), (case.name, INPUTS[index][:40], len(batch))
    spread = torch.tensor(
        [next(iter(scores.values())) if len(scores) == 1 else max(scores.values()) for scores in expected if scores]
    )
    assert float(spread.std()) > LEAST_SPREAD, case.name
