"""promote and Vertex AI's Model Registry, the emulator's: versions and aliases follow traffic.json."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from starlette.applications import Starlette

from emulator.stack.model import ContainerImage
from emulator.vertex_ai import VertexAI
from event_inference.registry.api import Api
from event_inference.registry.vertex import Registry
from tests.functions.cloud import Fault, Faulty, serving
from tests.functions.conftest import ROOT, Function, Logged, published
from tests.functions.models_bucket import ModelsBucket, entry, split

PARENT = "projects/p/locations/us-central1"
CONTAINER = {"imageUri": "registry/gpu-service:7", "predictRoute": "/predict", "healthRoute": "/ready"}
PYTHON = Path(os.environ.get("VERTEX_PYTHON", ROOT / ".venv-vertex/bin/python"))
OVER = {"rules": {"days": 1}, "since": "2026-01-01T00:00:00Z"}  # an experiment whose time is over


class Vertex:
    """The registry and its faults, with versions 1 to 3 of the model `m` in the models bucket; 1 is registered."""

    def __init__(self, url: str, faulty: Faulty, models: ModelsBucket) -> None:
        self.url, self.faulty, self.bucket = url, faulty, models
        self.registry = Registry(Api(url, PARENT, AnonymousCredentials))
        models.models(*(entry("m", version) for version in "123"), entry("elsewhere"), entry("hub", source="owner/hub"))
        for version in "123":
            models.write(f"m-{version}/config.json", {})
        self.register("m", "1")

    def register(self, model: str, version: str) -> None:
        folder = f"gs://{self.bucket.bucket.name}/{model}-{version}"
        self.registry.register(model, version, folder, CONTAINER)

    @property
    def aliases(self) -> dict[str, set[str]]:
        """The aliases by the version's folder, apart from the registry's own."""
        versions = self.registry.versions("m")
        return {each.artifacts.rpartition("/")[2]: {*each.aliases} - {"default"} for each in versions}

    @property
    def changes(self) -> int:
        return sum(method != "GET" for method, _ in self.faulty.requests)


@pytest.fixture
def vertex(bucket: ModelsBucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vertex]:
    faulty = Faulty(Starlette(lifespan=_vertex_ai))
    with serving(faulty) as url:
        monkeypatch.setenv("VERTEX_EMULATOR_HOST", url)
        monkeypatch.setenv("VERTEX_REGISTRY", PARENT)
        yield Vertex(url, faulty, bucket)


@asynccontextmanager
async def _vertex_ai(app: Starlette) -> AsyncIterator[None]:
    """Vertex AI's routes, made in the server's thread, where its database is used."""
    service = VertexAI(None, (ContainerImage("model", "*/gpu-service*", ("python",), "server"),))
    app.routes.extend(service.routes())
    yield
    service.close()


@pytest.fixture
def order(function: Function) -> Callable[..., int]:
    """Delivers an order about the model `m`; without an action, the scheduler's."""

    def deliver(action: str = "", message_id: str = "1") -> int:
        content = {"model": "m", "action": action, "reason": "I say so"} if action else {}
        return (
            function("promote")
            .post("/", **published(json.dumps({"promote": content}).encode(), message_id))
            .status_code
        )

    return deliver


def traffic(bucket: ModelsBucket) -> Any:
    return json.loads(bucket.bucket.blob("traffic.json").download_as_bytes())["m"]


def test_a_new_candidate_is_registered_with_its_alias(vertex: Vertex, bucket: ModelsBucket, order: Any) -> None:
    bucket.traffic(m=split(0.1))
    assert order() == 200
    assert vertex.aliases == {"m-1": {"stable"}, "m-2": {"candidate"}}
    added = vertex.registry.versions("m")[1]
    assert (added.name, added.container) == ("m", CONTAINER)
    before = vertex.changes
    assert order() == 200
    assert vertex.changes == before


def test_a_promotion_moves_stable_and_a_rollback_returns_it(vertex: Vertex, bucket: ModelsBucket, order: Any) -> None:
    bucket.traffic(m=split(0.1))
    order()
    assert order("force", "2") == 200
    assert vertex.aliases == {"m-1": set(), "m-2": {"stable"}}
    bucket.traffic(m={**traffic(bucket), **split(0.1, stable="2", candidate="3", experiment="e2")})
    order()
    assert vertex.aliases == {"m-1": set(), "m-2": {"stable"}, "m-3": {"candidate"}}
    assert order("rollback", "3") == 200
    assert vertex.aliases == {"m-1": set(), "m-2": {"stable"}, "m-3": set()}
    assert order("rollback", "4") == 200
    assert vertex.aliases == {"m-1": {"stable"}, "m-2": set(), "m-3": set()}


def test_the_schedulers_decision_moves_them_too(vertex: Vertex, bucket: ModelsBucket, order: Any) -> None:
    bucket.traffic(m=split(0.1, **OVER))
    order()
    assert traffic(bucket)["candidate"] is None
    assert vertex.aliases == {"m-1": {"stable"}}


def test_a_frozen_candidate_keeps_its_alias(vertex: Vertex, bucket: ModelsBucket, order: Any) -> None:
    bucket.traffic(m=split(0.1))
    order()
    order("freeze", "2")
    assert vertex.aliases == {"m-1": {"stable"}, "m-2": {"candidate"}}


def test_an_alias_that_a_person_moved_follows_the_traffic_again(
    vertex: Vertex, bucket: ModelsBucket, order: Any
) -> None:
    vertex.register("m", "2")
    vertex.registry.assign("stable", vertex.registry.versions("m"), "2")
    bucket.traffic(m={"stable": "1", "share": 0, "mode": "frozen"})
    order()
    assert vertex.aliases == {"m-1": {"stable"}, "m-2": set()}


@pytest.mark.parametrize("part", ["listVersions", "models:upload", "mergeVersionAliases"])
@pytest.mark.parametrize("done_first", [False, True])
def test_a_failure_of_vertex_ai_changes_no_decision_and_is_made_up_for(
    vertex: Vertex, bucket: ModelsBucket, order: Any, logged: Logged, part: str, done_first: bool
) -> None:
    bucket.traffic(m=split(0.1))
    vertex.faulty.faults.append(Fault(lambda _, target: part in target, done_first=done_first))
    assert order("force", "1") == 200
    assert (traffic(bucket)["stable"], traffic(bucket)["candidate"]) == ("2", None)
    (line,) = [line for line in logged() if line.get("code") == "registry_not_updated"]
    assert (line["severity"], line["model"]) == ("WARNING", "m")
    assert "answered 503" in line["reason"]
    assert order() == 200
    assert vertex.aliases == {"m-1": set(), "m-2": {"stable"}}


def test_what_cannot_be_reached_changes_no_decision(
    vertex: Vertex, bucket: ModelsBucket, order: Any, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERTEX_EMULATOR_HOST", "http://127.0.0.1:9")
    bucket.traffic(m=split(0.1))
    assert order("force", "1") == 200
    assert traffic(bucket)["stable"] == "2"
    assert "does not answer" in next(line["reason"] for line in logged() if "code" in line)


def test_a_model_that_nobody_has_registered_is_left_alone(vertex: Vertex, bucket: ModelsBucket, order: Any) -> None:
    before = vertex.changes
    bucket.traffic(elsewhere={"stable": "1", "share": 0, "mode": "frozen"})
    order()
    assert vertex.changes == before


def test_a_version_outside_the_models_bucket_is_named_and_keeps_no_other_from_moving(
    vertex: Vertex, bucket: ModelsBucket, order: Any, logged: Logged
) -> None:
    vertex.register("hub", "1")
    stable = {"stable": "1", "share": 0, "mode": "frozen"}
    bucket.traffic(hub=stable, m={**stable, "candidate": "9", "experiment": "e"})
    order()
    assert vertex.aliases == {"m-1": {"stable"}}
    reasons = {line["model"]: line["reason"] for line in logged() if line.get("code") == "registry_not_updated"}
    assert reasons == {
        "hub": "version 1 is not in the models bucket",
        "m": "version 9 is not in the models bucket",
    }


def test_without_a_registry_vertex_ai_is_not_asked(
    vertex: Vertex, bucket: ModelsBucket, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VERTEX_REGISTRY")
    before = len(vertex.faulty.requests)
    bucket.traffic(m=split(0.1))
    assert order() == 200
    assert len(vertex.faulty.requests) == before


@pytest.mark.vertex
@pytest.mark.skipif(not PYTHON.exists(), reason="Vertex AI's client is not installed, so it was not run (make vertex)")
def test_googles_client_reads_the_aliases(vertex: Vertex, bucket: ModelsBucket, order: Any) -> None:
    def read() -> Any:
        command = [str(PYTHON), str(Path(__file__).with_name("aliases.py")), vertex.url, f"{PARENT}/models/m"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    bucket.traffic(m=split(0.1))
    order()
    assert read() == {"version 1 of m": ["default", "stable"], "version 2 of m": ["candidate"]}
    order("force", "2")
    assert read() == {"version 1 of m": ["default"], "version 2 of m": ["stable"]}
    bucket.traffic(m={**traffic(bucket), **split(0.1, stable="2", candidate="3", experiment="e2")})
    order()
    order("rollback", "3")
    assert read() == {"version 1 of m": ["default"], "version 2 of m": ["stable"], "version 3 of m": []}
