"""Who calls an API, and whether they may: the APIs ask here, and `emulator.iam` says who the caller is.

The caller is a context variable, which each request sets for itself. None is the owner, who may do everything: the
developer, and the emulator in its own work.
"""

from contextvars import ContextVar
from typing import Protocol


class DeniedError(Exception):
    """The caller lacks a permission on a resource.

    Attributes:
        account: the caller's e-mail address, empty for a caller without identity.
        permission: such as `storage.objects.get`.
        resource: its full name, such as `projects/_/buckets/B/objects/O` or `projects/P/topics/T`.
    """

    def __init__(self, account: str, permission: str, resource: str) -> None:
        super().__init__(f"{account or 'an anonymous caller'} lacks {permission} on {resource}")
        self.account, self.permission, self.resource = account, permission, resource


class Caller(Protocol):
    """Someone who calls an API; `email` is empty without identity."""

    @property
    def email(self) -> str: ...

    def may(self, permission: str, resource: str) -> bool:
        """Whether the caller has a permission on a resource."""
        ...

    def denied(self, permission: str, resource: str) -> DeniedError:
        """The error to raise, which the emulator's log then has."""
        ...


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def may(permission: str, resource: str) -> bool:
    """Whether the caller of the present request has a permission on a resource."""
    caller = CALLER.get()
    return caller is None or caller.may(permission, resource)


def require(permission: str, resource: str) -> None:
    """Raise DeniedError unless the caller of the present request has a permission on a resource."""
    caller = CALLER.get()
    if caller is not None and not caller.may(permission, resource):
        raise caller.denied(permission, resource)
