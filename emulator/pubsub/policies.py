"""The service google.iam.v1.IAMPolicy: policies of topics and subscriptions, stored but never enforced."""

import hashlib

from emulator.googleapi.errors import AbortedError
from emulator.googleapi.methods import message_method
from emulator.pubsub import protos
from emulator.pubsub.catalog import Catalog, missing
from emulator.pubsub.protos import Proto
from emulator.pubsub.store import Store


class Policies:
    """The methods of the service."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog, self._store = catalog, store

    @message_method("GET /v1/{resource=projects/*/*/*}:getIamPolicy", protos.GetIamPolicyRequest)
    def get_iam_policy(self, request: Proto) -> Proto:
        self._check(request.resource)
        return self._policy(request.resource)

    @message_method("POST /v1/{resource=projects/*/*/*}:setIamPolicy *", protos.SetIamPolicyRequest)
    def set_iam_policy(self, request: Proto) -> Proto:
        """Replace the policy; an etag in the request has to be the present policy's."""
        self._check(request.resource)
        if request.policy.etag not in (b"", self._policy(request.resource).etag):
            raise AbortedError("There were concurrent policy changes. Please retry the whole read-modify-write.")
        policy = protos.Policy(version=request.policy.version, bindings=request.policy.bindings)
        policy.etag = hashlib.sha256(policy.SerializeToString()).digest()[:8]
        self._store.put_policy(request.resource, policy.SerializeToString())
        return policy

    @message_method("POST /v1/{resource=projects/*/*/*}:testIamPermissions *", protos.TestIamPermissionsRequest)
    def test_iam_permissions(self, request: Proto) -> Proto:
        """Every caller has every permission."""
        self._check(request.resource)
        return protos.TestIamPermissionsResponse(permissions=request.permissions)

    def _policy(self, resource: str) -> Proto:
        stored = self._store.policy(resource)
        return protos.Policy.FromString(stored) if stored else protos.Policy(etag=b"\0\1")

    def _check(self, resource: str) -> None:
        if resource not in self._catalog.topics and resource not in self._catalog.subscriptions:
            raise missing(resource)
