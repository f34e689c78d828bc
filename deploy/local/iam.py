"""Writes iam.yaml, the grants of the local stack, from the deployment's inventory: `python -m deploy.local.iam`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy import inventory

FILE = Path(__file__).with_name("iam.yaml")
_HEAD = """\
# Written by `python -m deploy.local.iam` from ../inventory.yaml: who may do what in the local stack.
"""

# Grants that the local stack cannot use, by `who`, and where it says so by `role`, with the reason.
ELSEWHERE = {
    ("builder", ""): "functions and image are not built here",
    ("agent/storage", ""): "the emulator itself publishes the changes of objects",
    ("agent/eventarc", ""): "the emulator itself delivers events",
    ("agent/pubsub", ""): "the emulator itself pushes messages and forwards dead letters",
    ("events", "roles/eventarc.eventReceiver"): "the emulator has no providers of events that ask for it",
    ("gpu-service", "roles/secretmanager.secretAccessor"): "Secret Manager is not emulated",
    ("gpu-job", "roles/secretmanager.secretAccessor"): "Secret Manager is not emulated",
}


def reason(grant: dict[str, Any]) -> str:
    """Why the local stack cannot use a grant of the inventory; "" if it can."""
    who, role = grant["who"], grant["role"]
    return ELSEWHERE.get((who, role)) or ELSEWHERE.get((who, ""), "")


def local(grant: dict[str, Any]) -> dict[str, str]:
    """A grant of the inventory as the stack file has it."""
    kind, _, name = grant["target"].partition("/")
    resource = f"bucket/local-{name}" if kind == "bucket" else grant["target"]
    condition = {"condition": grant["only"]} if "only" in grant else {}
    return {"member": grant["who"], "role": grant["role"], "resource": resource, **condition}


def used() -> Iterator[dict[str, Any]]:
    """The grants of the inventory that the local stack uses."""
    system = inventory.load({"project_id": "any-project", "micro_batching": True})
    return (grant for grant in system["iam"] if not reason(grant))


def text() -> str:
    """The content of iam.yaml."""
    lines = (yaml.safe_dump(local(grant), default_flow_style=True, sort_keys=False, width=200) for grant in used())
    return _HEAD + "".join(f"- {line}" for line in lines)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
