"""Who may register, deploy and predict, with a stack that has grants."""

from pathlib import Path

import httpx

from emulator.server import Emulator
from emulator.stack.model import ContainerImage, Grant, Iam, Stack, WorkflowFile
from tests.emulator.conftest import Background
from tests.emulator.vertex_ai.conftest import IMAGE, LOCATION, RESOURCES, Containers

PREDICTOR = "projects/p/roles/predictor"
ACCOUNTS = ("predictor", "user", "viewer", "nobody")


def _stack(root: Path) -> Stack:
    flow = root / "flow.yaml"
    flow.write_text("main: {steps: [{end: {return: 1}}]}")
    grants = (
        Grant("predictor", PREDICTOR, "project"),
        Grant("user", "roles/aiplatform.user", "project"),
        Grant("viewer", "roles/aiplatform.viewer", "project"),
    )
    return Stack(
        path=root / "stack.yaml",
        root=root,
        project="p",
        containers=(ContainerImage("model", "*/gpu-service*", ("python",), "server"),),
        workflows=tuple(WorkflowFile(name, "flow.yaml", service_account=name) for name in ACCOUNTS),
        iam=Iam(grants, {PREDICTOR: ("aiplatform.endpoints.predict",)}),
    )


def test_each_method_needs_its_permission(background: Background, tmp_path: Path) -> None:
    emulator = Emulator(_stack(tmp_path), services={}, start_container=Containers().start)
    background.run(emulator.__aenter__())

    def status(account: str, verb: str, path: str, body: object = None) -> int:
        http = emulator.accounts[account].http
        return httpx.request(verb, f"http://{http}/v1/{path}", json=body).status_code

    model = {"model": {"displayName": "m", "containerSpec": {"imageUri": IMAGE}}, "modelId": "m"}
    deployed = {"deployedModel": {"model": f"{LOCATION}/models/m", "dedicatedResources": RESOURCES, "id": "1"}}
    account = {**deployed["deployedModel"], "serviceAccount": "server@p.iam.gserviceaccount.com"}
    endpoint = f"{LOCATION}/endpoints/e"
    requests: list[tuple[str, str, object, set[str]]] = [
        ("POST", f"{LOCATION}/models:upload", model, {"user"}),
        ("GET", f"{LOCATION}/models/m", None, {"user", "viewer"}),
        ("GET", f"{LOCATION}/models/m/operations", None, {"user", "viewer"}),
        ("POST", f"{LOCATION}/endpoints?endpointId=e", {"displayName": "e"}, {"user"}),
        ("GET", f"{LOCATION}/endpoints", None, {"user", "viewer"}),
        ("POST", f"{endpoint}:deployModel", {"deployedModel": account}, set()),
        ("POST", f"{endpoint}:deployModel", {**deployed, "trafficSplit": {"0": 100}}, {"user"}),
        ("POST", f"{endpoint}:undeployModel", {"deployedModelId": "2"}, set()),
        ("DELETE", f"{LOCATION}/models/m", None, set()),
    ]
    try:
        for verb, path, body, allowed in requests:
            assert {each for each in ACCOUNTS if status(each, verb, path, body) == 200} == allowed, path
        assert status("viewer", "POST", f"{endpoint}:predict", {"instances": [{}]}) == 403
        assert status("nobody", "POST", f"{endpoint}:rawPredict", {"instances": [{}]}) == 403
        assert status("predictor", "GET", endpoint) == 403
        while (answered := status("predictor", "POST", f"{endpoint}:predict", {"instances": [{}]})) == 400:
            pass  # until the model is deployed
        assert answered == 200
    finally:
        background.run(emulator.close())


def test_an_anonymous_caller_has_no_identity(background: Background, tmp_path: Path) -> None:
    emulator = Emulator(_stack(tmp_path), services={})
    background.run(emulator.__aenter__())
    try:
        http = emulator.placeholders()["http"]
        answer = httpx.post(f"http://{http}/v1/{LOCATION}/endpoints/e:predict", json={"instances": [{}]})
        assert answer.status_code == 401
    finally:
        background.run(emulator.close())
