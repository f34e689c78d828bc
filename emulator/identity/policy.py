"""Who may invoke which service, by the stack file, as roles/run.invoker says it in the cloud."""

from collections.abc import Iterator

from emulator.stack.model import DEVELOPER, Service, Stack

EVERYONE = "allUsers"


def email(stack: Stack, account: str) -> str:
    """The e-mail address of a service account that the stack file names by its short name, or in full."""
    return account if "@" in account else f"{account}@{stack.project}.iam.gserviceaccount.com"


def invokers(stack: Stack, service: Service) -> frozenset[str] | None:
    """The e-mail addresses of who may call a service, None where everybody may, without a token."""
    if service.invokers is None:
        names = set(_callers(stack, service))
    elif EVERYONE in service.invokers:
        return None
    else:
        names = set(service.invokers)
    return frozenset(email(stack, name) for name in names)


def accounts(stack: Stack) -> frozenset[str]:
    """Every service account that the stack knows; each service runs as one of its own name."""
    names = {DEVELOPER, *(service.name for service in stack.services)}
    for service in stack.services:
        names |= set(service.invokers or ()) - {EVERYONE}
    names |= {trigger.service_account for trigger in stack.triggers}
    names |= {workflow.service_account for workflow in stack.workflows}
    return frozenset(email(stack, name) for name in names)


def _callers(stack: Stack, service: Service) -> Iterator[str]:
    """Who may call a service that doesn't say so: its triggers, every workflow, the developer."""
    yield DEVELOPER
    yield from (trigger.service_account for trigger in stack.triggers if trigger.service == service.name)
    yield from (workflow.service_account for workflow in stack.workflows)
