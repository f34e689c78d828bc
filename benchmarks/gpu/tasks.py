"""The checkpoints of the tasks other than classification, with random weights; nothing is downloaded."""

import json
from pathlib import Path
from typing import Any

from benchmarks.serving import models
from benchmarks.serving.texts import SEED, VOCABULARY_SIZE
from gpu_service.checkpoints.registry import Task

TASKS: dict[str, Task] = {  # those of electra and the detectors run through transformers' Auto classes
    "tagger": "token-classification",
    "tagger-electra": "token-classification",
    "entailer": "zero-shot-classification",
    "embedder": "feature-extraction",
    "embedder-electra": "feature-extraction",
    "yolos": "object-detection",
    "detr": "object-detection",
}
SERVED = ("tagger", "entailer", "embedder", "yolos", "detr")  # also compared and measured behind the batcher
LABELS = {
    "token-classification": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
    "zero-shot-classification": ["contradiction", "neutral", "entailment"],
}
AUTO_CLASSES = {
    "token-classification": "AutoModelForTokenClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "feature-extraction": "AutoModel",
    "object-detection": "AutoModelForObjectDetection",
}
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
YOLOS_TINY = {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768}
SIZES = {False: {"shortest_edge": 512, "longest_edge": 864}, True: {"shortest_edge": 64, "longest_edge": 96}}
HEADS = ("classifier", "class_labels", "bbox_predictor")  # modules whose weights decide the scores
POOLING = {"pooling_mode": ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]}


def make(name: str, folder: Path, *, quick: bool) -> None:
    import torch
    import transformers

    task = TASKS[name]
    torch.manual_seed(SEED)
    configuration = _config(name, quick=quick)
    model = getattr(transformers, AUTO_CLASSES[task]).from_config(configuration)
    for key, weight in model.named_parameters():  # of fresh heads all scores would be nearly equal
        if key.startswith(HEADS) and key.endswith("weight"):
            torch.nn.init.normal_(weight, std=4 / weight.shape[1] ** 0.5)
    model.save_pretrained(folder)
    if task == "object-detection":
        processor: Any = getattr(transformers, "YolosImageProcessor" if name == "yolos" else "DetrImageProcessor")
        processor(size=SIZES[quick]).save_pretrained(folder)
        return
    models.wordpiece().save_pretrained(folder)
    if name == "embedder":
        _add_pooling(folder)


def _config(name: str, *, quick: bool) -> Any:
    import transformers

    configs: Any = transformers
    tiny = TINY if quick else {}
    if name == "yolos":
        sides = [SIZES[quick]["shortest_edge"], SIZES[quick]["longest_edge"]]
        return configs.YolosConfig(**(tiny or YOLOS_TINY), image_size=sides, num_labels=91)
    if name == "detr":
        return _detr(configs, quick=quick)
    labels = LABELS.get(TASKS[name], [])
    head = {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}
    text = {"vocab_size": VOCABULARY_SIZE, "initializer_range": 0.05, **(head if labels else {})}
    if name.endswith("electra"):
        return configs.ElectraConfig(**text, **tiny)
    return configs.BertConfig(**text, **(tiny or (MINILM if name == "embedder" else {})))


def _detr(configs: Any, *, quick: bool) -> Any:
    backbone = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]} if quick else {}
    out = "stage2" if quick else "stage4"
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    tiny = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "num_queries": 12, **heads} if quick else {}
    return configs.DetrConfig(
        **tiny,
        backbone=None,
        backbone_config=configs.ResNetConfig(**backbone, out_features=[out]),
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        num_labels=91,
    )


def _add_pooling(folder: Path) -> None:
    """The files of sentence-transformers, with every way to pool."""
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(POOLING))
