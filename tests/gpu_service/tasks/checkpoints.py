"""Small checkpoints of each task with random weights, in the files that people have."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    AutoModelForObjectDetection,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    ConditionalDetrConfig,
    DebertaV2Config,
    DeformableDetrConfig,
    DeformableDetrImageProcessor,
    DetrConfig,
    DetrImageProcessor,
    DFineConfig,
    DistilBertConfig,
    ElectraConfig,
    HGNetV2Config,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RTDetrConfig,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
    RTDetrV2Config,
    XLMRobertaConfig,
    YolosConfig,
    YolosImageProcessor,
)
from transformers.models.resnet import ResNetConfig

from gpu_service.checkpoints import device
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry, Task
from gpu_service.serving.model import Model

TEXTS = [
    "Angela Merkel met Barack Obama in New York, near the Hudson.",
    "the film was good",
    "joy",
    "Was it bad?  It was not: naïve Zürich, 東京 and 🎬 — don't!",
    "The unbelievable story of a long, long film about Paris and London. " * 12,  # beyond the limit
    "  leading and trailing spaces  ",
    "unbelievable",
    "A B-movie; an I-beam. O!",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "the",
    "film",
    "was",
    "good",
    "bad",
    "it",
    "is",
    "not",
    "a",
    "story",
    "of",
    "about",
    "joy",
    "in",
    "and",
    "new",
    "york",
    "paris",
    "london",
    "angela",
]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?-'"
VOCABULARY = [*SPECIAL, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
LIMIT = 48
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
NLI = ["contradiction", "neutral", "entailment"]
LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
RANDOM = {"initializer_range": 0.4}


def word_pieces(*, segments: bool = True) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names = ["input_ids", "token_type_ids", "attention_mask"] if segments else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=LIMIT, model_input_names=names, **special)


def byte_pairs() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=LIMIT,
        model_input_names=inputs,
        bos_token="<s>",
        eos_token="</s>",
        **names,
    )


def _pieces(config: type, **more: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda head: config(**{**LAYERS, **RANDOM, "vocab_size": len(VOCABULARY), **more, **head})


def _pairs(config: type, **more: Any) -> Callable[[dict[str, Any]], Any]:
    sizes = {"vocab_size": 400, "max_position_embeddings": LIMIT + 2, "pad_token_id": 1, "type_vocab_size": 1}
    return lambda head: config(**{**LAYERS, **RANDOM, **sizes, **more, **head})


def _distilbert(head: dict[str, Any]) -> DistilBertConfig:
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": LIMIT}
    return DistilBertConfig(vocab_size=len(VOCABULARY), **sizes, **RANDOM, **head)


PACKED = {
    "bert": (_pieces(BertConfig, max_position_embeddings=LIMIT), word_pieces),
    "distilbert": (_distilbert, partial(word_pieces, segments=False)),
    "roberta": (_pairs(RobertaConfig), byte_pairs),
    "xlm-roberta": (_pairs(XLMRobertaConfig), byte_pairs),
}
PADDED = {
    "electra": (_pieces(ElectraConfig, embedding_size=32, max_position_embeddings=LIMIT), word_pieces),
    "mpnet": (_pairs(MPNetConfig), byte_pairs),
    "deberta": (_pieces(DebertaV2Config, max_position_embeddings=LIMIT, type_vocab_size=0), word_pieces),
}
ENCODERS = {**PACKED, **PADDED}


def tagger(folder: Path, name: str) -> Path:
    return _text(folder, name, AutoModelForTokenClassification, TAGS)


def entailer(folder: Path, name: str, labels: list[str] = NLI) -> Path:
    return _text(folder, name, AutoModelForSequenceClassification, labels)


def encoder(folder: Path, name: str) -> Path:
    return _text(folder, name, AutoModel, [])


def _text(folder: Path, name: str, auto_class: Any, labels: list[str]) -> Path:
    torch.manual_seed(11)
    config, tokenizer = ENCODERS[name]
    head = {"id2label": dict(enumerate(labels)), "label2id": {label: n for n, label in enumerate(labels)}}
    model = auto_class.from_config(config(head if labels else {}))
    for weight in (weight for key, weight in model.named_parameters() if key.endswith("position_embeddings.weight")):
        torch.nn.init.normal_(weight, std=0.4)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def sentence_transformer(
    folder: Path, name: str, pooling: dict[str, Any], *, normalise: bool = True, settings: dict[str, Any] | None = None
) -> Path:
    """A plain encoder with the files that sentence-transformers adds."""
    encoder(folder, name)
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), *([("Normalize", "2_Normalize")] if normalise else [])]
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **pooling}))
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings or {"max_seq_length": 20}))
    return folder


SIZE = {"shortest_edge": 64, "longest_edge": 96}
SQUARE = {"height": 64, "width": 64}
SMALL = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "num_queries": 12,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "use_timm_backbone": False,
         "use_pretrained_backbone": False}  # fmt: skip


def _detr(config: Any) -> Any:
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"])
    return config(**SMALL, backbone_config=backbone, backbone=None, num_labels=3)


STRIDES = {"encoder_in_channels": [32] * 3, "decoder_in_channels": [32] * 3, "feat_strides": [8, 16, 32]}
ANCHORED = {**SMALL, **STRIDES, "encoder_hidden_dim": 32, "decoder_layers": 2, "num_denoising": 0, "backbone": None}
STAGES = ["stage2", "stage3", "stage4"]


def _rt_detr(config: Any) -> Any:
    backbone = RTDetrResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 32, 32], depths=[1] * 4, layer_type="basic", out_features=STAGES
    )
    return config(**ANCHORED, backbone_config=backbone, num_labels=3)


def _d_fine() -> DFineConfig:
    channels = {"stem_channels": [3, 16, 16], "stage_in_channels": [16, 32, 32, 32], "stage_mid_channels": [8] * 4}
    backbone = HGNetV2Config(
        **channels, stage_out_channels=[32] * 4, hidden_sizes=[32] * 4, embedding_size=16, stage_num_blocks=[1] * 4,
        stage_numb_of_layers=[2] * 4, stage_light_block=[False] * 4, stage_kernel_size=[3] * 4, out_features=STAGES
    )  # fmt: skip
    return DFineConfig(**ANCHORED, backbone_config=backbone, num_labels=3)


def _deformable_detr() -> DeformableDetrConfig:
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1] * 4, layer_type="basic", out_features=STAGES
    )
    return DeformableDetrConfig(**{**SMALL, "decoder_layers": 2}, backbone=None, backbone_config=backbone, num_labels=3)


DETECTORS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {  # configurations and processors
    "yolos": (
        lambda: YolosConfig(**LAYERS, image_size=[64, 96], patch_size=16, num_detection_tokens=10, num_labels=3),
        partial(YolosImageProcessor, size=SIZE),
    ),
    "detr": (lambda: _detr(DetrConfig), partial(DetrImageProcessor, size=SIZE)),
    "conditional-detr": (lambda: _detr(ConditionalDetrConfig), partial(DetrImageProcessor, size=SIZE)),
    "deformable-detr": (_deformable_detr, partial(DeformableDetrImageProcessor, size=SIZE)),
    "rt-detr": (lambda: _rt_detr(RTDetrConfig), partial(RTDetrImageProcessor, size=SQUARE)),
    "rt-detr-v2": (lambda: _rt_detr(RTDetrV2Config), partial(RTDetrImageProcessor, size=SQUARE)),
    "d-fine": (_d_fine, partial(RTDetrImageProcessor, size=SQUARE)),
}
HEADS = ("bbox", "class_labels", "class_embed", "enc_score_head", "query", "detection_tokens")


def detector(folder: Path, name: str) -> Path:
    torch.manual_seed(5)
    config, processor = DETECTORS[name]
    model = AutoModelForObjectDetection.from_config(config())
    for key, weight in model.named_parameters():
        if any(head in key for head in HEADS):
            torch.nn.init.normal_(weight, std=0.5)
        if key.startswith("class_labels_classifier") and key.endswith("bias") and len(weight) == 4:
            torch.nn.init.constant_(weight[-1:], -4)  # that a query has found nothing
    model.save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def load(folder: Path, task: Task) -> Model:
    return Model(Checkpoint(Entry(name="tested", task=task, source=str(folder)), folder), device.choose("cpu"))
