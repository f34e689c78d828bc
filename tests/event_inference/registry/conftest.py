"""A model's folder, as small as one can be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes the folder of a model with these weights."""

    def make(name: str = "model", weights: bytes = b"weights", **config: object) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        architecture = {"architectures": ["BertForSequenceClassification"], **config}
        (folder / "config.json").write_text(json.dumps(architecture))
        (folder / "tokenizer.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "optimizer.pt").write_bytes(b"of the training")
        return folder

    return make
