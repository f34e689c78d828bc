"""The real gcloud: models upload and list, endpoints create, deploy-model, predict and what undoes them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.vertex_ai.served import FOLDER, IMAGE, running

LOCATION = "projects/local-project/locations/us-central1"


@pytest.mark.gcloud
@pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not installed, so it was not run")
def test_gcloud_registers_deploys_and_predicts(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"instances": [{"text": "A dull film."}], "parameters": {"top_k": 1}}))
    with running(tmp_path) as variables:

        def ai(*words: str) -> Any:
            command = ["gcloud", "ai", *words, "--format=json"]
            done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
            return json.loads(done.stdout or "null")

        routes = ("--container-ports=8080", "--container-predict-route=/predict", "--container-health-route=/ready")
        container = (f"--container-image-uri={IMAGE}", f"--artifact-uri={FOLDER}", *routes)
        ai("models", "upload", "--display-name=sentiment", "--model-id=sentiment", *container)
        ai("models", "upload", "--display-name=sentiment", f"--parent-model={LOCATION}/models/sentiment", *container)
        assert [model["displayName"] for model in ai("models", "list")] == ["sentiment"]
        assert [model["versionId"] for model in ai("models", "list-version", "sentiment")] == ["1", "2"]
        ai("endpoints", "create", "--display-name=film", "--endpoint-id=film")
        machine = ("--machine-type=g2-standard-4", "--accelerator=type=nvidia-l4,count=1", "--traffic-split=0=100")
        ai("endpoints", "deploy-model", "film", "--model=sentiment@2", "--display-name=film", *machine)
        answer = ai("endpoints", "predict", "film", f"--json-request={request}")
        assert [prediction["label"] for prediction in answer["predictions"]] == ["NEGATIVE"]
        assert answer["modelVersionId"] == "2"
        (deployed,) = ai("endpoints", "describe", "film")["deployedModels"]
        assert deployed["dedicatedResources"]["machineSpec"]["acceleratorType"] == "NVIDIA_L4"
        ai("endpoints", "undeploy-model", "film", f"--deployed-model-id={deployed['id']}")
        ai("endpoints", "delete", "film")
        ai("models", "delete", "sentiment")
        assert ai("models", "list") == []
