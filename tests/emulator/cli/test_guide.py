"""The variables that `python -m emulator env` prints, and gcloud's configuration."""

import configparser
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.cli import gcloud
from emulator.cli.guide import addresses, environment
from emulator.server import Emulator
from emulator.stack.loader import load
from emulator.stack.model import Address
from tests.emulator.conftest import Background

NEEDS_GCLOUD = [
    pytest.mark.gcloud,
    pytest.mark.skipif(not shutil.which("gcloud"), reason="the gcloud CLI is not installed"),
]


@pytest.fixture
def variables(background: Background, tmp_path: Path) -> Iterator[dict[str, str]]:
    file = tmp_path / "stack.yaml"
    file.write_text("buckets: {input: {}}")
    stack = load(file)
    emulator = Emulator(stack, services={})
    background.run(emulator.__aenter__())
    yield environment(addresses(stack, tmp_path, Address(emulator.http, emulator.grpc), {}, {}))
    background.run(emulator.close())


def endpoints(folder: Path) -> dict[str, str]:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(folder / "configurations" / "config_default")
    return dict(settings["api_endpoint_overrides"])


def test_every_api_of_gcloud_is_on_this_machine(tmp_path: Path) -> None:
    gcloud.configure(tmp_path, "127.0.0.1:9010")
    found = endpoints(tmp_path)
    assert found["storage"] == "http://127.0.0.1:9010/storage/v1/"
    assert found["eventarc"] == "http://127.0.0.1:9010/-/eventarc/"
    assert {"cloudfunctions", "run", "logging", "iam", "serviceusage", "cloudscheduler", "compute"} <= found.keys()
    assert all("127.0.0.1:9010/" in url for url in found.values())
    settings = configparser.ConfigParser()
    settings.read(tmp_path / "configurations" / "config_default")
    assert dict(settings["proxy"]) == {"type": "http", "address": "127.0.0.1", "port": "9010"}


def test_other_settings_of_the_configuration_are_kept(tmp_path: Path) -> None:
    gcloud.configure(tmp_path, "127.0.0.1:1")
    file = tmp_path / "configurations" / "config_default"
    file.write_text(file.read_text() + "\n[core]\nverbosity = debug\n")
    gcloud.configure(tmp_path, "127.0.0.1:2")
    assert "verbosity = debug" in file.read_text()
    assert endpoints(tmp_path)["pubsub"] == "http://127.0.0.1:2/"


def test_clients_without_the_emulators_variables_find_it_too(variables: dict[str, str]) -> None:
    url = variables["STORAGE_EMULATOR_HOST"]
    assert variables["GOOGLE_BASE_URL"] == variables["CLOUD_STORAGE_EMULATOR_ENDPOINT"] == url


def test_env_without_an_emulator_fails_in_eval(tmp_path: Path) -> None:
    command = f'eval "$({sys.executable} -m emulator env --data {tmp_path} || echo false)"'
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 1


class TestGcloud:
    """The real gcloud."""

    pytestmark = NEEDS_GCLOUD

    def test_every_endpoint_that_gcloud_knows_is_configured(self) -> None:
        words = (
            "from googlecloudsdk.core.properties import VALUES\n"
            "print(*VALUES.api_endpoint_overrides.AllValues(list_unset=True, include_hidden=True))"
        )
        found = subprocess.run(
            ["gcloud", "info", "--format=value(installation.sdk_root)"], capture_output=True, text=True, check=True
        )
        environment = {**os.environ, "PYTHONPATH": f"{found.stdout.strip()}/lib:{found.stdout.strip()}/lib/third_party"}
        listed = subprocess.run(
            [sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True
        )
        assert set(listed.stdout.split()) <= gcloud.APIS

    @pytest.mark.parametrize(
        "command",
        [
            "eventarc triggers list --location=us-central1",
            "functions list",
            "run services list",
            "run jobs list --region=us-central1",
            "logging read x",
            "iam service-accounts list",
            "services list",
            "projects describe local-project",
        ],
    )
    def test_an_absent_api_is_refused_at_once(self, variables: dict[str, str], command: str) -> None:
        began = time.monotonic()
        refused = subprocess.run(
            ["gcloud", *command.split()],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode != 0
        assert "The emulator does not have" in refused.stderr
        assert time.monotonic() - began < 20  # gcloud's own retries would take half a minute
