"""Classifiers of two texts, as cross-encoders and models for natural-language inference, answer as transformers do."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TextClassificationPipeline

from gpu_service.errors import InstanceError
from gpu_service.inputs.instances import Pair
from gpu_service.networks.bert import PackedClassifier
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.predicting import together

LONG = "the film was good and the story was long " * 8
PAIRS = [
    ("a good film", "joy"),
    ("joy", "a good film"),
    (LONG, "dull"),
    ("dull", LONG),
    (LONG, LONG[4:]),
    (LONG[:90], LONG),
    ("the film", "the film"),
]


@pytest.mark.parametrize("max_length", [None, 16])
@pytest.mark.parametrize("name", checkpoints.ENCODERS)
def test_a_batch_of_pairs_and_texts_has_the_scores_of_the_pipeline(name: str, max_length: int | None, tmp_path: Path):
    checkpoints.entailer(tmp_path, name)
    model = checkpoints.load(tmp_path, "text-classification")
    assert isinstance(model.network, PackedClassifier) == (name in checkpoints.PACKED)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    pipeline = TextClassificationPipeline(
        model=AutoModelForSequenceClassification.from_pretrained(tmp_path).eval(), tokenizer=tokenizer, top_k=None
    )
    values = [*(Pair(*pair) for pair in PAIRS), "a good film"]
    inputs: list[Any] = [*({"text": first, "text_pair": second} for first, second in PAIRS), {"text": "a good film"}]
    options = {} if max_length is None else {"max_length": max_length}
    for value, prediction in zip(inputs, together(model, values, **options), strict=True):
        length = max_length or checkpoints.LIMIT
        expected = {each["label"]: each["score"] for each in pipeline(value, truncation=True, max_length=length)}
        assert prediction.scores == pytest.approx(expected, abs=1e-4)
        whole = tokenizer(**value)
        assert prediction.truncated == (len(whole["input_ids"]) > length)


def test_the_longer_text_is_cut_first_as_the_library_does(tmp_path: Path):
    checkpoints.entailer(tmp_path, "bert")
    model, tokenizer = checkpoints.load(tmp_path, "text-classification"), AutoTokenizer.from_pretrained(tmp_path)
    rng = random.Random(0)
    for _ in range(200):
        first, second = (" ".join(rng.choices(["film", "good", "joy"], k=rng.randint(1, 60))) for _ in range(2))
        length = rng.randint(8, checkpoints.LIMIT)
        expected = tokenizer(first, second, truncation=True, max_length=length)
        found = model.inputs.pair(Pair(first, second), length)
        assert found.data[:, 0].tolist() == expected["input_ids"]
        assert found.data[:, 1].tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("pair", [Pair("joy", ""), Pair(" ", "joy"), Pair("joy", 7), Pair(None, "joy")])
def test_both_must_be_texts(pair: Pair, tmp_path: Path):
    checkpoints.entailer(tmp_path, "bert")
    model = checkpoints.load(tmp_path, "text-classification")
    bad, good = model.task.payloads([pair, "joy"], [model.defaults] * 2)
    assert isinstance(bad, InstanceError)
    assert bad.code in ("empty", "invalid_text")
    assert not isinstance(good, InstanceError)


def test_other_tasks_refuse_pairs(of_tasks: Any):
    for task in ("token-classification", "zero-shot-classification", "feature-extraction"):
        instances = [{"text": "joy", "text_pair": "film", "parameters": {}}]
        body = of_tasks.post("/predict", {"instances": instances, "model": task}).json()
        assert body["predictions"][0]["error"]["code"] == "wrong_kind"


def test_the_short_form_has_pairs(client: Any, ask: Callable[..., Any]):
    pair = {"text": "good", "text_pair": "bad"}
    short, long = ask(pair), ask({"instances": [pair]})
    assert short["predictions"][0]["score"] == pytest.approx(long["predictions"][0]["score"], abs=1e-5)
    assert short["predictions"][0]["scores"] != ask({"text": "good"})["predictions"][0]["scores"]
    assert client.post("/predict", {"text_pair": "bad"}).status_code == 400


@pytest.fixture
def ask(client: Any) -> Callable[..., Any]:
    return lambda body: client.post("/predict", body).json()
