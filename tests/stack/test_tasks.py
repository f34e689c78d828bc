"""Several tasks through the whole pipeline: from an upload that names a model to its document or table."""

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage
from jsonschema import Draft202012Validator

from emulator.process import Stack
from tests.gpu_service.tasks import checkpoints
from tests.stack import changed

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "functions/pipeline/schemas/result.schema.json").read_text())
TEXT = "Angela Merkel met Barack Obama in New York."
LABELS = ["joy", "bad news"]

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.timeout(240)]


def _models_file(folder: Path) -> Path:
    """The starter's classifier, and a model for each of three other tasks."""
    made = {
        "names": ("token-classification", checkpoints.tagger(folder / "names", "bert")),
        "vectors": (
            "feature-extraction",
            checkpoints.sentence_transformer(folder / "vectors", "distilbert", {"pooling_mode_mean_tokens": True}),
        ),
        "topics": ("zero-shot-classification", checkpoints.entailer(folder / "topics", "roberta")),
    }
    (sentiment,) = (
        entry for entry in json.loads((ROOT / "gpu_service/models.json").read_text())["starter"]
        if entry["task"] == "text-classification"
    )  # fmt: skip
    sentiment["source"] = str(ROOT / "gpu_service" / sentiment["source"])
    others = [{"name": name, "task": task, "source": str(path)} for name, (task, path) in made.items()]
    path = folder / "models.json"
    path.write_text(json.dumps({"tasks": [sentiment, *others]}))
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tasks")
    content = changed.description()
    models = ["--models", str(_models_file(folder)), "--profile", "tasks"]
    content["services"]["gpu-service"]["command"] = ["python", "-m", "gpu_service", *models, "--port", "{port}"]
    with changed.started(folder, content) as running:
        yield running


def _document(client: storage.Client, name: str, content: str, **metadata: str) -> dict[str, Any]:
    """Uploads the content and waits for its result."""
    blob = client.bucket("local-input").blob(name)
    blob.metadata = metadata
    blob.upload_from_string(content, "text/csv" if name.endswith(".csv") else "text/plain")
    output, give_up = client.bucket("local-output"), time.monotonic() + 60
    while time.monotonic() < give_up:
        for folder in ("results", "rejected", "failed"):
            if written := output.get_blob(f"{folder}/{name}/{blob.generation}.json"):
                document: dict[str, Any] = json.loads(written.download_as_bytes())
                if folder == "results":
                    Draft202012Validator(SCHEMA).validate(document)
                return document
        time.sleep(0.1)
    raise AssertionError(f"{name} has no document")


def _rows(client: storage.Client, document: dict[str, Any]) -> list[dict[str, str]]:
    name = document["data"]["uri"].removeprefix("gs://local-output/")
    data = client.bucket("local-output").blob(name).download_as_bytes().decode()
    return list(csv.DictReader(io.StringIO(data, newline="")))


def test_a_text_without_a_model_goes_to_the_classifier(client: storage.Client):
    document = _document(client, "plain.txt", "What a delightful, warm and funny film!")
    assert document["model"]["task"] == "text-classification"
    assert document["predictions"][0]["label"] == "POSITIVE"


def test_entities_refer_to_the_uploaded_text(client: storage.Client):
    document = _document(client, "names.txt", TEXT, model="names", aggregation="none")
    (prediction,) = document["predictions"]
    assert document["model"]["task"] == "token-classification"
    assert prediction["entities"]
    for entity in prediction["entities"]:
        assert TEXT[entity["start"] : entity["end"]].lower().startswith(entity["word"].removeprefix("##")[:1])
    assert document["quality"]["confidence"] == min(entity["score"] for entity in prediction["entities"])


def test_an_embedding_has_no_confidence(client: storage.Client):
    document = _document(client, "vectors.txt", TEXT, model="vectors")
    (prediction,) = document["predictions"]
    assert sum(number**2 for number in prediction["embedding"]) == pytest.approx(1, abs=1e-5)
    assert document["quality"] == {"confidence": None, "high_confidence": False, "requires_review": False}


def test_labels_come_from_the_metadata(client: storage.Client):
    document = _document(client, "topics.txt", TEXT, model="topics", labels=", ".join(LABELS), multi_label="true")
    (prediction,) = document["predictions"]
    assert sorted(prediction["scores"]) == sorted(LABELS)
    without = _document(client, "topics-2.txt", TEXT, model="topics")
    assert (without["status"], without["reason"]["code"]) == ("rejected", "invalid_parameters")


@pytest.mark.parametrize(
    ("model", "columns", "metadata"),
    [
        ("names", ["entities"], {}),
        ("vectors", ["embedding"], {}),
        ("topics", ["label", "score"], {"labels": "joy,bad"}),
    ],
)
def test_a_table_has_the_columns_of_the_task(
    client: storage.Client, model: str, columns: list[str], metadata: dict[str, str]
):
    table = f'id,review\n1,"{TEXT}"\n2,\n3,joy\n'
    document = _document(client, f"{model}.csv", table, model=model, **metadata)
    assert document["status"] == "partial"
    first, empty, last = _rows(client, document)
    assert list(first) == ["id", "review", *columns, "error", "truncated"]
    assert [first["id"], empty["id"], last["id"]] == ["1", "2", "3"]
    assert [row["error"] for row in (first, empty, last)] == ["", "empty", ""]
    assert [empty[column] for column in columns] == [""] * len(columns)
    if model == "topics":
        assert first["label"] in ("joy", "bad")
        assert 0 < float(first["score"]) <= 1
    elif model == "vectors":
        assert len(json.loads(first["embedding"])) == 32
    else:
        assert all(set(entity) >= {"entity_group", "start", "end"} for entity in json.loads(first["entities"]))
