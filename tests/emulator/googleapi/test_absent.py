"""What the emulator does not have is answered at once, in the form of Google's APIs, and never by Google."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emulator.server import Emulator
from emulator.stack.loader import load
from tests.emulator.conftest import Background


@pytest.fixture
def emulator(background: Background, tmp_path: Path) -> Iterator[Emulator]:
    (tmp_path / "stack.yaml").write_text("project: p\nbuckets: {v1x: {}}\n")
    emulator = Emulator(load(tmp_path / "stack.yaml"), services={})
    background.run(emulator.__aenter__())
    yield emulator
    background.run(emulator.close())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/projects/p/locations/us-central1/functions"),
        ("POST", "/v3/projects/p/locations/us-central1/services"),
        ("GET", "/v1beta1/projects/p/anything"),
        ("GET", "/v1p1beta1/projects/p/anything"),
        ("GET", "/apis/run.googleapis.com/v1/namespaces/p/jobs"),
        ("DELETE", "/-/eventarc/v1/projects/p/locations/us-central1/triggers/t"),
    ],
)
def test_the_answer_is_a_sentence_in_the_form_of_the_apis(emulator: Emulator, method: str, path: str) -> None:
    answer = httpx.request(method, f"http://{emulator.http}{path}")
    assert answer.status_code == 501
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (501, "UNIMPLEMENTED")
    assert error["message"].startswith("The emulator does not have ")


def test_the_api_is_named(emulator: Emulator) -> None:
    message = httpx.get(f"http://{emulator.http}/-/eventarc/v1/projects/p").json()["error"]["message"]
    assert message.startswith("The emulator does not have the API eventarc; nothing was sent to Google Cloud.")


def test_gcloud_gets_a_status_that_it_does_not_repeat(emulator: Emulator) -> None:
    agent = "google-cloud-sdk gcloud/528.0.0 command/gcloud.eventarc.triggers.list"
    answer = httpx.get(f"http://{emulator.http}/-/eventarc/v1/x", headers={"User-Agent": agent})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "UNIMPLEMENTED")


def test_buckets_may_have_names_that_resemble_versions(emulator: Emulator) -> None:
    emulator.storage.objects.create("v1x", "a", b"content")
    assert httpx.get(f"http://{emulator.http}/v1x/a").text == "content"


def test_workflows_call_absent_apis_on_this_machine(background: Background, emulator: Emulator) -> None:
    runtime = emulator.workflows._runtime_for("")
    assert runtime.endpoints["storage"] == f"http://{emulator.http}"
    assert runtime.endpoints["secretmanager"] == f"http://{emulator.http}/-/secretmanager"
