"""The accounts and the invokers of a stack file without IAM."""

from pathlib import Path

import pytest

from emulator.identity import policy
from emulator.stack.loader import load
from emulator.stack.model import Stack

STACK = """
project: p
topics: [messages]
services:
  open: {command: [x], invokers: [allUsers]}
  closed: {command: [x], invokers: []}
  named: {command: [x], invokers: [someone, other@q.iam.gserviceaccount.com]}
  silent: {command: [x]}
triggers:
  a: {event: google.cloud.pubsub.topic.v1.messagePublished, topic: messages, service: silent, service_account: pusher}
  b: {event: google.cloud.pubsub.topic.v1.messagePublished, topic: messages, service: closed}
workflows: {flow: {source: flow.yaml, service_account: runner}}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "stack.yaml").write_text(STACK)
    return load(tmp_path / "stack.yaml")


def account(name: str) -> str:
    return f"{name}@p.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("open", None),
        ("closed", set()),
        ("named", {account("someone"), "other@q.iam.gserviceaccount.com"}),
        ("silent", {account("pusher"), account("runner"), account("developer")}),
    ],
)
def test_invokers_come_from_the_file_or_from_the_callers_in_the_stack(
    stack: Stack, service: str, expected: set[str] | None
) -> None:
    (match,) = (each for each in stack.services if each.name == service)
    assert policy.invokers(stack, match) == expected


def test_accounts_are_those_of_the_stack(stack: Stack) -> None:
    services = {account(name) for name in ("open", "closed", "named", "silent")}
    others = {account(name) for name in ("someone", "pusher", "events", "runner", "developer")}
    assert policy.accounts(stack) == services | others | {"other@q.iam.gserviceaccount.com"}
