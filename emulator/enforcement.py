"""Enforces the IAM section of a stack: seeds the policies, and gives every account ports of its own."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import grpc.aio
from starlette.routing import Route
from starlette.types import ASGIApp

from emulator import ports
from emulator.googleapi import rest
from emulator.iam.authority import Authority
from emulator.iam.policies import Policies
from emulator.iam.service import IamPolicies
from emulator.identity import grants, policy
from emulator.identity.callers import Callers, Identified, IdentifiedRpc, Invokers
from emulator.identity.gate import Gate
from emulator.identity.tokens import TokenIssuer
from emulator.pubsub import PubSub
from emulator.stack.model import DEVELOPER, Address, Service, Stack
from emulator.storage import Store

_EVERY = 1 << 31  # buckets

OpenServer = Callable[[AsyncExitStack, grpc.aio.ServerInterceptor], Awaitable[str]]


class Enforcement:
    """The accounts of a stack, their ports and what they may do.

    Attributes:
        addresses: where each account finds the APIs, by its name in the stack file; complete after `open_rpc`.
        anonymous: `host:port` where a caller without an access token is nobody.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._policies = Policies(stack.project, stack.iam.roles if stack.iam else {})
        self._authority = Authority(self._policies)
        self._owner = policy.email(stack, DEVELOPER)
        self._http: dict[str, socket.socket] = {}
        self.addresses: dict[str, Address] = {}
        self.anonymous = ""

    @property
    def sockets(self) -> list[socket.socket]:
        """The sockets of all accounts, to be served by the application that `identified` returns."""
        return list(self._http.values())

    def listen(self, opened: AsyncExitStack) -> None:
        """Bind the HTTP ports of every account, and one for callers without identity."""
        for account in ["", *policy.local_accounts(self._stack)]:
            bound = ports.listen(0, f"the HTTP APIs for {account}", "")
            opened.callback(bound.close)
            self._http[account] = bound
        self.anonymous = _address(self._http[""])

    async def open_rpc(self, opened: AsyncExitStack, open_server: OpenServer) -> None:
        """Serve the gRPC APIs for every account."""
        for account in policy.local_accounts(self._stack):
            caller = self._authority.account(policy.email(self._stack, account))
            address = await open_server(opened, IdentifiedRpc(caller))
            self.addresses[account] = Address(_address(self._http[account]), address)

    def identified(self, app: ASGIApp, issuer: TokenIssuer) -> ASGIApp:
        """The application behind the check who calls."""
        doors = {
            bound.getsockname()[1]: policy.email(self._stack, account) if account else ""
            for account, bound in self._http.items()
        }
        return Identified(app, Callers(self._authority, issuer, self._owner, doors))

    def gate(self, service: Service, url: str, issuer: TokenIssuer) -> Gate:
        """The gate of a service, which admits whom the service's policy admits."""
        resource = grants.resource_name(self._stack, f"service/{service.name}")
        invokers = Invokers(self._authority, resource, self._owner)
        return Gate(issuer, url, invokers, refused=invokers.report)

    def permits(self, email: str, permission: str, resource: str) -> bool:
        """Whether an account has a permission for what the emulator does in its name; reported if not."""
        account = self._authority.account(email)
        if account.may(permission, resource):
            return True
        account.denied(permission, resource)
        return False

    def apply(self, store: Store, pubsub: PubSub) -> None:
        """Give every resource of the stack the policy that the stack file says, and follow later changes.

        Policies of other buckets, topics and subscriptions are those of an earlier run.
        """
        store.policies.on_change = self._policies.set
        pubsub.policies.on_change = self._policies.set
        declared = grants.policies(self._stack)
        for bucket in store.buckets.listing(limit=_EVERY):
            if (name := f"projects/_/buckets/{bucket.name}") not in declared:
                self._policies.set(name, store.policies.get(bucket.name)["bindings"])
        for name in pubsub.names():
            if name not in declared:
                self._policies.set(name, pubsub.policies.bindings(name))
        for name, bindings in declared.items():
            if name.startswith("projects/_/buckets/"):
                store.policies.set(name.rpartition("/")[2], {"version": 3, "bindings": bindings})
            elif "/topics/" in name or "/subscriptions/" in name:
                pubsub.policies.replace(name, bindings)
            else:
                self._policies.set(name, bindings)

    def routes(self) -> list[Route]:
        """The REST routes for the policies that no API of the emulator has."""
        return rest.routes(IamPolicies(self._policies).methods())


def _address(bound: socket.socket) -> str:
    return f"{ports.HOST}:{bound.getsockname()[1]}"
