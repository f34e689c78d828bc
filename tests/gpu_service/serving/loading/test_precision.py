"""Number formats and threads are chosen before a model is ready."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import gelu

from gpu_service.batching.threads import Way
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import choose
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import StartError
from gpu_service.networks.padded import PaddedTagger
from gpu_service.networks.transformer import ACTIVATIONS
from gpu_service.parameters import DEFAULTS
from gpu_service.serving.loading import precision, warmup
from gpu_service.serving.model import Model, samples
from tests.gpu_service.tasks.checkpoints import tagger


@pytest.fixture
def checkpoint(folder: Callable[[str], Path]) -> Checkpoint:
    path = folder("bert")
    return Checkpoint(Entry(name="m", task="text-classification", source=str(path)), path)


def test_half_precision_is_used_where_it_agrees_with_float32(checkpoint: Checkpoint):
    model = precision.load(checkpoint, replace(choose("cpu"), dtype=torch.bfloat16))
    assert model.device.dtype == torch.bfloat16
    exact = precision.scores(Model(checkpoint, choose("cpu")))
    assert 0 < float((precision.scores(model) - exact).abs().max()) <= precision.TOLERANCE


def test_an_imprecise_format_is_not_used(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "TOLERANCE", 1e-9)
    assert precision.load(checkpoint, replace(choose("cpu"), dtype=torch.float16)).device.dtype == torch.float32


def test_a_model_that_does_not_run_in_half_precision_runs_in_float32(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ACTIVATIONS, "gelu", lambda rows: gelu(rows) + torch.zeros(len(rows), 1))  # in float32
    chosen = precision.load(checkpoint, replace(choose("cpu"), dtype=torch.float16))
    assert chosen.device.dtype == torch.float32
    assert "does not run in the number format" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["electra", "mpnet", "deberta"])
def test_the_rounding_of_half_precision_is_not_taken_for_an_effect_of_padding(
    name: str, dtype: torch.dtype, tmp_path: Path
):
    folder = tagger(tmp_path, name)
    entry = Entry(name="m", task="token-classification", source=str(folder))
    model = Model(Checkpoint(entry, folder), replace(choose("cpu"), dtype=dtype))
    assert isinstance(model.network, PaddedTagger)
    assert model.network.padding == "right"
    assert next(model.network.model.parameters()).dtype == dtype


def test_a_model_with_nan_scores_is_not_served(checkpoint: Checkpoint):
    model = Model(checkpoint, choose("cpu"))
    model.network.norm.weight.fill_(float("nan"))  # type: ignore[attr-defined]
    with pytest.raises(StartError, match="not numbers"):
        warmup.measure(model, 0.5)


def test_small_models_run_on_one_thread_and_large_ones_on_all(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    assert Model(checkpoint, choose("cpu")).threads.way.threads == 1
    monkeypatch.setattr("gpu_service.serving.model.SMALL", 1000)
    monkeypatch.setattr("gpu_service.serving.model.CORES", 2)
    assert Model(checkpoint, choose("cpu")).threads.way.threads == 2


@pytest.mark.parametrize("way", [Way(1), Way(1, 2), Way(1, 4)])
def test_a_model_has_the_same_scores_in_parts(checkpoint: Checkpoint, way: Way):
    model = Model(checkpoint, choose("cpu"))
    data = samples(model, [5, 30, 7, 7, 12])
    whole = model.launch(data, [DEFAULTS] * 5).rows()
    model.threads.way = way
    for expected, row in zip(whole, model.launch(data, [DEFAULTS] * 5).rows(), strict=True):
        assert row.labels == expected.labels
        assert row.scores == pytest.approx(expected.scores, abs=1e-5)


def test_a_damaged_checkpoint_prevents_the_start(checkpoint: Checkpoint, tmp_path: Path):
    (tmp_path / "config.json").write_text((checkpoint.folder / "config.json").read_text())
    with pytest.raises(StartError, match=r"no model\.safetensors"):
        Checkpoint(checkpoint.entry, tmp_path).tensors()
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(StartError, match="cannot be read"):
        Checkpoint(checkpoint.entry, tmp_path).tensors()
