"""Requests with different parameters share batches, and each gets what it asked for."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, DistilBertConfig

from gpu_service.settings import Settings
from tests.gpu_service.conftest import DISTIL, Client, tokenizer

LABELS = 300


@pytest.fixture(scope="module")
def many_labels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("many-labels")
    config = DistilBertConfig(**{**DISTIL, "num_labels": LABELS})
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    entry = {"name": "topics", "version": "1", "task": "text-classification", "source": str(folder), "default": True}
    models = folder / "models.json"
    models.write_text(json.dumps({"test": [entry]}))
    client = Client(Settings(profile="test", models=models, device="cpu"))
    yield client
    client.close()


@pytest.mark.parametrize("order", [sorted, lambda tops: sorted(tops, reverse=True)], ids=["rising", "falling"])
def test_requests_of_one_batch_each_get_as_many_labels_as_they_ask_for(
    many_labels: Client, order: Callable[[list[int]], list[int]]
):
    tops = order([1, 2, 5, 70, 200, LABELS] * 5)

    async def ask_all() -> list[int]:
        bodies = [{"text": "a good film", "parameters": {"top_k": top}} for top in tops]
        answers = await asyncio.gather(*(many_labels.http.post("/predict", json=body) for body in bodies))
        return [len(answer.json()["predictions"][0]["scores"]) for answer in answers]

    assert many_labels.runner.run(ask_all()) == tops
