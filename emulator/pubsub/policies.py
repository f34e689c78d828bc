"""IAM policies of topics and subscriptions: kept and returned, never enforced."""

import hashlib

from emulator.pubsub import protos
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.errors import AbortedError, NotFoundError
from emulator.pubsub.protos import Proto
from emulator.pubsub.store import Store


class Policies:
    """The IAMPolicy service: a request in, a response out, `PubSubError` for a refusal."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog, self._store = catalog, store

    def get_iam_policy(self, request: Proto) -> Proto:
        self._check(request.resource)
        return self._policy(request.resource)

    def set_iam_policy(self, request: Proto) -> Proto:
        """Replaces the policy; with an etag, only the one that was read."""
        self._check(request.resource)
        if request.policy.etag not in (b"", self._policy(request.resource).etag):
            raise AbortedError("There were concurrent policy changes. Please retry the whole read-modify-write.")
        policy = protos.Policy(version=request.policy.version, bindings=request.policy.bindings)
        policy.etag = hashlib.sha256(policy.SerializeToString()).digest()[:8]
        self._store.put_policy(request.resource, policy.SerializeToString())
        return policy

    def test_iam_permissions(self, request: Proto) -> Proto:
        """Everybody may do everything."""
        self._check(request.resource)
        return protos.TestIamPermissionsResponse(permissions=request.permissions)

    def _policy(self, resource: str) -> Proto:
        kept = self._store.policy(resource)
        return protos.Policy.FromString(kept) if kept else protos.Policy(etag=b"\0\1")

    def _check(self, resource: str) -> None:
        if resource not in self._catalog.topics and resource not in self._catalog.subscriptions:
            raise NotFoundError(resource)
