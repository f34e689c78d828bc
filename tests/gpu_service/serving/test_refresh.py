"""models.json changes while the service runs: new models come, removed ones go, and mistakes change nothing."""

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from gpu_service.checkpoints import manifest
from gpu_service.checkpoints.registry import Entry, Registry
from gpu_service.settings import Settings

TEXT = "text-classification"


class Deployment:
    """A service and its models.json, with a folder for each model: `deployment.write(entry("a", "1"))`."""

    def __init__(self, folder: Path, start: Callable[[Settings], Any], checkpoint: Path) -> None:
        self.folder, self.checkpoint = folder, checkpoint
        self.file = folder / "models.json"
        self.write(self.entry("moods", "1"))
        self.client = start(Settings(profile="p", models=self.file, device="cpu"))
        self.service = self.client.app.service

    def entry(self, name: str, version: str, **changes: Any) -> dict[str, Any]:
        source = f"{name}-{version}"
        if not (self.folder / source).exists():
            shutil.copytree(self.checkpoint, self.folder / source)
        return {"name": name, "version": version, "task": TEXT, "source": source, **changes}

    def write(self, *entries: dict[str, Any]) -> None:
        self.file.write_text(json.dumps({"p": entries, "routes": [{"name": "reviews", "model": "moods"}]}))

    def refresh(self, *entries: dict[str, Any]) -> None:
        """Writes the entries, and waits until the service has followed."""
        if entries:
            self.write(*entries)
        self.client.runner.run(self.follow())

    async def follow(self) -> None:
        await self.service.refresh.check()
        while self.service.catalog.residents._loads:
            await asyncio.wait(self.service.catalog.residents._loads.values())
            await asyncio.sleep(0)

    def answers(self, **request: Any) -> str:
        """Name and version of the model that answers, or the error's code."""
        body = self.client.post("/predict", {"text": "a good film", **request}).json()
        return body["error"]["code"] if "error" in body else f"{body['model']['name']}@{body['model']['version']}"

    def listed(self) -> dict[str, dict[str, Any]]:
        models = self.client.get("/models").json()["models"]
        return {f"{model['name']}@{model['version']}": model for model in models}

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"gpu_service_{name} ")).split()[1])


@pytest.fixture
def deployment(
    tmp_path: Path, folder: Callable[[str], Path], start_client: Callable[[Settings], Any]
) -> Iterator[Deployment]:
    made = Deployment(tmp_path, start_client, folder("distilbert"))
    yield made
    made.client.close()


def broken(deployment: Deployment, version: str = "2", **changes: Any) -> dict[str, Any]:
    entry = deployment.entry("moods", version, **changes)
    (deployment.folder / entry["source"] / "model.safetensors").write_bytes(b"not weights")
    return entry


def test_a_new_version_appears_and_a_new_default_takes_over(deployment: Deployment):
    first = deployment.entry("moods", "1")
    assert deployment.answers(model="moods", version="2") == "model_not_found"
    deployment.refresh(first, deployment.entry("moods", "2", default=True), deployment.entry("other", "1"))
    assert deployment.answers() == deployment.answers(model="moods") == "moods@2"
    assert deployment.answers(model="moods", version="1") == "moods@1"
    assert deployment.listed()["other@1"]["state"] == "unloaded"
    assert deployment.answers(model="other") == "other@1"


def test_an_unknown_version_is_looked_for_in_the_file_at_once(deployment: Deployment):
    deployment.write(deployment.entry("moods", "1", default=True), deployment.entry("moods", "2"))
    assert deployment.answers(model="moods", version="2") == "moods@2"
    assert deployment.client.get("/v2/models/nobody").status_code == 404


def test_a_removed_version_ends_with_its_last_request(deployment: Deployment):
    deployment.refresh(deployment.entry("moods", "1"), deployment.entry("moods", "2", default=True))
    service = deployment.service

    async def use() -> None:
        async with service.catalog.lent(service.catalog.find("moods", "1")) as choice:
            deployment.write(deployment.entry("moods", "2", default=True))
            await deployment.follow()
            assert choice.named.flow in service.batcher.runners
            answer = await deployment.client.http.post("/predict", json={"text": "a", "model": "moods", "version": "1"})
            assert answer.status_code == 404
        assert choice.named.flow not in service.batcher.runners

    deployment.client.runner.run(use())
    assert deployment.listed().keys() == {"moods@2"}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"p": []}',
        b'{"p": [{"name": "moods", "task": "text-classification", "source": "nowhere"}]}',
        b'{"p": [{"name": "moods", "task": "poetry", "source": "moods-1"}]}',
        None,
    ],
    ids=["no JSON", "no profiles", "no models", "no folder", "no such task", "no file"],
)
def test_a_broken_file_changes_nothing_and_is_reported(
    deployment: Deployment, content: bytes | None, caplog: pytest.LogCaptureFixture
):
    whole = deployment.file.read_bytes()
    if content is None:
        deployment.file.unlink()
    else:
        deployment.file.write_bytes(content)
    deployment.refresh()
    deployment.refresh()
    assert deployment.answers() == "moods@1"
    assert deployment.client.get("/ready").status_code == 200
    assert "models.json" in deployment.client.get("/models").json()["error"]
    assert deployment.metric("models_file_valid") == 0
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage() for record in errors] == [
        "models.json cannot be served; its last good state goes on"
    ]  # once, not with each reading

    deployment.file.write_bytes(whole)
    deployment.refresh()
    assert deployment.client.get("/models").json()["error"] is None
    assert deployment.metric("models_file_valid") == 1


def test_a_broken_new_default_leaves_the_old_one_in_place(deployment: Deployment):
    deployment.refresh(deployment.entry("moods", "1"), broken(deployment, default=True))
    assert deployment.answers() == deployment.answers(model="moods") == "moods@1"
    assert deployment.answers(model="moods", version="2") == "model_unavailable"
    listed = deployment.listed()
    assert (listed["moods@1"]["default"], listed["moods@2"]["default"]) == (True, False)
    assert (listed["moods@2"]["state"], "weights cannot be read" in listed["moods@2"]["error"]) == ("failed", True)
    assert deployment.client.get("/ready").status_code == 200

    shutil.copy(deployment.checkpoint / "model.safetensors", deployment.folder / "moods-2")
    deployment.service.catalog.residents.clock = lambda: 10.0**9
    deployment.refresh()
    assert deployment.answers() == "moods@2"


def test_a_broken_replacement_of_the_only_model_leaves_it_in_place(deployment: Deployment):
    deployment.refresh(broken(deployment))
    assert deployment.answers() == "moods@1"
    deployment.refresh(broken(deployment, "3") | {"version": "1"})
    assert deployment.answers() == "moods@1"
    models = deployment.client.get("/models").json()["models"]
    assert [(model["source"], model["state"]) for model in models] == [("moods-1", "loaded"), ("moods-3", "failed")]


def test_a_broken_last_version_gets_no_requests_that_name_no_version(deployment: Deployment):
    other = deployment.entry("other", "1")
    deployment.refresh(deployment.entry("moods", "1"), other)
    deployment.refresh(deployment.entry("moods", "1"), other, broken(deployment) | {"name": "other"})
    assert deployment.answers(model="other") == "other@1"
    assert deployment.answers(model="other", version="2") == "model_unavailable"


def test_other_weights_under_the_same_version_are_swapped_when_they_work(deployment: Deployment):
    before = deployment.service.catalog.models["moods@1"]
    deployment.refresh(deployment.entry("moods", "2") | {"version": "1"})
    assert deployment.answers() == "moods@1"
    after = deployment.service.catalog.models["moods@1"]
    assert (before.entry.source, after.entry.source) == ("moods-1", "moods-2")
    assert list(deployment.service.batcher.runners) == [after.flow]
    assert 'gpu_service_instances_total{model="moods",version="1"}' in deployment.client.get("/metrics").text


def test_other_defaults_are_taken_over_without_loading(deployment: Deployment):
    network = deployment.service.catalog.models["moods@1"].network
    deployment.refresh(deployment.entry("moods", "1", parameters={"top_k": 1}, thresholds={"high_confidence": 0.9}))
    body = deployment.client.post("/predict", {"text": "a good film"}).json()
    assert (body["parameters"]["top_k"], body["parameters"]["high_confidence"]) == (1, 0.9)
    assert deployment.service.catalog.models["moods@1"].network is network


def test_a_file_and_weights_in_cloud_storage(
    gcs: storage.Client, folder: Callable[[str], Path], start_client: Callable[[Settings], Any], tmp_path: Path
):
    bucket = gcs.bucket("other")

    def upload(name: str, damaged: bool = False) -> dict[str, Any]:
        path = tmp_path / name
        shutil.copytree(folder("distilbert"), path)
        manifest.write(path)
        if damaged:
            (path / "config.json").write_bytes((path / "config.json").read_bytes().replace(b"LABEL_0", b"LABEL_9"))
        for file in path.iterdir():
            bucket.blob(f"refresh/{name}/{file.name}").upload_from_filename(str(file))
        return {"name": "moods", "version": name, "task": TEXT, "source": name}

    def write(*entries: dict[str, Any]) -> None:
        bucket.blob("refresh/models.json").upload_from_string(json.dumps({"p": entries}))

    first = upload("1")
    write(first)
    client = start_client(Settings(models="gs://other/refresh/models.json", profile=None, device="cpu"))

    async def follow() -> None:
        await client.app.service.refresh.check()
        while loads := client.app.service.catalog.residents._loads:
            await asyncio.wait(loads.values())
            await asyncio.sleep(0)

    write(first, {**upload("2", damaged=True), "default": True})
    client.runner.run(follow())
    (listed,) = (model for model in client.get("/models").json()["models"] if model["version"] == "2")
    assert "does not match its MANIFEST.json: config.json has another SHA-256" in listed["error"]
    assert client.post("/predict", {"text": "a"}).json()["model"]["version"] == "1"
    bucket.blob("refresh/models.json").delete()
    client.runner.run(follow())
    assert "There is no file gs://other/refresh/models.json" in client.get("/models").json()["error"]
    assert client.post("/predict", {"text": "a"}).status_code == 200
    write(first, {**upload("3"), "default": True})
    client.runner.run(follow())
    assert client.post("/predict", {"text": "a"}).json()["model"]["version"] == "3"
    client.close()


def test_what_a_request_gets_changes_only_to_models_that_are_ready():
    for seed in range(500):
        check_succession(random.Random(seed))


def check_succession(draw: random.Random) -> None:
    tasks = {"a": "text-classification", "b": "text-classification", "c": "feature-extraction"}

    def registry() -> Registry:
        keys = draw.sample([(name, version) for name in "abc" for version in "123"], draw.randint(1, 6))
        flagged = {tasks[name]: (name, version) for name, version in keys if draw.random() < 0.5}
        return Registry(
            [
                Entry(
                    name=name,
                    version=version,
                    task=tasks[name],
                    source=draw.choice("xy"),
                    default=flagged.get(tasks[name]) == (name, version),
                )
                for name, version in keys
            ]
        )

    before, latest = registry(), registry()
    same = {entry.weights for entry in before.entries}
    new = [entry.weights for entry in latest.entries if entry.weights not in same]
    unready = set(draw.sample(new, draw.randint(0, len(new))))
    after = latest.succeeding(before, unready)

    def chosen(registry: Registry) -> dict[str, Any]:
        names = {entry.name: registry.find(entry.name, None).weights for entry in registry.entries}
        return names | {entry.task: registry.default(entry.task).weights for entry in registry.entries}

    for request, weights in chosen(latest).items():
        if weights not in unready:
            assert chosen(after)[request] == weights
    for request, weights in chosen(after).items():
        if weights in unready:  # nothing answered it before
            assert request not in chosen(before)
