"""Models that load for their first request, share the memory, and are evicted when nobody uses them."""

import asyncio
import json
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gpu_service.checkpoints import checkpoint, device
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import ModelUnavailable, Overloaded
from gpu_service.networks.bert import PackedClassifier
from gpu_service.serving.loading import memory
from gpu_service.serving.loading.loader import Loader
from gpu_service.serving.residents import RETRY_S
from gpu_service.settings import Settings

TEXT = "text-classification"


@pytest.fixture
def serve_models(
    tmp_path: Path, folder: Callable[[str], Path], start_client: Callable[[Settings], Any]
) -> Iterator[Callable[..., Any]]:
    """A service with models of their own files: `serve_models("a", "b", load_wait_s=1.0)`; the first is the default."""
    started = []

    def serve(*names: str, kind: str = "distilbert", **settings: Any) -> Any:
        for name in names:
            shutil.copytree(folder(kind), tmp_path / name)
        entries = [{"name": name, "task": TEXT, "source": name} for name in names]
        (tmp_path / "models.json").write_text(json.dumps({"p": entries}))
        client = start_client(Settings(profile="p", models=tmp_path / "models.json", device="cpu", **settings))
        started.append(client)
        return client

    yield serve
    for client in started:
        client.close()


def states(client: Any) -> dict[str, str]:
    return {model["name"]: model["state"] for model in client.get("/models").json()["models"]}


def ask(client: Any, name: str) -> Any:
    return client.post("/predict", {"text": "a good film", "model": name})


def metric(client: Any, name: str) -> float:
    line = next(line for line in client.get("/metrics").text.splitlines() if line.startswith(f"gpu_service_{name} "))
    return float(line.split()[1])


def size(path: Path) -> int:
    tensors = checkpoint.Checkpoint(Entry(name="a", task=TEXT, source=""), path).tensors()
    return sum(tensor.nbytes for tensor in tensors.values())


def room(path: Path, models: float) -> int:
    """Memory for so many models of a folder."""
    return int(models * size(path))


def test_only_the_default_model_loads_at_the_start_and_others_for_their_first_request(serve_models: Callable[..., Any]):
    client = serve_models("first", "second", "third")
    assert states(client) == {"first": "loaded", "second": "unloaded", "third": "unloaded"}
    assert client.get("/v2/models/second/ready").status_code == 200
    answer = ask(client, "second")
    assert answer.json()["model"]["name"] == "second"
    assert answer.json()["predictions"] == ask(client, "first").json()["predictions"]
    assert states(client) == {"first": "loaded", "second": "loaded", "third": "unloaded"}
    assert metric(client, "models_loaded") == 2


@pytest.mark.parametrize("when", ["start", "lazy"])
def test_an_entry_and_the_deployment_choose_when_models_load(
    when: str, tmp_path: Path, folder: Callable[[str], Path], start_client: Callable[[Settings], Any]
):
    other = {"start": "lazy", "lazy": "start"}[when]
    entries = [
        {"name": "a", "task": TEXT, "source": str(folder("distilbert"))},
        {"name": "b", "task": TEXT, "source": str(folder("distilbert")), "load": other},
    ]
    (tmp_path / "models.json").write_text(json.dumps({"p": entries}))
    client = start_client(Settings(profile="p", models=tmp_path / "models.json", device="cpu", load=when))  # type: ignore[arg-type]
    loaded = {"start": "loaded", "lazy": "unloaded"}
    assert states(client) == {"a": loaded[when], "b": loaded[other]}
    assert ask(client, "a").status_code == ask(client, "b").status_code == 200
    client.close()


def test_concurrent_first_requests_share_one_load(serve_models: Callable[..., Any]):
    client = serve_models("first", "second")

    async def many() -> list[Any]:
        body = {"text": "dull", "model": "second"}
        return await asyncio.gather(*(client.http.post("/predict", json=body) for _ in range(20)))

    assert {answer.status_code for answer in client.runner.run(many())} == {200}
    loads = 'gpu_service_model_loads_total{model="second",result="loaded",version="1"} 1.0'
    assert loads in client.get("/metrics").text


def test_the_least_recently_used_model_is_evicted(serve_models: Callable[..., Any], folder: Callable[[str], Path]):
    client = serve_models("a", "b", "c", model_memory=room(folder("distilbert"), 2.5))
    assert ask(client, "b").status_code == ask(client, "a").status_code == ask(client, "c").status_code == 200
    assert states(client) == {"a": "loaded", "b": "unloaded", "c": "loaded"}
    listed = client.get("/models").json()
    assert listed["memory"]["bytes"] == sum(model["bytes"] for model in listed["models"]) <= listed["memory"]["limit"]
    assert ask(client, "b").status_code == 200
    assert states(client) == {"a": "unloaded", "b": "loaded", "c": "loaded"}
    assert 'model_evictions_total{model="a",reason="memory",version="1"} 1.0' in client.get("/metrics").text


def test_a_model_in_use_is_not_evicted_before_its_last_user_is_done(
    serve_models: Callable[..., Any], folder: Callable[[str], Path]
):
    client = serve_models("a", "b", "c", model_memory=room(folder("distilbert"), 2.5))
    catalog = client.app.service.catalog

    async def use() -> None:
        async with catalog.lent(catalog.find("a")) as first, catalog.lent(catalog.find("b")):
            async with catalog.lent(catalog.find("c")):
                assert set(catalog.models) == {"a@1", "b@1", "c@1"}
            async with catalog.lent(catalog.find("a")) as again:
                assert again.named is first.named
            assert set(catalog.models) == {"a@1", "b@1"}  # c was idle, and memory holds two

    client.runner.run(use())
    assert set(catalog.models) == {"a@1", "b@1"}


def test_a_model_that_does_not_work_evicts_nothing_and_is_reported(
    serve_models: Callable[..., Any], tmp_path: Path, folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
):
    client = serve_models("a", "b", model_memory=room(folder("distilbert"), 1.5))
    weights = (tmp_path / "b" / "model.safetensors").read_bytes()
    (tmp_path / "b" / "model.safetensors").write_bytes(b"not weights")
    answer = ask(client, "b")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert 0 < int(answer.headers["retry-after"]) <= RETRY_S
    assert states(client) == {"a": "loaded", "b": "failed"}
    (listed,) = (model for model in client.get("/models").json()["models"] if model["name"] == "b")
    assert "weights cannot be read" in listed["error"]
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["a model cannot be loaded"]
    assert client.get("/ready").status_code == 200
    assert client.get("/v2/models/b/ready").status_code == 503
    assert client.get("/v1/models/b").json()["model_version_status"][0]["status"]["error_code"] == "UNKNOWN"

    (tmp_path / "b" / "model.safetensors").write_bytes(weights)
    assert ask(client, "b").status_code == 503  # not tried again with each request
    client.app.service.catalog.residents.clock = lambda: 10.0**9
    assert ask(client, "b").status_code == 200
    assert states(client) == {"a": "unloaded", "b": "loaded"}


def test_a_model_whose_answers_differ_in_a_batch_takes_no_requests(
    serve_models: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    client = serve_models("a", "b")
    alone = PackedClassifier.__call__

    def together(self: PackedClassifier, texts: Any) -> torch.Tensor:
        return alone(self, texts) + (len(texts) > 1) * torch.arange(3.0)

    monkeypatch.setattr(PackedClassifier, "__call__", together)
    assert ask(client, "b").status_code == 503
    assert "answers differently in a batch" in client.get("/models").json()["models"][1]["error"]


def test_a_model_larger_than_the_memory_is_refused_before_it_loads(
    serve_models: Callable[..., Any], tmp_path: Path, folder: Callable[[str], Path]
):
    client = serve_models("a", "b", model_memory=room(folder("distilbert"), 1.5))
    shutil.rmtree(tmp_path / "b")
    shutil.copytree(folder("vit"), tmp_path / "b")
    larger = torch.zeros(room(folder("distilbert"), 2))
    save_file({"x": larger}, tmp_path / "b" / "model.safetensors")
    assert ask(client, "b").status_code == 503
    assert "raise MODEL_MEMORY_BYTES" in client.get("/models").json()["models"][1]["error"]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that is not set before the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_requests_wait_for_a_load_only_so_long(serve_models: Callable[..., Any], gate: threading.Event):
    client = serve_models("a", "b", load_wait_s=0.05)
    residents = client.app.service.catalog.residents
    residents._pool.submit(gate.wait)  # as another load would
    answer = ask(client, "b")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert ask(client, "a").status_code == 200
    assert states(client)["b"] == "loading"
    gate.set()
    residents.limits = replace(residents.limits, wait_s=30.0)
    assert ask(client, "b").status_code == 200


def test_only_so_many_instances_wait_for_loads(serve_models: Callable[..., Any], gate: threading.Event):
    client = serve_models("a", "b", max_queue=3)
    catalog = client.app.service.catalog
    catalog.residents._pool.submit(gate.wait)

    async def fill() -> None:
        async def wait() -> None:
            async with catalog.lent(catalog.find("b"), instances=2):
                pass

        first = asyncio.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await wait()
        first.cancel()  # a client that goes away leaves the load to others
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(wait())
        await asyncio.sleep(0)
        gate.set()
        await second

    client.runner.run(fill())


@pytest.mark.parametrize("kind", ["distilbert", "bert", "roberta", "electra"])
def test_the_memory_of_an_evicted_model_is_free_without_collecting_garbage(
    serve_models: Callable[..., Any], folder: Callable[[str], Path], kind: str
):
    client = serve_models("a", "b", "c", kind=kind, model_memory=room(folder(kind), 1.9))
    assert ask(client, "b").status_code == 200
    network = weakref.ref(client.app.service.catalog.models["b@1"].network)
    assert ask(client, "c").status_code == 200
    assert set(client.app.service.catalog.models) == {"c@1"}
    assert network() is None


@pytest.mark.parametrize(("kind", "may"), [("distilbert", False), ("bert", False), ("electra", True), ("vit", False)])
def test_it_is_known_beforehand_which_models_may_need_transformers(
    folder: Callable[[str], Path], tmp_path: Path, kind: str, may: bool
):
    loader = Loader(Settings(models=tmp_path / "models.json"), device.choose("cpu"))
    task = "image-classification" if kind == "vit" else TEXT
    assert loader.may_need_transformers(Entry(name="a", task=task, source=str(folder(kind)))) is may
    assert loader.may_need_transformers(Entry(name="a", task=task, source="gs://other/models/a"))


@pytest.mark.parametrize("kind", ["distilbert", "bert", "roberta", "electra", "vit", "resnet"])
def test_all_tensors_of_a_model_are_measured(load: Callable[[str], Any], folder: Callable[[str], Path], kind: str):
    measured = memory.tensor_bytes(load(kind).task)
    assert 0.9 * size(folder(kind)) <= measured <= 1.2 * size(folder(kind)) + 4096


def test_the_limit_of_the_control_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "memory.max").write_text(f"{3 << 30}\n")
    monkeypatch.setattr(memory, "LIMITS", (tmp_path / "memory.max", tmp_path / "absent"))
    assert 0 < memory.budget(device.choose("cpu")) < int(1.5 * (1 << 30))
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.budget(device.choose("cpu")) > 0


def test_the_repository_protocol_lists_loads_and_unloads(serve_models: Callable[..., Any], tmp_path: Path):
    client = serve_models("a", "b")
    index = "/v2/repository/index"
    assert [(each["name"], each["state"]) for each in client.post(index).json()] == [
        ("a", "READY"),
        ("b", "UNAVAILABLE"),
    ]
    assert [each["name"] for each in client.post(index, {"ready": True}).json()] == ["a"]
    assert client.post("/v2/repository/models/b/load", {}).status_code == 200
    assert states(client)["b"] == "loaded"
    assert (
        client.post("/v2/repository/models/b/unload", {"parameters": {"unload_dependents": False}}).status_code == 200
    )
    assert states(client)["b"] == "unloaded"
    assert ask(client, "b").status_code == 200
    assert client.post("/v2/repository/models/nobody/load").status_code == 404
    given = client.post("/v2/repository/models/b/load", {"parameters": {"config": "{}"}})
    assert (given.status_code, "models.json" in given.json()["error"]) == (400, True)


def test_a_failed_load_is_tried_again_at_once_when_it_is_asked_for(serve_models: Callable[..., Any], tmp_path: Path):
    client = serve_models("a", "b")
    weights = (tmp_path / "b" / "model.safetensors").read_bytes()
    (tmp_path / "b" / "model.safetensors").write_bytes(b"not weights")
    assert client.post("/v2/repository/models/b/load").status_code == 503
    (tmp_path / "b" / "model.safetensors").write_bytes(weights)
    assert client.post("/v2/repository/models/b/load").status_code == 200


def test_a_model_in_use_is_not_unloaded(serve_models: Callable[..., Any]):
    client = serve_models("a")
    catalog = client.app.service.catalog

    async def use() -> int:
        async with catalog.lent(catalog.find("a")):
            return (await client.http.post("/v2/repository/models/a/unload")).status_code

    assert client.runner.run(use()) == 503
    assert states(client) == {"a": "loaded"}


def test_a_load_that_nobody_waits_for_any_more_is_not_repeated_immediately(
    serve_models: Callable[..., Any], tmp_path: Path
):
    client = serve_models("a", "b")
    (tmp_path / "b" / "model.safetensors").write_bytes(b"not weights")
    catalog = client.app.service.catalog

    async def load_twice() -> None:
        task = catalog.residents.load(catalog.find("b"))
        await asyncio.wait([task])
        with pytest.raises(ModelUnavailable):
            catalog.residents.load(catalog.find("b"))

    client.runner.run(load_twice())
