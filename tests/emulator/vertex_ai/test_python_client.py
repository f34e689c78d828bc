"""Google's Python client, which runs in an environment of its own: .venv-vertex (make vertex), or VERTEX_PYTHON."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.emulator.vertex_ai.served import FOLDER, IMAGE, ROOT, running

PYTHON = Path(os.environ.get("VERTEX_PYTHON", ROOT / ".venv-vertex/bin/python"))


@pytest.mark.vertex
@pytest.mark.skipif(not PYTHON.exists(), reason="Vertex AI's client is not installed, so it was not run (make vertex)")
def test_a_model_is_registered_deployed_and_really_served(tmp_path: Path) -> None:
    script = Path(__file__).with_name("python_client.py")
    with running(tmp_path) as variables:
        command = [str(PYTHON), str(script), variables["STORAGE_EMULATOR_HOST"], IMAGE, FOLDER]
        done = subprocess.run(command, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "versions": {"1": ["stable", "default"], "2": ["candidate"]},
        "listed": ["sentiment"],
        "predictions": ["POSITIVE", "NEGATIVE"],
        "version": "1",
        "moved": "2",
        "bad parameter": "invalid_parameters",
        "missing model": "NotFound",
        "deployed": "BadRequest",
        "left": [0, 0],
    }
