"""Endpoints: which models are deployed to each, and how its traffic is split among them."""

import re
from collections.abc import Callable
from functools import partial

from emulator.googleapi import paging
from emulator.googleapi.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from emulator.googleapi.filters import Field, compile_filter
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import json_method, require
from emulator.googleapi.timestamps import rfc3339
from emulator.vertex_ai import fields
from emulator.vertex_ai.deployments import Deployments
from emulator.vertex_ai.operations import EMPTY, TYPE, Operations, new_id
from emulator.vertex_ai.store import Store

_LOCATION = "projects/*/locations/*"
_ENDPOINT = f"{_LOCATION}/endpoints/*"
_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_DEPLOYED_ID = re.compile(r"[0-9]{1,20}")
_CHANGEABLE = "displayName description labels trafficSplit"
_GIVEN = "displayName description labels encryptionSpec"
_FILTERED = (
    Field("displayName", "string"),
    Field("endpoint", "string"),
    Field("endpointId", "string"),
    Field("labels", "map"),
    Field("createTime", "time"),
    Field("updateTime", "time"),
)
_DEPLOYED = "id model displayName dedicatedResources serviceAccount disableContainerLogging enableAccessLogging"


class Endpoints:
    """The methods of the service, except for predictions.

    Args:
        version: the version of a model, by its resource name.
        now: nanoseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        operations: Operations,
        deployments: Deployments,
        version: Callable[[str], Json],
        now: Callable[[], int],
    ) -> None:
        self._store, self._operations, self._deployments = store, operations, deployments
        self._version, self._now = version, now

    @json_method(
        f"POST /v1/{{parent={_LOCATION}}}/endpoints endpoint",
        read_body=partial(fields.read, "endpoint"),
        needs="aiplatform.endpoints.create",
    )
    def create(self, parent: str, endpoint: Json, endpoint_id: str = "") -> Json:
        """Create an endpoint and return the operation.

        Raises:
            AlreadyExistsError: the id is taken.
            InvalidArgumentError: a field breaks a rule.
        """
        if endpoint_id and not _ID.fullmatch(endpoint_id):
            form = "small letters, digits and hyphens, beginning with a letter, or up to nine digits"
            raise InvalidArgumentError(f"endpointId {endpoint_id!r:.200} must have {form}", field="endpoint_id")
        name = f"{parent}/endpoints/{endpoint_id or new_id()}"
        if self._store.endpoint(name):
            raise AlreadyExistsError(f"The Endpoint {name} already exists.")
        if not endpoint.get("displayName"):
            raise InvalidArgumentError("endpoint.displayName is required", field="endpoint.display_name")
        time = rfc3339(self._now())
        given = {key: value for key, value in endpoint.items() if key in _GIVEN.split()}
        created = {"name": name, **given, "createTime": time, "updateTime": time}
        with self._store.transaction():
            self._store.write_endpoint(created)
            return self._operations.done(name, "CreateEndpoint", {"@type": f"{TYPE}Endpoint", **created})

    @json_method(f"GET /v1/{{name={_ENDPOINT}}}", needs="aiplatform.endpoints.get")
    def get(self, name: str) -> Json:
        """Raises NotFoundError."""
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            raise NotFoundError(f"The Endpoint {name} does not exist.")
        return endpoint

    @json_method(f"GET /v1/{{parent={_LOCATION}}}/endpoints", needs="aiplatform.endpoints.list")
    def page(
        self,
        parent: str,
        *,
        filter: str = "",
        order_by: str = "",
        page_size: str | int = 0,
        page_token: str = "",
    ) -> Json:
        """A page of a location's endpoints, the latest first."""
        keep = compile_filter(filter, _FILTERED)
        ordering = paging.parse_order(order_by, ("displayName", "createTime", "updateTime"))
        kept = paging.selection(self._store.endpoints(parent), _record, keep, ordering)
        size = paging.page_size(page_size, default=100, largest=1000)
        return paging.listing("endpoints", *paging.page(kept, size, page_token, parent, filter, order_by))

    @json_method(
        f"PATCH /v1/{{endpoint.name={_ENDPOINT}}} endpoint",
        read_body=partial(fields.read, "endpoint"),
        needs="aiplatform.endpoints.update",
    )
    def update(self, endpoint: Json, update_mask: str = "") -> Json:
        """Change the fields that the mask names."""
        current = self.get(endpoint["name"])
        for path in fields.mask(update_mask, _CHANGEABLE):
            current.pop(path, None)
            if path == "trafficSplit":
                current[path] = fields.traffic_split(endpoint.get(path, {}), _deployed_ids(current))
            elif path in endpoint:
                current[path] = endpoint[path]
        if not current.get("displayName"):
            raise InvalidArgumentError("endpoint.displayName is required", field="endpoint.display_name")
        return self._write(current)

    @json_method(
        f"POST /v1/{{endpoint={_ENDPOINT}}}:deployModel *",
        read_body=partial(fields.request, known="deployedModel trafficSplit"),
        needs="aiplatform.endpoints.deploy",
    )
    def deploy_model(self, endpoint: str, deployed_model: Json, traffic_split: Json | None = None) -> Json:
        """Deploy a version of a model and return the operation, which ends when its container is healthy.

        Raises:
            NotFoundError: the endpoint or the model does not exist.
            InvalidArgumentError: a field breaks a rule.
        """
        current, given = self.get(endpoint), fields.read("deployedModel", deployed_model)
        if "model" not in given:
            raise InvalidArgumentError("deployedModel.model is required", field="deployed_model.model")
        _check_resources(given)
        version = self._version(given["model"])
        taken = _deployed_ids(current)
        deployed = {
            **{key: value for key, value in given.items() if key in _DEPLOYED.split()},
            "id": _unused_id(given.get("id"), taken),
            "model": version["name"],
            "modelVersionId": version["versionId"],
            "displayName": given.get("displayName") or version["displayName"],
            "createTime": rfc3339(self._now()),
        }
        if account := given.get("serviceAccount"):
            project = "/".join(endpoint.split("/")[:2])
            require("iam.serviceAccounts.actAs", f"{project}/serviceAccounts/{account}")
        self._deployments.check(version, deployed)
        split = fields.traffic_split(traffic_split or {}, taken | {"0"})
        return self._deployments.deploy(endpoint, deployed, split)

    @json_method(
        f"POST /v1/{{endpoint={_ENDPOINT}}}:undeployModel *",
        read_body=partial(fields.request, known="deployedModelId trafficSplit"),
        needs="aiplatform.endpoints.undeploy",
    )
    def undeploy_model(self, endpoint: str, deployed_model_id: str, traffic_split: Json | None = None) -> Json:
        """Take a deployed model away and return the operation, which ends when its container has stopped.

        Raises:
            NotFoundError: the endpoint or the deployed model does not exist.
            FailedPreconditionError: the model has a share of the traffic.
        """
        current = self.get(endpoint)
        left = [deployed for deployed in current.get("deployedModels", ()) if deployed["id"] != deployed_model_id]
        if len(left) == len(current.get("deployedModels", ())):
            raise NotFoundError(f"The Endpoint {endpoint} has no deployed model {deployed_model_id}.")
        current["deployedModels"] = left
        if traffic_split:
            current["trafficSplit"] = fields.traffic_split(traffic_split, _deployed_ids(current))
        if left and deployed_model_id in current.get("trafficSplit", {}):
            raise FailedPreconditionError(
                f"The deployed model {deployed_model_id} has traffic; give its share to others with trafficSplit."
            )
        if not left:
            current["trafficSplit"] = {}
        self._write(current)
        return self._deployments.undeploy(endpoint, deployed_model_id)

    @json_method(f"DELETE /v1/{{name={_ENDPOINT}}}", needs="aiplatform.endpoints.delete")
    def delete(self, name: str) -> Json:
        """Delete an endpoint and return the operation.

        Raises:
            FailedPreconditionError: a model is deployed to it.
        """
        if self.get(name).get("deployedModels"):
            raise FailedPreconditionError(f"The Endpoint {name} has deployed models; undeploy them first.")
        with self._store.transaction():
            self._store.delete_endpoint(name)
            return self._operations.done(name, "Delete", {"@type": EMPTY})

    def _write(self, endpoint: Json) -> Json:
        endpoint["updateTime"] = rfc3339(self._now())
        self._store.write_endpoint(endpoint)
        return endpoint


def _record(endpoint: Json) -> Json:
    identity = endpoint["name"].rsplit("/", 1)[1]
    return {"labels": {}, **endpoint, "endpointId": identity, "endpoint": identity}


def _deployed_ids(endpoint: Json) -> set[str]:
    return {deployed["id"] for deployed in endpoint.get("deployedModels", ())}


def _unused_id(requested: str | None, taken: set[str]) -> str:
    if requested is not None and not _DEPLOYED_ID.fullmatch(requested):
        raise InvalidArgumentError(f"deployedModel.id {requested!r:.200} must consist of digits")
    if requested in taken:
        raise AlreadyExistsError(f"The endpoint has a deployed model {requested}.")
    return requested or new_id()


def _check_resources(deployed: Json) -> None:
    resources = deployed.get("dedicatedResources")
    if resources is None:
        raise InvalidArgumentError(
            "deployedModel.dedicatedResources is required: the model supports no other resources",
            field="deployed_model.dedicated_resources",
        )
    least, most = resources.get("minReplicaCount", 0), resources.get("maxReplicaCount", 0)
    if type(least) is not int or least < 1:
        raise InvalidArgumentError("dedicatedResources.minReplicaCount must be 1 or more in v1: nothing scales to zero")
    if type(most) is not int or (most and most < least):
        raise InvalidArgumentError("dedicatedResources.maxReplicaCount must not be less than minReplicaCount")
    if not resources.get("machineSpec", {}).get("machineType"):
        raise InvalidArgumentError("dedicatedResources.machineSpec.machineType is required")
