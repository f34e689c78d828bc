"""The grants of a stack file as the policies of its resources."""

from collections.abc import Sequence

from emulator.iam.policies import EVERYONE, Binding
from emulator.identity.policy import email, local_accounts
from emulator.stack.model import Bucket, Grant, Job, Service, Stack, Subscription, Trigger

INVOKER = "roles/run.invoker"


def policies(stack: Stack) -> dict[str, list[Binding]]:
    """The bindings of each resource that a policy can be attached to, by full name; empty where nothing is granted."""
    bindings: dict[str, list[Binding]] = {name: [] for name in _resources(stack)}
    for grant in _grants(stack):
        bindings.setdefault(resource_name(stack, grant.resource), []).append(_binding(stack, grant))
    return bindings


def resource_name(stack: Stack, resource: str) -> str:
    """The full name of `project`, or of `bucket/NAME`, where other kinds are in the dictionary below.

    A trigger is its subscription, as in the cloud.
    """
    project, (kind, _, name) = f"projects/{stack.project}", resource.partition("/")
    location = f"{project}/locations/{stack.location}"
    return {
        "project": project,
        "bucket": f"projects/_/buckets/{name}",
        "topic": f"{project}/topics/{name}",
        "subscription": f"{project}/subscriptions/{name}",
        "trigger": f"{project}/subscriptions/eventarc-{stack.location}-{name}-sub",
        "service": f"{location}/services/{name}",
        "job": f"{location}/jobs/{name}",
        "account": f"{project}/serviceAccounts/{email(stack, name)}",
    }[kind]


def _resources(stack: Stack) -> list[str]:
    named: dict[str, Sequence[Bucket | Subscription | Trigger | Service | Job]] = {
        "bucket": stack.buckets,
        "subscription": stack.subscriptions,
        "trigger": stack.triggers,
        "service": stack.services,
        "job": stack.jobs,
    }
    resources = ["project", *(f"topic/{name}" for name in stack.topics)]
    resources += [f"account/{name}" for name in local_accounts(stack)]
    resources += [f"{kind}/{entry.name}" for kind, entries in named.items() for entry in entries]
    return [resource_name(stack, resource) for resource in resources]


def _grants(stack: Stack) -> list[Grant]:
    """The file's grants, and the invokers that it lists at services."""
    listed = [
        Grant(member=name, role=INVOKER, resource=f"service/{service.name}")
        for service in stack.services
        for name in service.invokers or ()
    ]
    return [*(stack.iam.grants if stack.iam else ()), *listed]


def _binding(stack: Stack, grant: Grant) -> Binding:
    member = grant.member if grant.member in EVERYONE else f"serviceAccount:{email(stack, grant.member)}"
    binding = {"role": grant.role, "members": [member]}
    if grant.condition:
        return {**binding, "condition": {"title": "stack file", "expression": grant.condition}}
    return binding
