"""Vertex AI's endpoints by REST: deploys a registered version, and takes the earlier ones of its model away."""

import re
from dataclasses import dataclass
from typing import Any

from event_inference.errors import InputError
from event_inference.registry.api import Api
from event_inference.registry.vertex import Version

_NAME = re.compile(r"projects/[^/]+/locations/[a-z0-9-]+/endpoints/[^/]+")
_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,19}")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a replica runs on; `accelerator` is empty for none."""

    type: str = "g2-standard-4"
    accelerator: str = "NVIDIA_L4"
    replicas: int = 1


def resource_name(parent: str, endpoint: str) -> str:
    """The resource name of an endpoint, given by that or by its id. Raises InputError."""
    if _NAME.fullmatch(endpoint):
        return endpoint
    if not _ID.fullmatch(endpoint):
        form = "an id of small letters, digits and hyphens, or projects/P/locations/REGION/endpoints/ID"
        raise InputError(f"The endpoint must be {form}, not {endpoint!r:.200}.")
    return f"{parent}/endpoints/{endpoint}"


def deploy(api: Api, endpoint: str, version: Version, machine: Machine, account: str | None) -> None:
    """Give an endpoint's traffic to a version, after making the endpoint and deploying the version where needed.

    Other versions of the model are undeployed, since each replica is billed.

    Args:
        account: that the container runs as; None for the one that the endpoint gives it.

    Raises:
        InputError: another model is deployed there.
        UnreachableError: Vertex AI refuses, or the container did not become healthy.
    """
    parent, _, identity = endpoint.rpartition("/endpoints/")
    region = api.parent.rpartition("/")[2]
    if endpoint.split("/")[3] != region:
        raise InputError(f"{endpoint} is not in {region}, where the model is registered.")
    present: dict[str, Any] = api.call("GET", endpoint, missing={})
    if not present:
        if identity.isdigit():
            raise InputError(f"There is no endpoint {endpoint}; a new one needs an id that begins with a letter.")
        created = {"displayName": version.name}
        api.finished(api.call("POST", f"{parent}/endpoints", created, query={"endpointId": identity}))
    deployed = present.get("deployedModels", [])
    if other := next((each for each in deployed if _model_id(each["model"]) != _model_id(version.model)), None):
        raise InputError(f"{other['model']} is deployed to {endpoint}; choose another endpoint.")
    same = next((each for each in deployed if each.get("modelVersionId") == version.number), None)
    if same is None:
        body = {"deployedModel": _deployed(version, machine, account), "trafficSplit": {"0": 100}}
        api.finished(api.call("POST", f"{endpoint}:deployModel", body))
    else:
        split = {"trafficSplit": {same["id"]: 100}}
        api.call("PATCH", endpoint, split, query={"updateMask": "trafficSplit"})
    for earlier in deployed:
        if earlier is not same:
            api.finished(api.call("POST", f"{endpoint}:undeployModel", {"deployedModelId": earlier["id"]}))


def _model_id(name: str) -> str:
    """Of a resource name, which may have the project's number or its id."""
    return name.rpartition("/")[2].partition("@")[0]


def _deployed(version: Version, machine: Machine, account: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"machineType": machine.type}
    if machine.accelerator:
        spec |= {"acceleratorType": machine.accelerator, "acceleratorCount": 1}
    replicas = {"minReplicaCount": 1, "maxReplicaCount": machine.replicas}
    deployed: dict[str, Any] = {
        "model": f"{version.model}@{version.number}",
        "displayName": version.name,
        "dedicatedResources": {"machineSpec": spec, **replicas},
    }
    return {**deployed, "serviceAccount": account} if account else deployed
