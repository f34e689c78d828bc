"""The IAM policies of all resources, as bindings of Google's form, and the grants that follow from them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.iam import conditions
from emulator.iam.conditions import Condition, ConditionError
from emulator.iam.roles import ROLES

logger = logging.getLogger(__name__)

EVERYONE = ("allUsers", "allAuthenticatedUsers")
_SERVICE_ACCOUNT = "serviceAccount:"
_UNUSED = ("roles/storage.legacyBucketOwner",)  # of new buckets, for the project's owners

Binding = dict[str, Any]  # {role, members, condition: {expression}}


@dataclass(frozen=True)
class Grant:
    """A role of one member on one resource.

    Attributes:
        member: an e-mail address, `allUsers` or `allAuthenticatedUsers`.
        condition: whether the grant covers a resource of this name; None covers every one.
    """

    member: str
    role: str
    permissions: frozenset[str]
    condition: Condition | None = None


class Policies:
    """The bindings of each resource, by its full name.

    Args:
        project: the project that contains every resource.
        roles: permissions of roles besides Google's own.
    """

    def __init__(self, project: str, roles: Mapping[str, Iterable[str]] | None = None) -> None:
        self.project = f"projects/{project}"
        self.roles = {**ROLES, **{role: frozenset(permissions) for role, permissions in (roles or {}).items()}}
        self.on_change: Callable[[], None] = lambda: None
        self._bindings: dict[str, list[Binding]] = {}
        self._grants: dict[str, tuple[Grant, ...]] = {}

    def knows(self, resource: str) -> bool:
        """Whether the resource has a policy, be it empty."""
        return resource in self._bindings

    def bindings(self, resource: str) -> list[Binding]:
        return self._bindings.get(resource, [])

    def set(self, resource: str, bindings: Iterable[Binding]) -> None:
        """Replace a resource's policy; a role or a condition that the emulator does not know grants nothing."""
        self._bindings[resource] = list(bindings)
        self._grants[resource] = tuple(self._granted(self._bindings[resource]))
        self.on_change()

    def grants(self, resource: str) -> list[Grant]:
        """The grants on a resource and on everything that contains it."""
        return [grant for each in self._lineage(resource) for grant in self._grants.get(each, ())]

    def _lineage(self, resource: str) -> Iterable[str]:
        if resource.startswith("projects/_/"):
            yield resource
            yield self.project
            return
        parts = resource.split("/")
        for end in range(len(parts), 1, -2):
            yield "/".join(parts[:end])

    def _granted(self, bindings: Iterable[Binding]) -> Iterable[Grant]:
        for binding in bindings:
            role = binding["role"]
            try:
                condition = _condition(binding.get("condition"))
            except ConditionError as error:
                logger.warning("grant ignored", extra={"role": role, "why": str(error)})
                continue
            if role not in self.roles and role not in _UNUSED:
                logger.warning("grant ignored", extra={"role": role, "why": "list its permissions under iam.roles"})
            for member in map(str, binding.get("members", ())):
                if member.startswith(_SERVICE_ACCOUNT) or member in EVERYONE:
                    email = member.removeprefix(_SERVICE_ACCOUNT)
                    yield Grant(email, role, self.roles.get(role, frozenset()), condition)


def _condition(condition: Any) -> Condition | None:
    if not condition:
        return None
    return conditions.parse(str(condition.get("expression", "")) if isinstance(condition, dict) else str(condition))


def policy_holder(resource: str) -> str:
    """The resource itself, or for an object its bucket, whose policy decides."""
    return resource.partition("/objects/")[0] if resource.startswith("projects/_/") else resource
