"""Which pipeline is meant: a table of cases, among them those in which a cloud must not be used."""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from event_inference.errors import EventInferenceError, TargetError, UnreachableError
from event_inference.targets import Request, resolve

EMULATOR = {
    "STORAGE_EMULATOR_HOST": "http://127.0.0.1:7001",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:7002",
    "WORKFLOWS_EMULATOR_HOST": "127.0.0.1:7002",
}
OVERRIDE = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "http://127.0.0.1:9010/storage/v1/"}
PRIVATE = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "https://storage-mine.p.googleapis.com/"}
CONTEXTS = """
current = "production"
[contexts.production]
project = "production-1"
region = "europe-west4"
[contexts.other]
project = "other-project"
service_prefix = "team"
input_bucket = "own-uploads"
[contexts.laptop]
local = "STACK"
"""


@dataclass
class Case:
    """What is set, and the pipeline that is expected: `laptop`, a project, or part of an error.

    `stack`: `running`, `killed` (its process is gone), `ended` (a state without addresses), or none; `above`: in a
    folder above the working folder.
    """

    expected: str
    request: Request = field(default_factory=Request)
    env: dict[str, str] = field(default_factory=dict)
    stack: str = ""
    above: bool = False
    config: str = ""
    gcloud: str = ""


CASES = {
    # Options first.
    "option project": Case("flag-project", Request(project="flag-project"), stack="running", config=CONTEXTS),
    "option context": Case("other-project", Request(context="other"), stack="running", config=CONTEXTS),
    "option local": Case("laptop", Request(local="STACK"), stack="running", config=CONTEXTS, gcloud="gcloud-project"),
    "option context of a laptop": Case("laptop", Request(context="laptop"), stack="running", config=CONTEXTS),
    "option over variables": Case("flag-project", Request(project="flag-project"), env={"EINF_PROJECT": "env-project"}),
    "option over the emulator's variables": Case("flag-project", Request(project="flag-project"), env=EMULATOR),
    "two options": Case("--context and --project each", Request(context="other", project="flag-project")),
    "option local that is not running": Case("No local stack is running", Request(local="STACK"), stack="ended"),
    "option local that was killed": Case(
        "No local stack is running", Request(local="STACK"), stack="killed", gcloud="gcloud-project"
    ),
    "option local without a folder": Case("There is no folder", Request(local="nowhere"), gcloud="gcloud-project"),
    "unknown context": Case("Did you mean production", Request(context="producton"), config=CONTEXTS),
    "option with the local project": Case("local stack's project", Request(project="local-project")),
    "option that is no project": Case("is not the id of a project", Request(project="My Project")),
    # Then the environment.
    "variable project": Case("env-project", env={"EINF_PROJECT": "env-project"}, stack="running", config=CONTEXTS),
    "variable context": Case("other-project", env={"EINF_CONTEXT": "other"}, stack="running", config=CONTEXTS),
    "variable local": Case("laptop", env={"EINF_LOCAL": "STACK"}, stack="running", config=CONTEXTS),
    "variable local and the emulator's": Case("laptop", env={"EINF_LOCAL": "STACK", **EMULATOR}, stack="running"),
    "variables project and context": Case(
        "EINF_CONTEXT and EINF_PROJECT each", env={"EINF_PROJECT": "env-project", "EINF_CONTEXT": "other"}
    ),
    "variable with the local project": Case("local stack's project", env={"EINF_PROJECT": "local-project"}),
    "emulator's variables": Case("laptop", env=EMULATOR, config=CONTEXTS, gcloud="gcloud-project"),
    "emulator's variables over a running stack": Case("127.0.0.1:7001", env=EMULATOR, stack="running"),
    "emulator's variables and a variable project": Case(
        "Unset one of them", env={**EMULATOR, "EINF_PROJECT": "env-project"}
    ),
    "emulator's variables and a variable context": Case(
        "Unset one of them", env={**EMULATOR, "EINF_CONTEXT": "other"}, config=CONTEXTS
    ),
    **{
        f"only {name}": Case(f"{name} point", env={name: value}, stack="running", gcloud="gcloud-project")
        for name, value in EMULATOR.items()
    },
    **{
        f"all but {name}": Case(f"but {name} would be the cloud's", env=EMULATOR | {name: ""}, gcloud="gcloud-project")
        for name in EMULATOR
    },
    # Then the nearest running stack.
    "running stack": Case("laptop", stack="running", config=CONTEXTS, gcloud="gcloud-project"),
    "running stack above": Case("laptop", stack="running", above=True, config=CONTEXTS, gcloud="gcloud-project"),
    "running stack with empty variables": Case("laptop", env={"EINF_PROJECT": ""}, stack="running"),
    # Then the configuration.
    "current context": Case("production-1", config=CONTEXTS, gcloud="gcloud-project"),
    "current context of a stopped laptop": Case(
        "No local stack is running", stack="ended", config=CONTEXTS.replace('"production"\n[', '"laptop"\n[', 1)
    ),
    "gcloud's project": Case("gcloud-project", gcloud="gcloud-project"),
    "gcloud's variable": Case("variable-project", env={"CLOUDSDK_CORE_PROJECT": "variable-project"}, gcloud="other"),
    "the libraries' variable": Case("variable-project", env={"GOOGLE_CLOUD_PROJECT": "variable-project"}),
    "a private endpoint": Case("gcloud-project", env=PRIVATE, gcloud="gcloud-project"),
    "nothing": Case("No pipeline was found"),
    # Never a cloud where the laptop may have been meant.
    "killed stack, context": Case("was not used instead", stack="killed", config=CONTEXTS),
    "killed stack, gcloud": Case("was not used instead", stack="killed", gcloud="gcloud-project"),
    "ended stack, context": Case("was not used instead", stack="ended", config=CONTEXTS),
    "ended stack, gcloud": Case("was not used instead", stack="ended", gcloud="gcloud-project"),
    "ended stack above": Case("was not used instead", stack="ended", above=True, gcloud="gcloud-project"),
    "ended stack alone": Case("No local stack is running", stack="ended"),
    "stack of a reused process": Case("was not used instead", stack="reused", gcloud="gcloud-project"),
    "broken addresses": Case("was not used instead", stack="broken", gcloud="gcloud-project"),
    "gcloud on loopback, context": Case("was not used instead", env=OVERRIDE, config=CONTEXTS),
    "gcloud on loopback, gcloud": Case("was not used instead", env=OVERRIDE, gcloud="gcloud-project"),
    "gcloud with the local project": Case("local stack's project", gcloud="local-project"),
    "shell of an ended stack": Case(
        "local stack's project", env={"GOOGLE_CLOUD_PROJECT": "local-project"}, gcloud="gcloud-project"
    ),
    # Mistakes in the configuration.
    "unknown key": Case("did you mean project", config='[contexts.a]\nprojct = "production-1"'),
    "no project": Case("needs either project", config='[contexts.a]\nregion = "us-central1"'),
    "unknown current": Case("current names no context", config='current = "b"\n[contexts.a]\nproject = "a-project"'),
    "not TOML": Case("cannot be read", config="current ="),
    "unencrypted endpoint": Case(
        "must begin with https://",
        Request(context="a"),
        config='[contexts.a]\nproject = "a-project"\nendpoints = {storage = "http://storage.example.com"}',
    ),
}


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def a_stack(folder: Path, state: str, port: int) -> None:
    """The traces of a local stack in a folder."""
    folder.mkdir(parents=True)
    (folder / "ports.json").write_text("{}")
    running = {
        "http": f"127.0.0.1:{port}", "grpc": "127.0.0.1:1", "project": "local-project", "location": "us-central1",
        "env": {"INPUT_BUCKET": "local-input"}, "services": {}, "pid": os.getpid(),
    }  # fmt: skip
    if state == "killed":
        running["pid"] = 2**22 + 1  # above the largest id of a process
    if state == "reused":
        running["http"] = "127.0.0.1:1"
    if state != "ended":
        text = json.dumps(running)
        (folder / "addresses.json").write_text(text[:20] if state == "broken" else text)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_pipeline_that_is_meant(case: Case, tmp_path: Path, listening: int):
    home, folder = tmp_path / "home", tmp_path / "work" / "inner"
    folder.mkdir(parents=True)
    home.mkdir()
    stack = (folder.parent if case.above else folder) / ".local"
    if case.stack:
        a_stack(stack, case.stack, listening)
    if case.config:
        file = home / ".config" / "event-inference" / "config.toml"
        file.parent.mkdir(parents=True)
        file.write_text(case.config.replace("STACK", str(stack)))
    if case.gcloud:
        file = home / ".config" / "gcloud" / "configurations" / "config_default"
        file.parent.mkdir(parents=True)
        file.write_text(f"[core]\naccount = me@example.com\nproject = {case.gcloud}\n")
    env = {name: value.replace("STACK", str(stack)) for name, value in case.env.items()}
    request = case.request
    if request.local:
        request = Request(local=request.local.replace("STACK", str(stack)))

    try:
        target = resolve(request, environ=env, folder=folder, home=home)
        result = f"{'laptop' if not target.is_cloud else target.project} {target.storage}"
        assert target.is_cloud == target.storage.startswith("https://")
    except EventInferenceError as error:
        result = f"{type(error).__name__}: {error}"
    assert case.expected in result


def test_a_context_names_its_own_resources(tmp_path: Path):
    (tmp_path / "config.toml").write_text(CONTEXTS)
    env = {"EINF_CONFIG": str(tmp_path / "config.toml")}
    target = resolve(Request(context="other"), environ=env, folder=tmp_path, home=tmp_path)
    assert (target.input_bucket, target.output_bucket) == ("own-uploads", "other-project-team-output")
    assert target.topic_path == "projects/other-project/topics/team-messages"
    assert target.workflow == "projects/other-project/locations/us-central1/workflows/team"


def test_variables_name_a_region_and_resources_of_the_pipeline_that_they_choose(tmp_path: Path):
    env = {"EINF_PROJECT": "env-project", "EINF_REGION": "europe-west1", "EINF_INPUT_BUCKET": "own-uploads"}
    target = resolve(environ=env, folder=tmp_path, home=tmp_path)
    assert (target.region, target.input_bucket) == ("europe-west1", "own-uploads")
    other = resolve(Request(project="flag-project"), environ=env, folder=tmp_path, home=tmp_path)
    assert (other.region, other.input_bucket) == ("europe-west1", "flag-project-inference-input")


def test_gclouds_region_is_that_of_its_project(tmp_path: Path):
    file = tmp_path / ".config" / "gcloud" / "configurations" / "config_work"
    file.parent.mkdir(parents=True)
    file.write_text("[core]\nproject = gcloud-project\n[run]\nregion = europe-west4\n")
    (tmp_path / ".config" / "gcloud" / "active_config").write_text("work\n")
    target = resolve(environ={}, folder=tmp_path, home=tmp_path)
    assert (target.project, target.region) == ("gcloud-project", "europe-west4")
    assert "gcloud's configuration work" in target.description


def test_only_a_cloud_that_was_found_is_not_explicit(tmp_path: Path):
    assert resolve(Request(project="flag-project"), environ={}, folder=tmp_path, home=tmp_path).explicit
    found = resolve(environ={"CLOUDSDK_CORE_PROJECT": "a-project"}, folder=tmp_path, home=tmp_path)
    assert not found.explicit


def test_errors_name_who_acts_next(tmp_path: Path):
    with pytest.raises(TargetError):
        resolve(environ={}, folder=tmp_path, home=tmp_path)
    with pytest.raises(UnreachableError, match="einf local up"):
        resolve(Request(local=str(tmp_path)), environ={}, folder=tmp_path, home=tmp_path)
