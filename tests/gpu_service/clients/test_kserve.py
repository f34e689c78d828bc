"""KServe's own client, which runs in an environment of its own: .venv-kserve (make kserve), or KSERVE_PYTHON."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get("KSERVE_PYTHON", ROOT / ".venv-kserve/bin/python"))
pytestmark = [
    pytest.mark.kserve,
    pytest.mark.skipif(not PYTHON.exists(), reason="KServe is not installed, so its client was not run (make kserve)"),
]


@pytest.fixture(scope="module")
def answers(served: Any) -> dict[str, Any]:
    script = Path(__file__).with_name("kserve_client.py")
    command = [str(PYTHON), str(script), f"http://127.0.0.1:{served.port}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_health(answers: dict[str, Any]):
    healthy = ("v1 live", "v1 model", "v2 live", "v2 ready", "v2 model")
    assert [answers[name] for name in healthy] == [True] * 5
    assert answers["v2 missing"] is False


def test_errors_are_read(answers: dict[str, Any]):
    for name in ("v1 missing", "v2 error"):
        status, text = answers[name]
        assert status == 404
        assert "There is no model 'nobody'" in text


def test_predictions(answers: dict[str, Any]):
    labels = [prediction["label"] for prediction in answers["v1 predict"]]
    scores = [prediction["score"] for prediction in answers["v1 predict"]]
    for name in ("json", "binary"):
        assert answers[name]["outputs"]["label"] == labels
        assert answers[name]["outputs"]["score"] == pytest.approx(scores, abs=1e-5)
        assert answers[name]["model"] == "moods"
    assert answers["binary"]["id"] == "42"
    assert answers["one output"]["outputs"] == {"label": labels}
