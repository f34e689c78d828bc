"""The real gcloud CLI against the emulator, where it is installed."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is NOT INSTALLED: its commands are not tested"),
]

Gcloud = Callable[..., str]


@pytest.fixture(params=["/"])
def gcloud(address: str, tmp_path: Path, request: pytest.FixtureRequest) -> Gcloud:
    """`gcloud storage` with the emulator's address, followed by the path in the test's parameter."""
    token = tmp_path / "token"
    token.write_text("local")
    environment = {
        **os.environ,
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": address + request.param,
        "CLOUDSDK_CORE_PROJECT": "local-project",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
    }

    def run(*arguments: str) -> str:
        command = ["gcloud", "storage", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_gcloud_storage(gcloud: Gcloud, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    for number in range(12):
        (source / f"{number}.txt").write_text(f"file {number}\n")
    (source / "deep" / "big.bin").write_bytes(os.urandom(9_000_000))

    gcloud("buckets", "create", "gs://gcloud-bucket", "--location=europe-west4")
    assert gcloud("buckets", "list", "--format=value(name,location)").split() == ["gcloud-bucket", "EUROPE-WEST4"]
    gcloud("cp", str(source / "1.txt"), "gs://gcloud-bucket/one.txt")
    assert gcloud("cat", "gs://gcloud-bucket/one.txt") == "file 1\n"
    gcloud("cp", "--recursive", str(source), "gs://gcloud-bucket/")
    assert gcloud("ls", "gs://gcloud-bucket/").split() == ["gs://gcloud-bucket/one.txt", "gs://gcloud-bucket/source/"]
    assert len(gcloud("ls", "gs://gcloud-bucket/**").split()) == 14
    target = tmp_path / "target"
    target.mkdir()
    gcloud("cp", "--recursive", "gs://gcloud-bucket/source", str(target))
    for file in source.rglob("*"):
        if file.is_file():
            assert (target / "source" / file.relative_to(source)).read_bytes() == file.read_bytes()
    gcloud("cp", "gs://gcloud-bucket/one.txt", "gs://gcloud-bucket/copy.txt")
    gcloud("rm", "gs://gcloud-bucket/copy.txt", "gs://gcloud-bucket/source/1*.txt")
    assert len(gcloud("ls", "gs://gcloud-bucket/**").split()) == 11
    gcloud("rm", "--recursive", "gs://gcloud-bucket")
    assert gcloud("buckets", "list", "--format=value(name)") == ""


@pytest.mark.parametrize("gcloud", ["/storage/v1/"], indirect=True)
def test_the_address_may_have_the_path_of_the_api(gcloud: Gcloud, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one\n")
    gcloud("buckets", "create", "gs://gcloud-path-bucket")
    gcloud("cp", str(tmp_path / "one.txt"), "gs://gcloud-path-bucket/")
    assert gcloud("cat", "gs://gcloud-path-bucket/one.txt") == "one\n"
