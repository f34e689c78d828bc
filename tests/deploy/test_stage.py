"""Staging: the files of each function, which loads with its own requirements alone."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deploy import stage

ROOT = Path(__file__).parents[2]
NAMES = stage.names()
ENV = {
    "INPUT_BUCKET": "in",
    "WORK_BUCKET": "work",
    "OUTPUT_BUCKET": "out",
    "MODELS_BUCKET": "models",
    "WORKFLOW": "projects/p/locations/l/workflows/w",
}
LOAD = """
import ast, importlib, pathlib, sys
staged, libraries, name = sys.argv[1:]
sys.path[:0] = [staged, libraries]
import functions_framework
functions_framework.create_app(name, f"{staged}/main.py")

def file(module):
    return pathlib.Path(staged, *module.split(".")).with_suffix(".py")

# What functions import when they are called must be there, too.
seen, pending = set(), [pathlib.Path(staged, "main.py")]
while pending:
    path = pending.pop()
    tree = ast.parse(path.read_text())
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    hints = {id(node) for test in tests for node in ast.walk(test)}
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [node.module, *filter(lambda name: file(name).exists(), below)]
        for module in set(modules) - seen if id(node) not in hints else ():
            seen.add(module)
            importlib.import_module(module)
            if file(module).exists():
                pending.append(file(module))
print(len(seen))
"""


def test_all_functions_are_known() -> None:
    assert NAMES == [
        "forecast",
        "notify",
        "on_dead_letter",
        "on_message",
        "on_upload",
        "postprocess",
        "preprocess",
        "promote",
    ]


@pytest.fixture(scope="module", params=NAMES)
def staged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage.stage(request.param, target=tmp_path_factory.mktemp("functions"))


def test_a_staged_folder_holds_code_requirements_and_schemas_only(staged: Path) -> None:
    files = {path.relative_to(staged) for path in staged.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert Path("main.py") in files
    assert Path("requirements.txt") in files
    assert Path("pipeline/schemas/result.schema.json") in files
    prices = {path for path in files if path.suffix == ".yaml"}
    assert prices == ({Path("event_inference/cost/prices.yaml")} if staged.name == "on_message" else set())
    assert {path.suffix for path in files - prices} == {".py", ".json", ".txt"}
    assert sum((staged / path).stat().st_size for path in files) < 1 << 20
    assert not any(part.startswith((".", "__pycache__")) for path in files for part in path.parts)


def test_bytecode_is_valid_whatever_the_modification_times_of_its_sources(staged: Path) -> None:
    for source in staged.rglob("*.py"):
        compiled = Path(importlib.util.cache_from_source(str(source)))
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, "bytecode of a hash that is not checked"


def test_staging_again_removes_deleted_files(tmp_path: Path) -> None:
    staged = stage.stage("on_upload", target=tmp_path)
    (staged / "pipeline" / "left_over.py").write_text("")
    stage.stage("on_upload", target=tmp_path)
    assert not (staged / "pipeline" / "left_over.py").exists()


def closure(requirements: Path) -> set[str]:
    """The distributions that a requirements file pulls in, by their installed metadata."""
    lines = [line.partition("#")[0].strip() for line in requirements.read_text().splitlines()]
    pending = [(Requirement(line), "") for line in lines if line]
    distributions: set[tuple[str, str]] = set()
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in distributions:
                distributions.add((name, wanted))
                needs = importlib.metadata.distribution(name).requires or []
                pending += [(Requirement(need), wanted) for need in needs]
    return {name for name, _ in distributions}


def lay_out(distributions: set[str], folder: Path) -> None:
    """An import path with the files of these distributions and of no other."""
    for name in distributions:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            link = folder / file
            if ".." not in file.parts and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(str(distribution.locate_file(file)))


@pytest.mark.long
def test_a_staged_function_loads_alone_with_its_own_requirements(staged: Path, tmp_path: Path) -> None:
    lay_out(closure(staged / "requirements.txt"), tmp_path)
    command = [sys.executable, "-I", "-S", "-c", LOAD, str(staged), str(tmp_path), staged.name]
    run = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=100)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.splitlines()[-1]) > 20


@pytest.mark.long
@pytest.mark.parametrize("line", ["import duckdb", "def late() -> None:\n    import duckdb"])
def test_an_import_outside_the_requirements_is_detected(tmp_path: Path, line: str) -> None:
    staged = stage.stage("on_upload", target=tmp_path / "staged")
    (staged / "main.py").write_text(f"{line}\n" + (staged / "main.py").read_text())
    lay_out(closure(staged / "requirements.txt"), tmp_path / "libraries")
    command = [sys.executable, "-I", "-S", "-c", LOAD, str(staged), str(tmp_path / "libraries"), "on_upload"]
    run = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=100)
    assert run.returncode != 0
    assert "No module named 'duckdb'" in run.stderr


def test_an_unknown_function_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main(["on_upload_typo"]) == 1
    assert "on_upload_typo" in capsys.readouterr().err


def test_an_entry_point_of_another_name_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "functions" / "greet"
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("def hello(request):\n    return 'hello'\n")
    (folder / "requirements.txt").write_text("functions-framework\n")
    with pytest.raises(stage.StageError, match="defines no function greet"):
        stage.stage("greet", source=tmp_path / "functions", target=tmp_path / "build")


def test_the_command_stages_the_requested_functions() -> None:
    run = subprocess.run(
        [sys.executable, "deploy/stage.py", "on_upload"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("build/functions/on_upload ")
    assert (ROOT / "build/functions/on_upload/main.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_main_files_are_small(name: str) -> None:
    lines = (ROOT / "functions" / name / "main.py").read_text().splitlines()
    assert len(lines) <= 40
