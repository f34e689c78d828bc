"""The same client and command against a cloud: tokens, missing roles, and confirmations."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from event_inference import Client, CloudConfirmationError, UnreachableError
from event_inference.errors import SUCCEEDED, UNREACHABLE, USAGE
from event_inference.targets import Request, resolve
from tests.event_inference.cloud import ACCOUNT, PROJECT, TokenCloud
from tests.event_inference.conftest import Emulated, Ended, cloud_environment

Invoke = Callable[..., Ended]
CHANGES = [["submit", "-"], ["replay", "--all"], ["sweep"], ["collect"], ["doctor", "--send"]]
READS = [["results"], ["rejected"], ["failed"], ["replay", "--all", "--dry-run"], ["doctor"], ["watch", "--for", "0s"]]


@pytest.fixture
def run(invoke: Invoke, cloud: TokenCloud, tmp_path: Path) -> Invoke:
    """Runs the command as a user whose configuration has the cloud as a context."""
    env = cloud_environment(cloud, tmp_path)
    return lambda *arguments, **options: invoke(*arguments, "--context", "standin", **{"env": env, **options})


@pytest.fixture
def client(cloud: TokenCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    for name, value in cloud_environment(cloud, tmp_path).items():
        monkeypatch.setenv(name, value)
    return Client(context="standin")


@pytest.mark.parametrize("arguments", CHANGES, ids=str)
def test_changes_need_a_confirmation(run: Invoke, cloud: TokenCloud, arguments: list[str]):
    ended = run(*arguments)
    assert (ended.status, ended.out) == (USAGE, "")
    assert f"in the cloud project {PROJECT}" in ended.err
    assert "--yes" in ended.err
    assert cloud.calls == []


@pytest.mark.parametrize("arguments", CHANGES[:-1], ids=str)
def test_confirmed_changes_are_made(run: Invoke, cloud: TokenCloud, arguments: list[str]):
    assert run(*arguments, "--yes").status == SUCCEEDED
    assert cloud.calls
    assert cloud.refused == []


@pytest.mark.parametrize("arguments", READS, ids=str)
def test_reading_needs_no_confirmation(run: Invoke, cloud: TokenCloud, deployed: Emulated, arguments: list[str]):
    deployed.document("results", "a.txt", 1)
    ended = run(*arguments)
    assert ended.status == SUCCEEDED, ended.err + ended.out
    assert cloud.calls
    assert cloud.refused == []
    assert f"einf: cloud project {PROJECT}, us-central1 (--context)" in ended.err


def test_a_variable_confirms(run: Invoke, cloud: TokenCloud, tmp_path: Path):
    env = cloud_environment(cloud, tmp_path) | {"EINF_YES": "1"}
    assert run("sweep", env=env).status == SUCCEEDED


def test_an_input_goes_its_way_in_a_cloud(client: Client, deployed: Emulated, cloud: TokenCloud, tmp_path: Path):
    (tmp_path / "large.txt").write_bytes(b"x" * (9 << 20))  # a resumable upload
    handle = client.submit(tmp_path / "large.txt")
    deployed.execution(handle.job)
    assert handle.status().steps == ("wait",)
    deployed.document("results", "large.txt", handle.generation)
    assert handle.wait(20).ok
    assert not client.submit(tmp_path / "large.txt").is_new
    assert client.replay(code="http_503").message_id
    assert deployed.orders() == [{"replay": {"code": "http_503"}}]
    assert cloud.refused == []


def test_the_models_of_a_cloud_are_those_of_its_registry(client: Client, deployed: Emulated):
    with pytest.raises(UnreachableError, match="models in the image"):
        client.models()
    models = {"mine": [{"name": "reviews", "task": "text-classification", "source": "reviews"}]}
    bucket = deployed.client.connection.storage.bucket(deployed.target.models_bucket)
    bucket.blob("models.json").upload_from_string(json.dumps(models))
    assert [(model["profile"], model["name"], model["version"]) for model in client.models()] == [
        ("mine", "reviews", "1")
    ]


@pytest.mark.parametrize(
    ("denied", "arguments"),
    [
        ("my-project-123-inference-input", ["submit", "-", "--yes"]),
        ("my-project-123-inference-output", ["results"]),
        ("Publisher", ["sweep", "--yes"]),
        ("Executions", ["status", "a.txt"]),
    ],
)
def test_a_missing_role_is_forbidden(
    run: Invoke, cloud: TokenCloud, deployed: Emulated, denied: str, arguments: list[str]
):
    deployed.client.submit(b"x", name="a.txt")
    cloud.denied.append(denied)
    ended = run(*arguments, input=b"x")
    assert ended.status == UNREACHABLE
    assert "refuses you" in ended.err
    assert "einf doctor" in ended.err


def test_doctor_names_the_role_that_is_missing(run: Invoke, cloud: TokenCloud):
    cloud.denied.append("Workflows/GetWorkflow")
    ended = run("doctor", "--json")
    assert ended.status == UNREACHABLE
    findings = {finding["what"]: finding for finding in ended.json}
    assert findings["credentials"]["ok"]
    workflow = findings["workflow inference"]
    assert (workflow["ok"], workflow["state"]) == (False, f"{ACCOUNT} lacks a permission")
    assert workflow["mend"] == "deploy/gcloud/deploy.sh workflow"


def test_doctor_names_the_bucket_that_is_missing(run: Invoke, deployed: Emulated):
    deployed.client.connection.input.delete()
    ended = run("doctor")
    assert ended.status == UNREACHABLE
    assert f"deploy/gcloud/deploy.sh buckets    # PROJECT_ID={PROJECT}" in ended.out
    assert f"gs://{PROJECT}-inference-input: The specified bucket does not exist\n" in ended.out


def test_without_credentials_the_login_is_named(run: Invoke, cloud: TokenCloud, tmp_path: Path):
    env = cloud_environment(cloud, tmp_path) | {"GOOGLE_APPLICATION_CREDENTIALS": "", "PATH": "/nowhere"}
    ended = run("results", env=env | {"NO_GCE_CHECK": "true"})
    assert ended.status == UNREACHABLE
    assert "gcloud auth application-default login" in ended.err


def test_gclouds_own_login_is_used_where_there_is_no_other(
    cloud: TokenCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A gcloud that prints the stand-in's token."""
    from google.auth.transport.requests import Request as Transport
    from google.oauth2.service_account import Credentials

    for name, value in cloud_environment(cloud, tmp_path).items():
        monkeypatch.setenv(name, value)
    issued = Credentials.from_service_account_file(
        str(cloud.key), scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    issued.refresh(Transport())
    gcloud = tmp_path / "bin" / "gcloud"
    gcloud.parent.mkdir()
    gcloud.write_text(f'#!/bin/sh\n[ "$*" = "auth print-access-token --quiet" ] && echo {issued.token}\n')
    gcloud.chmod(0o755)
    monkeypatch.setenv("PATH", str(gcloud.parent), prepend=":")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert list(Client(context="standin").results()) == []
    gcloud.write_text("#!/bin/sh\necho 'You do not currently have an active account selected.' >&2; exit 1\n")
    with pytest.raises(UnreachableError, match="gcloud auth login"):
        list(Client(context="standin").results())


def test_a_cloud_that_was_only_found_is_not_changed(cloud: TokenCloud, tmp_path: Path):
    env = cloud_environment(cloud, tmp_path)
    file = Path(env["EINF_CONFIG"])
    file.write_text('current = "standin"\n' + file.read_text())
    found = resolve(Request(), environ=env, folder=tmp_path, home=tmp_path)
    with pytest.raises(CloudConfirmationError, match=f"Client\\(project='{PROJECT}'\\)"):
        Client(target=found).submit(b"x")
    assert cloud.calls == []
