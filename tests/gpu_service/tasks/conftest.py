"""The service with a model for each task."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_service.settings import Settings
from tests.gpu_service.tasks import checkpoints

MAKERS: dict[str, Callable[[Path], Path]] = {
    "token-classification": lambda folder: checkpoints.tagger(folder, "bert"),
    "zero-shot-classification": lambda folder: checkpoints.entailer(folder, "bert"),
    "feature-extraction": lambda folder: checkpoints.sentence_transformer(
        folder, "distilbert", {"pooling_mode_mean_tokens": True}
    ),
    "object-detection": lambda folder: checkpoints.detector(folder, "yolos"),
}


@pytest.fixture(scope="session")
def tasks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models.json whose models are named as their tasks."""
    entries = [
        {"name": task, "task": task, "source": str(make(tmp_path_factory.mktemp(task)))}
        for task, make in MAKERS.items()
    ]
    path = tmp_path_factory.mktemp("models") / "models.json"
    path.write_text(json.dumps({"test": entries}))
    return path


@pytest.fixture(scope="session")
def of_tasks(tasks_file: Path, start_client: Callable[[Settings], Any]) -> Iterator[Any]:
    client = start_client(
        Settings(profile="test", models=tasks_file, device="cpu", input_bucket="input", work_bucket="work")
    )
    yield client
    client.close()
