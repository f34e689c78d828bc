"""How Vertex AI serves a pipeline's models: in which project and region, by which container, as which account."""

from typing import Any

from event_inference.access.clients import Connection
from event_inference.registry.api import Api

_LAPTOP_IMAGE = "local/gpu-service"  # the stack file says which command stands for it
_PORT = 8080
_PREDICT, _HEALTH = "/predict", "/ready"


def api(connection: Connection) -> Api:
    """Vertex AI's API in the pipeline's project and region."""
    target = connection.target
    parent = f"projects/{target.project}/locations/{target.region}"
    return Api(target.vertex_ai, parent, lambda: connection.credentials)


def container(connection: Connection, image: str) -> dict[str, Any]:
    """The `containerSpec` of an image of the GPU service."""
    target = connection.target
    return {
        "imageUri": image,
        "ports": [{"containerPort": _PORT}],
        "predictRoute": _PREDICT,
        "healthRoute": _HEALTH,
        "env": [
            {"name": "INPUT_BUCKET", "value": target.input_bucket},  # instances may refer to objects there
            {"name": "WORK_BUCKET", "value": target.work_bucket},
        ],
    }


def image(connection: Connection) -> str:
    """The image of the deployed GPU service; on the laptop, one that the stack file knows.

    Raises:
        UnreachableError: Cloud Run does not answer or refuses.
    """
    target = connection.target
    if not target.is_cloud:
        return _LAPTOP_IMAGE
    service = f"projects/{target.project}/locations/{target.region}/services/{target.service_prefix}-gpu-service"
    described = api(connection).send("GET", f"{target.run}/v2/{service}")
    deployed: str = described["template"]["containers"][0]["image"]
    return deployed


def account(connection: Connection) -> str | None:
    """The account of the GPU service, which may read the models bucket and objects that instances refer to."""
    target = connection.target
    if not target.is_cloud:
        return None
    return f"{target.service_prefix}-gpu-service@{target.project}.iam.gserviceaccount.com"
