"""`einf models push`, `list --vertex` and `validate`, on the laptop and in a cloud."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from event_inference.access.clients import Connection
from event_inference.errors import SUCCEEDED, UNREACHABLE, USAGE
from event_inference.registry import bucket, models_file, push, serving, vertex
from event_inference.registry.folder import ModelFolder
from event_inference.registry.push import Order
from event_inference.targets import Target
from tests.event_inference.cloud import TokenCloud
from tests.event_inference.conftest import ROOT, Emulated, Ended, cloud_environment, local_environment
from tests.event_inference.registry.conftest import Make

Invoke = Callable[..., Ended]
FILES = {"config.json", "model.safetensors", "tokenizer.json", "MANIFEST.json"}


@pytest.fixture
def run(invoke: Invoke, laptop: Emulated) -> Invoke:
    env = local_environment(laptop)
    return lambda *arguments: invoke("models", *arguments, env=env)


def objects(emulated: Emulated, prefix: str = "") -> dict[str, bytes]:
    found = emulated.client.connection.storage.bucket(emulated.target.models_bucket)
    return {blob.name.removeprefix(prefix): blob.download_as_bytes() for blob in found.list_blobs(prefix=prefix)}


def test_a_folder_is_copied_and_listed(run: Invoke, laptop: Emulated, make: Make) -> None:
    ended = run("push", str(make()), "--name", "reviews", "--version", "1")
    assert ended.status == SUCCEEDED, ended.err
    assert ended.out == "gs://local-models/reviews/1 is reviews, version 1, of the profile models\n"
    assert set(objects(laptop, "reviews/1/")) == FILES
    listed = {"name": "reviews", "version": "1", "task": "text-classification", "source": "reviews/1"}
    assert json.loads(objects(laptop)["models.json"]) == {"models": [listed]}
    assert "make local MODELS=gs://local-models/models.json" in ended.err


def test_a_push_may_be_repeated_but_a_version_never_changes(run: Invoke, laptop: Emulated, make: Make) -> None:
    first = ("push", str(make()), "--name", "reviews", "--version", "1")
    assert run(*first).status == SUCCEEDED
    before = objects(laptop)
    assert run(*first).status == SUCCEEDED
    assert run(*first, "--json").json[0]["is_new"] is False
    changed = run("push", str(make(weights=b"others")), "--name", "reviews", "--version", "1")
    assert changed.status == USAGE
    assert "A version never changes" in changed.err
    assert objects(laptop) == before


def test_a_copy_that_broke_off_is_continued(laptop: Emulated, make: Make) -> None:
    folder, models = ModelFolder(make()), laptop.client.connection.storage.bucket(laptop.target.models_bucket)
    models.blob("reviews/1/model.safetensors").upload_from_string(b"weights")
    copied: list[str] = []
    assert bucket.copy(folder, models, "reviews/1", copied.append)
    assert sorted(copied) == ["config.json", "tokenizer.json"]
    assert set(objects(laptop, "reviews/1/")) == FILES


@pytest.mark.parametrize("name", ["model.safetensors", "other.json"])
def test_a_copy_of_another_model_that_broke_off_is_not_mixed_in(
    run: Invoke, laptop: Emulated, make: Make, name: str
) -> None:
    models = laptop.client.connection.storage.bucket(laptop.target.models_bucket)
    models.blob(f"reviews/1/{name}").upload_from_string(b"of another model")
    ended = run("push", str(make()), "--name", "reviews", "--version", "1")
    assert ended.status == USAGE
    assert f"gs://local-models/reviews/1/{name} is not of this model" in ended.err
    assert "reviews/1/MANIFEST.json" not in objects(laptop)
    assert "models.json" not in objects(laptop)


def test_concurrent_pushes_lose_nothing(laptop: Emulated, make: Make) -> None:
    folder = ModelFolder(make())

    def work(version: int) -> None:
        push.push(laptop.client.connection, Order(folder=folder, name="reviews", version=str(version)))

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(work, [0, 0, 1, 1, 2, 2, 3, 3]))
    listed = json.loads(objects(laptop)["models.json"])["models"]
    assert sorted(entry["version"] for entry in listed) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "a b"], "The name 'a b' must have"),
        (["--name", "a/infer"], "which is a route"),
        (["--version", "../1"], "The version '../1' must have"),
        (["--version", "ready"], "which is a route"),
        (["--task", "chat"], "there is no task chat. Choose with --task"),
        (["--alias", "stable"], "add --vertex"),
        (["--vertex", "--alias", "Stable"], "'Stable' is not an alias"),
        (["--vertex", "--image", "nginx"], "The emulator runs no container images"),
        (["--endpoint", "Film!"], "or projects/P/locations/REGION/endpoints/ID"),
        (["--endpoint", "film", "--deploy"], "--deploy needs --vertex and --endpoint"),
        (["--vertex", "--deploy"], "--deploy needs --vertex and --endpoint"),
        (["--vertex", "--deploy", "--endpoint", "projects/p/locations/x/endpoints/e"], "is not in us-central1"),
        (["--vertex", "--deploy", "--endpoint", "7"], "a new one needs an id that begins with a letter"),
    ],
)
def test_mistakes_are_named(run: Invoke, make: Make, options: list[str], message: str) -> None:
    ended = run("push", str(make()), "--name", "reviews", "--version", "1", *options)
    assert ended.status in (USAGE, UNREACHABLE)
    assert message in ended.err


def test_versions_are_registered_and_aliases_move(run: Invoke, laptop: Emulated, make: Make) -> None:
    options = ("--name", "My.Reviews", "--vertex", "--alias")
    one = run("push", str(make("one")), "--version", "1", *options, "stable", "--json").json[0]
    assert one["registered"]["artifacts"] == "gs://local-models/My.Reviews/1"
    two = run("push", str(make("two", b"2")), "--version", "2", *options, "candidate", "--json").json[0]
    assert (two["registered"]["number"], two["registered"]["aliases"]) == ("2", ["candidate"])
    again = run("push", str(make("two", b"2")), "--version", "2", *options, "stable", "--json").json[0]
    assert (again["registered"]["number"], again["registered"]["aliases"]) == ("2", ["candidate", "stable"])
    listed = {each["number"]: each["aliases"] for each in _registered(laptop, "My.Reviews")}
    assert listed == {"1": ["default"], "2": ["candidate", "stable"]}
    other = run("push", str(make("one")), "--name", "my-reviews", "--version", "1", "--vertex")
    assert other.status == USAGE
    assert "choose a name that differs more" in other.err


def _registered(emulated: Emulated, name: str) -> list[dict[str, Any]]:
    versions = vertex.Registry(serving.api(emulated.client.connection)).versions(name)
    return [{"number": version.number, "aliases": list(version.aliases)} for version in versions]


def test_an_endpoint_makes_it_the_engine(run: Invoke, laptop: Emulated, make: Make) -> None:
    endpoint = "projects/p/locations/us-central1/endpoints/film"
    assert run("push", str(make()), "--name", "a", "--version", "1", "--endpoint", endpoint).status == SUCCEEDED
    (entry,) = json.loads(objects(laptop)["models.json"])["models"]
    assert (entry["engine"], entry["endpoint"]) == ("vertex", endpoint)


def test_a_version_is_deployed_in_place_of_the_earlier_one(run: Invoke, laptop: Emulated, make: Make) -> None:
    options = ("--name", "a", "--vertex", "--endpoint", "film", "--deploy", "--accelerator", "")
    assert run("push", str(make("one")), "--version", "1", *options).status == SUCCEEDED
    assert run("push", str(make("two", b"2")), "--version", "2", *options).status == SUCCEEDED
    api = serving.api(laptop.client.connection)
    endpoint = api.call("GET", f"{api.parent}/endpoints/film")
    (deployed,) = endpoint["deployedModels"]
    assert deployed["modelVersionId"] == "2"
    assert deployed["dedicatedResources"]["machineSpec"] == {"machineType": "g2-standard-4"}
    assert endpoint["trafficSplit"] == {deployed["id"]: 100}
    assert run("push", str(make("two", b"2")), "--version", "2", *options).status == SUCCEEDED
    assert api.call("GET", endpoint["name"])["deployedModels"] == [deployed]
    assert json.loads(objects(laptop)["models.json"])["models"][-1]["endpoint"] == endpoint["name"]
    other = run("push", str(make("one")), "--name", "b", "--version", "1", *options[2:])
    assert other.status == USAGE
    assert "choose another endpoint" in other.err


def test_a_cloud_is_asked_with_the_users_credentials(
    invoke: Invoke, cloud: TokenCloud, deployed: Emulated, make: Make, tmp_path: Path
) -> None:
    env = cloud_environment(cloud, tmp_path)
    arguments = ["push", str(make()), "--name", "reviews", "--version", "1", "--vertex", "--alias", "candidate"]
    arguments += ["--image", "us-docker.pkg.dev/p/inference/gpu-service:7", "--context", "standin"]
    refused = invoke("models", *arguments, env=env)
    assert refused.status == USAGE
    assert "add --yes" in refused.err
    ended = invoke("models", *arguments, "--yes", env=env)
    assert ended.status == SUCCEEDED, ended.err
    assert "reviews@1 (default, candidate)" in ended.out
    listed = invoke("models", "list", "--vertex", "--context", "standin", env=env)
    assert listed.out.splitlines()[1].split()[:4] == ["reviews", "1", "default,", "candidate"]
    cloud.denied.append("mergeVersionAliases")
    arguments[arguments.index("candidate")] = "stable"
    denied = invoke("models", *arguments, "--yes", env=env)
    assert denied.status == UNREACHABLE
    assert "answered 403" in denied.err
    assert "models.json" in objects(deployed)


def test_the_image_is_that_of_the_deployed_service(laptop: Emulated) -> None:
    assert serving.image(laptop.client.connection) == "local/gpu-service"
    asked: list[str] = []

    class Run(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(
                json.dumps({"template": {"containers": [{"image": "registry/gpu-service@sha256:1"}]}}).encode()
            )

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Run)
    threading.Thread(target=server.handle_request, daemon=True).start()
    run = f"http://127.0.0.1:{server.server_port}"
    target = Target.cloud(origin="test", project="p", service_prefix="ours", endpoints={"run": run})
    image = serving.image(Connection(target, AnonymousCredentials()))
    server.server_close()
    assert image == "registry/gpu-service@sha256:1"
    assert asked == ["/v2/projects/p/locations/us-central1/services/ours-gpu-service"]


def test_a_models_file_is_checked_as_the_gpu_service_does(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    entry = {"name": "a", "task": "sentiment", "source": "a"}
    file.write_text(json.dumps({"one": [entry], "two": [{**entry, "sources": 1}]}))
    env = {"EINF_REPOSITORY": str(ROOT)}
    assert invoke("models", "validate", str(file), env=env).status == USAGE
    assert invoke("models", "validate", str(ROOT / "gpu_service/models.json"), env=env).status == SUCCEEDED
    assert invoke("models", "validate", str(file), "--profile", "none", env=env).status == USAGE


def test_without_a_command_the_models_are_listed(run: Invoke, laptop: Emulated) -> None:
    for arguments in ((), ("list",), ("--json",)):
        ended = run(*arguments)
        assert ended.status == UNREACHABLE
        assert "has no service gpu-service" in ended.err
    assert "No such command 'pussh'" in run("pussh").err


def test_the_names_in_the_file_are_read(laptop: Emulated) -> None:
    models = laptop.client.connection.storage.bucket(laptop.target.models_bucket)
    assert models_file.names(models) == []
