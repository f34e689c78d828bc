"""The accounts that may invoke each service by the stack file, as roles/run.invoker grants it in the cloud."""

from collections.abc import Iterator

from emulator.stack.model import DEVELOPER, PROJECT_NUMBER, Service, Stack

EVERYONE = "allUsers"
STORAGE_AGENT, PUBSUB_AGENT = "agent/storage", "agent/pubsub"
_AGENTS = {
    STORAGE_AGENT: "gs-project-accounts.iam.gserviceaccount.com",
    PUBSUB_AGENT: "gcp-sa-pubsub.iam.gserviceaccount.com",
}


def email(stack: Stack, account: str) -> str:
    """The e-mail address of a service account or of a service agent of Google, as the stack file abbreviates them."""
    if account in _AGENTS:
        return f"service-{PROJECT_NUMBER}@{_AGENTS[account]}"
    return account if "@" in account else f"{account}@{stack.project}.iam.gserviceaccount.com"


def invokers(stack: Stack, service: Service) -> frozenset[str] | None:
    """The e-mail addresses of the accounts that may call a service, None if it accepts calls without a token."""
    if service.invokers is None:
        names = set(_callers(stack, service))
    elif EVERYONE in service.invokers:
        return None
    else:
        names = set(service.invokers)
    return frozenset(email(stack, name) for name in names)


def accounts(stack: Stack) -> frozenset[str]:
    """Every service account of the stack; each service and each job runs as the account of its own name."""
    names = {DEVELOPER, *local_accounts(stack)}
    for service in stack.services:
        names |= set(service.invokers or ()) - {EVERYONE}
    return frozenset(email(stack, name) for name in names)


def local_accounts(stack: Stack) -> list[str]:
    """The accounts as which parts of the stack call the APIs, by the names that the stack file has for them."""
    running = [*(service.name for service in stack.services), *(job.name for job in stack.jobs)]
    calling = [*(trigger.service_account for trigger in stack.triggers)]
    calling += [workflow.service_account for workflow in stack.workflows]
    calling += [container.service_account for container in stack.containers]
    return list(dict.fromkeys([*running, *calling]))


def _callers(stack: Stack, service: Service) -> Iterator[str]:
    """The default invokers of a service: its triggers, every workflow, the developer."""
    yield DEVELOPER
    yield from (trigger.service_account for trigger in stack.triggers if trigger.service == service.name)
    yield from (workflow.service_account for workflow in stack.workflows)
