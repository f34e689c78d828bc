"""Zero-shot classification scores the caller's labels as transformers' pipeline does."""

from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer, ZeroShotClassificationPipeline

from gpu_service.errors import InstanceError, StartError
from gpu_service.networks.bert import PackedClassifier
from gpu_service.parameters import parse
from gpu_service.serving.model import Model
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.predicting import together

LABELS = ["politics", "a film", "sports"]
ORDERS = [["contradiction", "neutral", "entailment"], ["ENTAILMENT", "neutral", "contradiction"]]


def _pair(folder: Path, name: str, labels: list[str]) -> tuple[Model, ZeroShotClassificationPipeline]:
    checkpoints.entailer(folder, name, labels)
    pipeline = ZeroShotClassificationPipeline(
        model=AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        tokenizer=AutoTokenizer.from_pretrained(folder),
    )
    return checkpoints.load(folder, "zero-shot-classification"), pipeline


@pytest.mark.parametrize("order", ORDERS, ids=["last", "first"])
@pytest.mark.parametrize("name", [name for name in checkpoints.ENCODERS if name != "xlm-roberta"])
def test_a_batch_has_the_scores_of_the_pipeline(name: str, order: list[str], tmp_path: Path):
    model, pipeline = _pair(tmp_path, name, order)
    assert isinstance(model.network, PackedClassifier) == (name in checkpoints.PACKED)
    for labels in (LABELS, LABELS[:1]):
        for multi_label in (False, True):
            options = {"multi_label": multi_label, "hypothesis_template": "It is about {}."}
            found = together(model, checkpoints.TEXTS, labels=labels, **options)
            for text, prediction in zip(checkpoints.TEXTS, found, strict=True):
                expected = pipeline(text, labels, **options)
                scores = dict(zip(expected["labels"], expected["scores"], strict=True))
                assert prediction.scores == pytest.approx(scores, abs=1e-4)
                assert list(prediction.scores.values()) == sorted(prediction.scores.values(), reverse=True)
                assert prediction.label == next(iter(prediction.scores))
                assert prediction.score == prediction.scores[prediction.label]
                whole = pipeline.tokenizer([(text, f"It is about {label}.") for label in labels])["input_ids"]
                assert prediction.truncated == (max(map(len, whole)) > checkpoints.LIMIT)


def test_the_size_is_that_of_all_pairs(tmp_path: Path):
    model, _ = _pair(tmp_path, "bert", ORDERS[0])
    (payload,) = model.task.payloads(["the film was good"], [model.effective(parse({"labels": ["joy", "bad", "joy"]}))])
    assert [part.size for part in payload.parts] == [len(part.data) for part in payload.parts]
    assert payload.size == sum(part.size for part in payload.parts)
    assert len(payload.parts) == 2
    assert payload.parts[0].data[:, 1].tolist()[-2:] == [1, 1]  # the hypothesis is the second segment


def test_labels_are_required_and_must_leave_room_for_the_text(tmp_path: Path):
    model, _ = _pair(tmp_path, "bert", ORDERS[0])
    for parameters in ({}, {"labels": ["joy", "film " * 45]}):
        (error,) = model.task.payloads(["joy"], [model.effective(parse(parameters))])
        assert isinstance(error, InstanceError)
        assert error.code == "invalid_parameters"


def test_a_model_without_an_entailment_label_is_refused(tmp_path: Path):
    folder = checkpoints.entailer(tmp_path, "bert", ["bad", "good"])
    with pytest.raises(StartError, match="no label that begins with 'entail'"):
        checkpoints.load(folder, "zero-shot-classification")
