"""Decides what each account may do by the policies, and reports every refusal."""

import logging

from emulator.access import DeniedError
from emulator.iam.conditions import Condition
from emulator.iam.policies import EVERYONE, Policies, policy_holder
from emulator.iam.roles import granting

logger = logging.getLogger(__name__)

_MAX_DECISIONS = 10_000
_Decision = bool | tuple[Condition, ...]  # whether, or under which conditions


class Account:
    """A service account as a caller; its decisions are kept until a policy changes.

    Args:
        email: its address; empty for a caller without identity, who has only what everyone has.
    """

    def __init__(self, email: str, policies: Policies) -> None:
        self.email, self._policies = email, policies
        self.decisions: dict[tuple[str, str], _Decision] = {}
        self.refusals: set[tuple[str, str]] = set()

    def may(self, permission: str, resource: str) -> bool:
        key, decisions = (permission, policy_holder(resource)), self.decisions
        decision = decisions.get(key)
        if decision is None:
            if len(decisions) >= _MAX_DECISIONS:
                decisions.clear()
            decision = decisions[key] = self._decide(*key)
        return decision if isinstance(decision, bool) else any(condition(resource) for condition in decision)

    def denied(self, permission: str, resource: str) -> DeniedError:
        """Each missing permission is a warning, and so on the terminal, only once."""
        key = permission, policy_holder(resource)
        level = logging.INFO if key in self.refusals else logging.WARNING
        if len(self.refusals) < _MAX_DECISIONS:
            self.refusals.add(key)
        logger.log(
            level,
            "permission denied",
            extra={
                "account": self.email or "anonymous",
                "permission": permission,
                "role": granting(permission) or "none of the emulator's",
                "resource": resource,
            },
        )
        return DeniedError(self.email, permission, resource)

    def _decide(self, permission: str, resource: str) -> _Decision:
        members = {self.email, *EVERYONE} if self.email else {EVERYONE[0]}
        conditions = []
        for grant in self._policies.grants(resource):
            if permission in grant.permissions and grant.member in members:
                if grant.condition is None:
                    return True
                conditions.append(grant.condition)
        return tuple(conditions) or False


class Authority:
    """The accounts that the policies are about."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies
        self._accounts: dict[str, Account] = {}
        policies.on_change = self._forget

    def account(self, email: str) -> Account:
        """The account with this address; "" is a caller without identity."""
        if email not in self._accounts:
            self._accounts[email] = Account(email, self.policies)
        return self._accounts[email]

    def _forget(self) -> None:
        for account in self._accounts.values():
            account.decisions = {}
            account.refusals = set()
