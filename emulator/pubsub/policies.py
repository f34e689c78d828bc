"""The service google.iam.v1.IAMPolicy: the policies of topics and subscriptions."""

import hashlib
from collections.abc import Callable, Sequence

from emulator import access
from emulator.googleapi.errors import AbortedError
from emulator.googleapi.messages import Json, as_json, write
from emulator.googleapi.methods import OPEN, message_method, require
from emulator.pubsub import protos
from emulator.pubsub.catalog import Catalog, missing
from emulator.pubsub.protos import Proto
from emulator.pubsub.store import Store


class Policies:
    """The methods of the service.

    Attributes:
        on_change: called with a resource and its new bindings in JSON.
    """

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog, self._store = catalog, store
        self.on_change: Callable[[str, Sequence[Json]], None] = lambda _, __: None
        catalog.on_delete = lambda resource: self.on_change(resource, [])

    @message_method("GET /v1/{resource=projects/*/*/*}:getIamPolicy", protos.GetIamPolicyRequest, needs=OPEN)
    def get_iam_policy(self, request: Proto) -> Proto:
        self._check(request.resource, "getIamPolicy")
        return self._policy(request.resource)

    @message_method("POST /v1/{resource=projects/*/*/*}:setIamPolicy *", protos.SetIamPolicyRequest, needs=OPEN)
    def set_iam_policy(self, request: Proto) -> Proto:
        """Replace the policy; an etag in the request has to be the present policy's."""
        self._check(request.resource, "setIamPolicy")
        if request.policy.etag not in (b"", self._policy(request.resource).etag):
            raise AbortedError("There were concurrent policy changes. Please retry the whole read-modify-write.")
        policy = protos.Policy(version=request.policy.version, bindings=request.policy.bindings)
        self._put(request.resource, policy)
        return policy

    @message_method(
        "POST /v1/{resource=projects/*/*/*}:testIamPermissions *", protos.TestIamPermissionsRequest, needs=OPEN
    )
    def test_iam_permissions(self, request: Proto) -> Proto:
        """Those of the permissions that the caller has."""
        self._check(request.resource)
        held = [permission for permission in request.permissions if access.may(permission, request.resource)]
        return protos.TestIamPermissionsResponse(permissions=held)

    def bindings(self, resource: str) -> list[Json]:
        """The bindings of a topic or subscription in JSON."""
        return list(as_json(self._policy(resource)).get("bindings", []))

    def replace(self, resource: str, bindings: Sequence[Json]) -> None:
        """Set the bindings of a topic or subscription, whatever its policy was."""
        self._put(resource, write(protos.Policy, {"version": 3, "bindings": list(bindings)}))

    def _put(self, resource: str, policy: Proto) -> None:
        policy.etag = hashlib.sha256(policy.SerializeToString()).digest()[:8]
        self._store.put_policy(resource, policy.SerializeToString())
        self.on_change(resource, self.bindings(resource))

    def _policy(self, resource: str) -> Proto:
        stored = self._store.policy(resource)
        return protos.Policy.FromString(stored) if stored else protos.Policy(etag=b"\0\1")

    def _check(self, resource: str, action: str = "") -> None:
        kind = "subscriptions" if "/subscriptions/" in resource else "topics"
        if action:
            require(f"pubsub.{kind}.{action}", resource)
        if resource not in self._catalog.topics and resource not in self._catalog.subscriptions:
            raise missing(resource)
