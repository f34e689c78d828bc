"""Compiled layers match uncompiled ones, are ready before the first request, and are optional."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu_service import settings
from gpu_service.checkpoints import device
from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.registry import Entry
from gpu_service.serving import startup
from gpu_service.serving.loading import compilation, precision
from gpu_service.serving.model import Model

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs a C++ compiler, and there is none"
)


@pytest.fixture(autouse=True)
def stance() -> Iterator[None]:
    yield
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


@pytest.fixture
def fresh(folder: Callable[[str], Path]) -> Callable[[str], Model]:
    """Like `load`, but loads a new model each time."""

    def loaded(name: str) -> Model:
        task = "image-classification" if name in ("vit", "resnet") else "text-classification"
        entry = Entry(name=name, task=task, source=str(folder(name)))
        return Model(Checkpoint(entry, folder(name)), device.choose("cpu"))

    return loaded


@needs_compiler
@pytest.mark.compiler
@pytest.mark.parametrize("name", ["distilbert", "vit"])
def test_compiled_layers_match_uncompiled_ones_for_any_batch(name: str, fresh: Callable[[str], Model]):
    plain, model = fresh(name), fresh(name)
    compilation.compile_layers(model)
    assert model.is_compiled
    torch.compiler.set_stance("fail_on_recompile")
    rng = np.random.default_rng(3)
    for count in (1, 2, 5, 40):
        data = [made(name, rng) for _ in range(count)]
        torch.testing.assert_close(in_a_thread(model, data), in_a_thread(plain, data), atol=1e-3, rtol=0)


def made(name: str, rng: np.random.Generator) -> Any:
    """A payload, of any length if it is a text."""
    if name == "vit":
        return rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return rng.integers(5, 60, rng.integers(2, 64))


@needs_compiler
@pytest.mark.compiler
def test_unsupported_inputs_run_uncompiled(fresh: Callable[[str], Model]):
    plain, model = fresh("distilbert"), fresh("distilbert")
    compilation.compile_layers(model)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    token = [np.array([7])]
    assert torch.equal(in_a_thread(model, token), in_a_thread(plain, token))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs


@pytest.mark.release
def test_without_a_compiler_the_service_starts_uncompiled(
    folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/nowhere/g++",))
    texts = {"name": "texts", "task": "text-classification", "source": str(folder("distilbert"))}
    images = {"name": "images", "task": "image-classification", "source": str(folder("resnet"))}
    (tmp_path / "models.json").write_text(json.dumps({"test": [texts, images]}))
    arguments = ["--compile", "--profile", "test", "--models", str(tmp_path / "models.json"), "--device", "cpu"]
    loaded = startup.load(settings.read(arguments, {}))
    assert [each.model.is_compiled for each in loaded.models] == [False, False]
    assert "compile" in loaded.phases.seconds
    warnings = [record for record in caplog.records if record.name == compilation.__name__]
    assert [(record.getMessage(), record.fields["model"]) for record in warnings] == [  # type: ignore[attr-defined]
        ("compiling failed, the model runs uncompiled", "texts@1"),
        ("models of this architecture are not compiled", "images@1"),
    ]
    assert "/nowhere/g++" in warnings[0].fields["reason"]  # type: ignore[attr-defined]
    assert not torch.isnan(precision.scores(loaded.models[0].model)).any()


def test_it_is_off_by_default():
    assert [settings.read([], {"COMPILE": value}).compile for value in ("1", "0", "")] == [True, False, False]
    assert settings.read([], {}).compile is False


def in_a_thread(model: Model, data: list[Any]) -> torch.Tensor:
    """The scores, as the thread that works for the device computes them."""
    scores: list[torch.Tensor] = []

    def work() -> None:
        model.set_threads()
        scores.append(model.scores(data))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return scores[0]
