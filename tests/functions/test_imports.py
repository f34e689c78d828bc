"""What importing each function pulls in: the event functions stay light."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENV = {
    "INPUT_BUCKET": "in",
    "WORK_BUCKET": "work",
    "OUTPUT_BUCKET": "out",
    "WORKFLOW": "projects/p/locations/l/workflows/w",
    "PYTHONPATH": "functions",
}
IMPORT = """
import json, sys
import functions_framework
before = set(sys.modules)
functions_framework.create_app(sys.argv[1], f"functions/{sys.argv[1]}/main.py")
print(json.dumps(sorted(set(sys.modules) - before)))
"""
HEAVY = {"torch", "transformers", "pandas", "numpy", "PIL", "prophet", "scipy", "emulator", "gpu_service"}


def pulled_in(name: str) -> set[str]:
    """Modules that a function's main.py imports beyond functions-framework's own."""
    run = subprocess.run(
        [sys.executable, "-c", IMPORT, name], cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", ["on_upload", "on_message", "on_dead_letter", "postprocess"])
def test_light_functions_import_nothing_heavy(name: str) -> None:
    tops = {module.partition(".")[0] for module in pulled_in(name)}
    assert not tops & HEAVY


@pytest.mark.parametrize("name", ["on_upload", "on_message", "on_dead_letter"])
def test_clients_and_validators_are_imported_when_first_needed(name: str) -> None:
    lazy = {"google.cloud.storage", "google.cloud.workflows", "google.cloud.pubsub_v1", "jsonschema"}
    assert not pulled_in(name) & lazy


def test_preprocess_imports_pillow_but_no_numbers() -> None:
    tops = {module.partition(".")[0] for module in pulled_in("preprocess")}
    assert "PIL" in tops
    assert not tops & (HEAVY - {"PIL"})
