"""Token classification finds what transformers' pipeline finds."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from transformers import AddedToken, AutoModelForTokenClassification, AutoTokenizer, TokenClassificationPipeline

from gpu_service.errors import StartError
from gpu_service.networks.bert import PackedTagger
from gpu_service.serving.model import Model
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.predicting import together

STRATEGIES = ["none", "simple", "first", "average", "max"]
Pair = tuple[Model, TokenClassificationPipeline]


@pytest.fixture(scope="module", params=list(checkpoints.ENCODERS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = checkpoints.tagger(tmp_path_factory.mktemp(request.param), request.param)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pipeline = TokenClassificationPipeline(
        model=AutoModelForTokenClassification.from_pretrained(folder).eval(), tokenizer=tokenizer
    )
    model = checkpoints.load(folder, "token-classification")
    assert isinstance(model.network, PackedTagger) == (request.param in checkpoints.PACKED)
    return model, pipeline


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_a_batch_has_the_entities_of_the_pipeline(pair: Pair, strategy: str):
    model, pipeline = pair
    found = together(model, checkpoints.TEXTS, aggregation=strategy)
    assert sum(len(prediction.entities) for prediction in found) > 8
    for text, prediction in zip(checkpoints.TEXTS, found, strict=True):
        entities = msgspec.to_builtins(prediction.entities)
        expected = pipeline(text, aggregation_strategy=strategy)
        assert [_rest(entity) for entity in entities] == [_rest(entity) for entity in expected]
        assert [entity["score"] for entity in entities] == pytest.approx([e["score"] for e in expected], abs=1e-4)
        assert all(type(entity.score) is float for entity in prediction.entities)


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_a_special_token_in_the_text_has_no_space_of_the_text(tmp_path: Path):
    folder = checkpoints.tagger(tmp_path, "roberta")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)})
    tokenizer.save_pretrained(folder)
    pipeline = TokenClassificationPipeline(
        model=AutoModelForTokenClassification.from_pretrained(folder).eval(), tokenizer=tokenizer
    )
    text = "the <mask> was new"
    (prediction,) = together(checkpoints.load(folder, "token-classification"), [text], aggregation="none")
    expected = pipeline(text, aggregation_strategy="none", ignore_labels=["O"])
    assert "<mask>" in [entity["word"] for entity in expected]
    assert [entity.word for entity in prediction.entities] == [entity["word"] for entity in expected]


def test_offsets_refer_to_the_text_and_a_long_one_is_marked_as_cut(pair: Pair):
    model, _ = pair
    found = together(model, checkpoints.TEXTS)
    assert [prediction.truncated for prediction in found] == [len(text) > 500 for text in checkpoints.TEXTS]
    for text, prediction in zip(checkpoints.TEXTS, found, strict=True):
        for entity in prediction.entities:
            assert 0 <= entity.start <= entity.end <= len(text)  # a byte-level space has no width


def test_a_checkpoint_without_the_head_is_refused(tmp_path: Path):
    folder = checkpoints.entailer(tmp_path, "bert")
    with pytest.raises(StartError, match=r"BertForSequenceClassification, which cannot do token-classification"):
        checkpoints.load(folder, "token-classification")


def _rest(entity: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entity.items() if key != "score"}
