"""The modules that each function loads, compared with a list, and the memory that they take."""

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
modules = sorted(set(sys.modules) - before)
import psutil
print(json.dumps({"modules": modules, "memory": psutil.Process().memory_info().rss / 2**20}))
"""
ERRORS = {  # the exceptions of Google's clients, and what those import
    *("google", "grpc", "grpc_status", "requests", "urllib3", "certifi", "idna", "charset_normalizer", "chardet"),
    "typing_extensions",
    # What urllib3 looks for; Selenium and Triton's client bring them here.
    *("socks", "win_inet_pton", "brotli", "brotlicffi", "_brotli"),
}
LOADED = {
    "on_upload": {"filetype"},
    "on_message": {"filetype", "messaging"},
    "on_dead_letter": {"filetype", "dead_letters"},
    "preprocess": {"filetype", "preprocessing"},
    "forecast": {"forecasting", "numpy"},
    "postprocess": {"postprocessing"},
    "notify": {"notifying", "standardwebhooks"},
    "promote": {"promoting", "event_inference"},
}
MEGABYTES = {"forecast": 80}
MEGABYTES_OF_OTHERS = 65


@pytest.fixture(scope="module", params=LOADED)
def loaded(request: pytest.FixtureRequest) -> tuple[str, set[str], float]:
    """A function's name, the modules that it imports in addition to functions-framework's, and megabytes."""
    command = [sys.executable, "-c", IMPORT, request.param]
    run = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    loaded = json.loads(run.stdout.splitlines()[-1])
    return request.param, set(loaded["modules"]), loaded["memory"]


def test_only_listed_modules_are_loaded(loaded: tuple[str, set[str], float]) -> None:
    name, modules, _ = loaded
    packages = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names
    own_modules = {"main", "pipeline"}
    compiled = {name for name in packages if name.lstrip("_").startswith("cython") or name.endswith("__mypyc")}
    assert packages - own_modules - compiled - ERRORS == LOADED[name]


def test_clients_and_validators_are_loaded_when_first_needed(loaded: tuple[str, set[str], float]) -> None:
    _, modules, _ = loaded
    clients = {"google.cloud.storage", "google.cloud.workflows", "google.cloud.pubsub_v1", "google.auth.transport"}
    assert not modules & {*clients, "jsonschema_rs", "cryptography"}


def test_a_loaded_function_is_small(loaded: tuple[str, set[str], float]) -> None:
    name, _, megabytes = loaded
    assert megabytes < MEGABYTES.get(name, MEGABYTES_OF_OTHERS)


def test_the_cost_model_is_loaded_by_the_order_that_needs_it_alone(loaded: tuple[str, set[str], float]) -> None:
    _, modules, _ = loaded
    assert not modules & {"event_inference.cost", "yaml"}
