"""The policies of the project, of service accounts, and of Cloud Run's services and jobs, over REST."""

import hashlib
import json
from typing import Any

from google.iam.v1 import iam_policy_pb2, policy_pb2

from emulator import access
from emulator.googleapi.errors import AbortedError, NotFoundError
from emulator.googleapi.messages import Json, Message, as_json, write
from emulator.googleapi.methods import message_method, require
from emulator.iam.policies import Policies

_GET: Any = vars(iam_policy_pb2)["GetIamPolicyRequest"]
_SET: Any = vars(iam_policy_pb2)["SetIamPolicyRequest"]
_TEST: Any = vars(iam_policy_pb2)["TestIamPermissionsRequest"]
_POLICY: Any = vars(policy_pb2)["Policy"]
_PROJECT = "resource=projects/*"
_ACCOUNT = "resource=projects/*/serviceAccounts/*"
_SERVICE = "resource=projects/*/locations/*/services/*"
_JOB = "resource=projects/*/locations/*/jobs/*"


class IamPolicies:
    """The methods, whose changes last until the emulator ends."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    @message_method(f"POST /v1/{{{_PROJECT}}}:getIamPolicy *", _GET)
    def get_project_policy(self, request: Message) -> Message:
        return self._get(request)

    @message_method(f"POST /v1/{{{_PROJECT}}}:setIamPolicy *", _SET)
    def set_project_policy(self, request: Message) -> Message:
        return self._set(request)

    @message_method(f"POST /v1/{{{_PROJECT}}}:testIamPermissions *", _TEST)
    def test_project_permissions(self, request: Message) -> Message:
        return self._test(request)

    @message_method(f"POST /v1/{{{_ACCOUNT}}}:getIamPolicy *", _GET)
    def get_account_policy(self, request: Message) -> Message:
        return self._get(request)

    @message_method(f"POST /v1/{{{_ACCOUNT}}}:setIamPolicy *", _SET)
    def set_account_policy(self, request: Message) -> Message:
        return self._set(request)

    @message_method(f"POST /v1/{{{_ACCOUNT}}}:testIamPermissions *", _TEST)
    def test_account_permissions(self, request: Message) -> Message:
        return self._test(request)

    @message_method(f"GET /v2/{{{_SERVICE}}}:getIamPolicy", _GET)
    def get_service_policy(self, request: Message) -> Message:
        return self._get(request)

    @message_method(f"POST /v2/{{{_SERVICE}}}:setIamPolicy *", _SET)
    def set_service_policy(self, request: Message) -> Message:
        return self._set(request)

    @message_method(f"POST /v2/{{{_SERVICE}}}:testIamPermissions *", _TEST)
    def test_service_permissions(self, request: Message) -> Message:
        return self._test(request)

    @message_method(f"GET /v2/{{{_JOB}}}:getIamPolicy", _GET)
    def get_job_policy(self, request: Message) -> Message:
        return self._get(request)

    @message_method(f"POST /v2/{{{_JOB}}}:setIamPolicy *", _SET)
    def set_job_policy(self, request: Message) -> Message:
        return self._set(request)

    @message_method(f"POST /v2/{{{_JOB}}}:testIamPermissions *", _TEST)
    def test_job_permissions(self, request: Message) -> Message:
        return self._test(request)

    def _get(self, request: Message) -> Message:
        require(f"{_kind(request.resource)}.getIamPolicy", request.resource)
        return self._policy(request.resource)

    def _set(self, request: Message) -> Message:
        require(f"{_kind(request.resource)}.setIamPolicy", request.resource)
        if request.policy.etag not in (b"", self._policy(request.resource).etag):
            raise AbortedError("There were concurrent policy changes. Please retry the whole read-modify-write.")
        self._policies.set(request.resource, as_json(request.policy).get("bindings", []))
        return self._policy(request.resource)

    def _test(self, request: Message) -> Message:
        held = [permission for permission in request.permissions if access.may(permission, request.resource)]
        return vars(iam_policy_pb2)["TestIamPermissionsResponse"](permissions=held)

    def _policy(self, resource: str) -> Message:
        if not self._policies.knows(resource):
            raise NotFoundError(f"Resource '{resource}' was not found")
        bindings: list[Json] = [dict(binding) for binding in self._policies.bindings(resource)]
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
