"""Infrastructure Manager: the folder that would be uploaded is complete."""

import json
import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from deploy import inventory
from tests.deploy import recorded, shape
from tests.deploy.provider import server
from tests.deploy.terraform import terraformed

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy/infrastructure-manager/deploy.sh"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    inputs = tmp_path_factory.mktemp("inputs") / "inputs.tfvars"
    inputs.write_text((SCRIPT.parent / "inputs.tfvars").read_text() + f'gpu_image = "{shape.IMAGE}"\n')
    env = {**os.environ, "PROJECT_ID": "my-project", "PYTHON": str(Path(sysconfig.get_path("scripts")) / "python")}
    run = subprocess.run([SCRIPT, "--dry-run", inputs], env=env, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    return shlex.split(run.stdout)


def test_inputs_without_an_image_are_refused():
    env = {**os.environ, "PROJECT_ID": "my-project"}
    run = subprocess.run([SCRIPT, "--dry-run"], env=env, capture_output=True, text=True)
    assert run.returncode == 1
    assert "sets no gpu_image: build the image first" in run.stderr


def test_a_misspelt_variable_is_refused(tmp_path: Path):
    inputs = tmp_path / "inputs.tfvars"
    inputs.write_text(f'gpu_image = "{shape.IMAGE}"\nmax_instance = 8\n')
    env = {**os.environ, "PROJECT_ID": "my-project", "PYTHON": str(Path(sysconfig.get_path("scripts")) / "python")}
    run = subprocess.run([SCRIPT, "--dry-run", inputs], env=env, capture_output=True, text=True)
    assert run.returncode == 1
    assert "max_instance is not a variable of the deployment" in run.stderr


@pytest.mark.long
def test_gcloud_knows_the_command(command: list[str]):
    assert recorded.unknown_flags([command[1:]]) == []
    assert "--tf-version-constraint==1.5.7" in command


@pytest.mark.long
@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed: the bundle was not applied")
def test_the_bundle_creates_the_same_resources_as_the_root(command: list[str], tmp_path: Path):
    flags = dict(word.removeprefix("--").split("=", 1) for word in command if word.startswith("--"))
    bundle = shutil.copytree(flags["local-source"], tmp_path / "elsewhere")
    own = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    with server.serving() as reattach:
        env = {**own, **reattach, "CHECKPOINT_DISABLE": "1"}
        for arguments in (["init"], ["apply", "-auto-approve", f"-var-file={flags['inputs-file']}"]):
            words = ["terraform", *arguments, "-input=false", "-no-color"]
            run = subprocess.run(words, cwd=bundle, env=env, capture_output=True, text=True, timeout=100)
            assert run.returncode == 0, run.stderr
        shown = subprocess.run(["terraform", "show", "-json"], cwd=bundle, env=env, capture_output=True, timeout=100)
    applied = terraformed.shape_of(terraformed.resources(json.loads(shown.stdout)["values"]))
    assert applied == shape.plain(
        shape.expected(inventory.load({"project_id": "my-project", "gpu_image": shape.IMAGE}))
    )


def test_the_bundle_holds_no_state_or_secret_and_only_its_own_sources_compiled(command: list[str]):
    bundle = Path(next(word for word in command if word.startswith("--local-source=")).partition("=")[2])
    files = [path for path in bundle.rglob("*") if path.is_file()]
    compiled = [path for path in files if path.suffix == ".pyc"]
    assert compiled
    assert {path.suffix for path in files if path not in compiled} == {".tf", ".yaml", ".json", ".py", ".txt"}
    assert all((path.parents[1] / f"{path.name.partition('.')[0]}.py") in files for path in compiled)
    assert sum(path.stat().st_size for path in files) < 12 << 20
