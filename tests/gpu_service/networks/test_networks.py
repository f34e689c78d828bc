"""Parity of the plain torch networks with transformers' own."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from gpu_service.networks.auto import AutoImageClassifier
from gpu_service.networks.bert import PackedClassifier
from gpu_service.networks.padded import PaddedClassifier
from gpu_service.networks.resnet import ResidualClassifier
from gpu_service.networks.vit import VisionClassifier
from gpu_service.serving.model import Model
from gpu_service.tasks.classification import Row

NETWORKS = {
    "distilbert": PackedClassifier,
    "distilbert-one-layer": PackedClassifier,
    "bert": PackedClassifier,
    "roberta": PackedClassifier,
    "electra": PaddedClassifier,
    "vit": VisionClassifier,
    "resnet": ResidualClassifier,
    "resnet-bottleneck": ResidualClassifier,
}
LENGTHS = [2, 64, 7, 1, 33, 7]


@pytest.mark.parametrize(
    "name", [name for name, kind in NETWORKS.items() if "Auto" in kind.__name__ or "Packed" in kind.__name__]
)
def test_packed_texts_score_as_each_alone_through_transformers(
    name: str, folder: Callable[[str], Path], load: Callable[[str], Model]
):
    plain = AutoModelForSequenceClassification.from_pretrained(folder(name)).eval()
    model = load(name)
    rng = np.random.default_rng(1)
    texts = [rng.integers(5, 60, length) for length in LENGTHS]
    assert type(model.network) is NETWORKS[name]
    with torch.inference_mode():
        alone = torch.cat([plain(torch.from_numpy(text)[None]).logits for text in texts])
    assert alone.std() > 0.05
    torch.testing.assert_close(model.network(texts), alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["bert", "electra"])
def test_segments_score_as_through_transformers(name: str, folder: Callable[[str], Path], load: Callable[[str], Model]):
    plain = AutoModelForSequenceClassification.from_pretrained(folder(name)).eval()
    model = load(name)
    pair = np.array([[2, 0], [7, 0], [9, 0], [3, 0], [8, 1], [11, 1], [3, 1]])
    single = np.array([2, 7, 9, 3])
    with torch.inference_mode():
        expected = torch.cat(
            [
                plain(torch.from_numpy(single)[None]).logits,
                plain(torch.from_numpy(pair[:, 0])[None], token_type_ids=torch.from_numpy(pair[:, 1])[None]).logits,
            ]
        )
    assert (expected[0] - expected[1]).abs().max() > 0.05
    torch.testing.assert_close(model.network([single, pair]), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["vit", "resnet", "resnet-bottleneck"])
def test_images_score_as_through_transformers(name: str, folder: Callable[[str], Path], load: Callable[[str], Model]):
    plain = AutoModelForImageClassification.from_pretrained(folder(name)).eval()
    model = load(name)
    assert type(model.network) is NETWORKS[name]
    images = list(np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    with torch.inference_mode():
        expected = plain((pixels - mean) / std).logits
    assert expected.std() > 0.01
    torch.testing.assert_close(model.network(images), expected, atol=1e-4, rtol=1e-3)


def test_the_other_architectures_images_go_through_auto_classes(
    load: Callable[[str], Model], folder: Callable[[str], Path]
):
    known = load("vit")
    images = [np.full((32, 32, 3), level, dtype=np.uint8) for level in (0, 100, 255)]
    checkpoint_of = known.entry
    from gpu_service.checkpoints.checkpoint import Checkpoint

    auto = AutoImageClassifier(
        Checkpoint(checkpoint_of, folder("vit")),
        known.device,
        [102, 127.5, 153],
        [51, 76.5, 102],
    )
    torch.testing.assert_close(auto(images), known.network(images), atol=1e-4, rtol=1e-3)


def test_an_image_is_prepared_as_the_checkpoint_specifies(load: Callable[[str], Model]):
    encoded = io.BytesIO()
    Image.new("RGB", (50, 40), (10, 200, 30)).save(encoded, "PNG")
    payload = load("vit").inputs.payload(encoded.getvalue())
    assert payload.data.shape == (32, 32, 3)
    assert payload.data[16, 16].tolist() == [10, 200, 30]


@pytest.mark.parametrize("scores", [[math.nan, 1.0], [math.inf, 1.0], [1.0, -math.inf]])
def test_values_of_a_regression_that_are_not_finite_are_no_prediction(
    scores: list[float], load: Callable[[str], Model]
):
    task = load("bert").task
    assert task.is_finite(Row([1.0, -1.0], [0, 1]))
    assert not task.is_finite(Row(scores, [0, 1]))
