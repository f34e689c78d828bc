"""The models that a pipeline serves."""

import json
from typing import Any

from event_inference.access.clients import Connection
from event_inference.access.services import authorized
from event_inference.errors import UnreachableError
from event_inference.targets.target import Target

_GPU_SERVICE = "gpu-service"
_TIMEOUT_S = 30


def served(connection: Connection) -> list[dict[str, Any]]:
    """`{name, version, task, source, …}` of each.

    Raises:
        UnreachableError: a cloud serves the models of its image, which only the image names; or the local stack has
            no GPU service.
    """
    return _of_registry(connection) if connection.target.is_cloud else _of_service(connection.target)


def _of_registry(connection: Connection) -> list[dict[str, Any]]:
    from google.api_core.exceptions import NotFound

    bucket = connection.target.models_bucket
    try:
        profiles = json.loads(connection.storage.bucket(bucket).blob("models.json").download_as_bytes())
    except NotFound as error:
        raise UnreachableError(
            f"gs://{bucket}/models.json does not exist, so the models in the image are served. See them with: "
            f"gcloud run services logs read {connection.target.service_prefix}-gpu-service"
        ) from error
    profiles.pop("routes", None)  # the rules, which are for all profiles
    return [{"profile": profile, "version": "1", **model} for profile, listed in profiles.items() for model in listed]


def _of_service(target: Target) -> list[dict[str, Any]]:
    answer = authorized(target, _GPU_SERVICE, "GET", "/models", timeout=_TIMEOUT_S)
    if not answer.ok:
        raise UnreachableError(f"{_GPU_SERVICE} answered {answer.status_code}: {answer.text.strip()}")
    listed: list[dict[str, Any]] = answer.json()["models"]
    return listed
