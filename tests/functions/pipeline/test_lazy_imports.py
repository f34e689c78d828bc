"""Deferred modules: empty until first used, complete afterwards, for every user."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from pipeline import lazy_imports

PACKAGE = "deferred_package"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A deferred package that records each time it runs."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import sys\nsys.runs.append(1)\nfrom deferred_package import inner\nVALUE = 7\n"
    )
    (folder / "inner.py").write_text("NAME = 'inner'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(lazy_imports.DEFERRED, PACKAGE, "a test")
    monkeypatch.setattr(sys, "runs", [], raising=False)
    yield folder
    for name in (PACKAGE, f"{PACKAGE}.inner"):
        sys.modules.pop(name, None)


def runs() -> int:
    return len(sys.runs)  # type: ignore[attr-defined]


def test_a_module_runs_when_it_is_first_used(package: Path) -> None:
    module = importlib.import_module(PACKAGE)
    assert runs() == 0
    assert (module.VALUE, module.VALUE, runs()) == (7, 7, 1)
    with pytest.raises(AttributeError):
        _ = module.missing


def test_a_submodule_of_a_deferred_package_can_be_imported_alone(package: Path) -> None:
    inner = importlib.import_module(f"{PACKAGE}.inner")
    assert (inner.NAME, runs()) == ("inner", 0)


def test_concurrent_threads_all_see_the_complete_module(package: Path) -> None:
    (package / "__init__.py").write_text("import sys, time\nsys.runs.append(1)\ntime.sleep(0.05)\nVALUE = 7\n")
    module = importlib.import_module(PACKAGE)
    together = Barrier(4)

    def use(_: int) -> int:
        together.wait()
        value: int = module.VALUE
        return value

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(4))) == [7] * 4
    assert runs() == 1


def test_a_module_that_fails_to_run_fails_at_every_use(package: Path) -> None:
    (package / "__init__.py").write_text("raise ImportError('broken')")
    module = importlib.import_module(PACKAGE)
    for _ in range(2):
        with pytest.raises(ImportError, match="broken"):
            _ = module.VALUE


def test_a_version_is_read_without_running_the_package(package: Path) -> None:
    (package / "version.py").write_text("__version__ = '1.2'\n")
    module = importlib.import_module(PACKAGE)
    assert (module.__version__, runs()) == ("1.2", 0)
    del sys.modules[f"{PACKAGE}.version"]
    (package / "version.py").unlink()
    importlib.invalidate_caches()
    assert not hasattr(module, "__version__")
    assert module.VALUE == 7


PYTHONPATH = "functions:functions/preprocess:functions/postprocess"


@pytest.mark.parametrize("name", lazy_imports.DEFERRED)
def test_each_listed_module_can_be_deferred_and_run(name: str) -> None:
    """No module runs when it is imported, and each runs when it is used."""
    script = f"""
import importlib, sys
import pipeline
module = importlib.import_module({name!r})
assert "__getattr__" in vars(module), "it ran"
assert not hasattr(module, "no_such_name")
assert "__getattr__" not in vars(module) and dir(module), "it did not run"
"""
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": PYTHONPATH}, check=True, timeout=60)


def test_the_clients_work_with_deferred_modules() -> None:
    """Signing is available on first use, although nothing imported it."""
    script = """
import sys
from pipeline import storage
from pipeline.jobs import executions
import os; os.environ |= {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:9", "WORKFLOWS_EMULATOR_HOST": "127.0.0.1:9"}
storage.client(); executions.client()
for module in ("cryptography", "google.cloud.workflows_v1", "charset_normalizer.api", "google.protobuf.text_format"):
    assert module not in sys.modules, module
import charset_normalizer
assert charset_normalizer.from_bytes("Übung macht den Meister".encode("cp1252")).best()
from google.auth import crypt, jwt
assert crypt.RSASigner and jwt.Credentials and "cryptography" in sys.modules
from google.cloud import workflows
assert workflows.WorkflowsClient
"""
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": PYTHONPATH}, check=True, timeout=60)
