"""The policies of the project, of service accounts, and of Cloud Run's services and jobs, over REST."""

import hashlib
import json
from typing import Any

from google.iam.v1 import iam_policy_pb2, policy_pb2

from emulator import access
from emulator.googleapi.errors import AbortedError, NotFoundError
from emulator.googleapi.messages import Json, Message, as_json, write
from emulator.googleapi.methods import OPEN, MessageMethod, Method, require
from emulator.iam.policies import Policies

_GET: Any = vars(iam_policy_pb2)["GetIamPolicyRequest"]
_SET: Any = vars(iam_policy_pb2)["SetIamPolicyRequest"]
_TEST: Any = vars(iam_policy_pb2)["TestIamPermissionsRequest"]
_TESTED: Any = vars(iam_policy_pb2)["TestIamPermissionsResponse"]
_POLICY: Any = vars(policy_pb2)["Policy"]
# Resources, and the HTTP method and body of getIamPolicy, which differ between Google's services.
_RESOURCES = {
    "/v1/{resource=projects/*}": "POST *",
    "/v1/{resource=projects/*/serviceAccounts/*}": "POST *",
    "/v2/{resource=projects/*/locations/*/services/*}": "GET",
    "/v2/{resource=projects/*/locations/*/jobs/*}": "GET",
}


class IamPolicies:
    """Reads, replaces and tries policies; changes last until the emulator ends."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def methods(self) -> list[Method]:
        """The methods of every kind of resource."""
        declared: list[Method] = []
        for resource, reading in _RESOURCES.items():
            verb, _, body = reading.partition(" ")
            declared += [
                MessageMethod(self._get, f"{verb} {resource}:getIamPolicy {body}", _GET, needs=OPEN),
                MessageMethod(self._set, f"POST {resource}:setIamPolicy *", _SET, needs=OPEN),
                MessageMethod(self._test, f"POST {resource}:testIamPermissions *", _TEST, needs=OPEN),
            ]
        return declared

    def _get(self, request: Message) -> Message:
        require(f"{_kind(request.resource)}.getIamPolicy", request.resource)
        return self._policy(request.resource)

    def _set(self, request: Message) -> Message:
        """Replace a policy; an etag in the request has to be the present policy's."""
        require(f"{_kind(request.resource)}.setIamPolicy", request.resource)
        if request.policy.etag not in (b"", self._policy(request.resource).etag):
            raise AbortedError("There were concurrent policy changes. Please retry the whole read-modify-write.")
        self._policies.set(request.resource, as_json(request.policy).get("bindings", []))
        return self._policy(request.resource)

    def _test(self, request: Message) -> Message:
        """Those of the permissions that the caller has."""
        return _TESTED(permissions=[each for each in request.permissions if access.may(each, request.resource)])

    def _policy(self, resource: str) -> Message:
        if not self._policies.knows(resource):
            raise NotFoundError(f"Resource '{resource}' was not found")
        bindings: list[Json] = self._policies.bindings(resource)
        policy = write(_POLICY, {"version": 3, "bindings": bindings})
        policy.etag = hashlib.sha256(json.dumps(bindings, sort_keys=True).encode()).digest()[:8]
        return policy


def _kind(resource: str) -> str:
    """The prefix of the permissions on a resource's policy."""
    if "/serviceAccounts/" in resource:
        return "iam.serviceAccounts"
    if "/locations/" not in resource:
        return "resourcemanager.projects"
    return "run.jobs" if "/jobs/" in resource else "run.services"
