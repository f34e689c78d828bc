"""Writes iam.yaml, the grants of the local stack, from the deployment's inventory: `python -m deploy.local.iam`."""

from pathlib import Path
from typing import Any

import yaml

from deploy import inventory

FILE = Path(__file__).with_name("iam.yaml")
_HEAD = """\
# Written by `python -m deploy.local.iam` from ../inventory.yaml: who may do what in the local stack.
"""

# Grants that the local stack cannot use, by `who` and `target`, or by `who` alone, with the reason.
ELSEWHERE = {
    ("builder", ""): "functions and image are not built here",
    ("agent/eventarc", ""): "the emulator itself makes the topics and subscriptions of triggers",
    ("agent/pubsub", "subscription/uploads"): "the local subscription has no dead-letter topic",
    ("gpu-service", "secret/HF_TOKEN"): "Secret Manager is not emulated",
    ("gpu-job", "secret/HF_TOKEN"): "Secret Manager is not emulated",
    ("notify", "secret/NOTIFICATIONS"): "Secret Manager is not emulated",
}


def reason(grant: dict[str, Any]) -> str:
    """Why the local stack cannot use a grant of the inventory; "" if it can."""
    who, target = grant["who"], grant["target"]
    return ELSEWHERE.get((who, target)) or ELSEWHERE.get((who, ""), "")


def local(grant: dict[str, Any]) -> dict[str, str]:
    """A grant of the inventory as the stack file has it; what is a push subscription there is a trigger here."""
    kind, _, name = grant["target"].partition("/")
    resource = f"bucket/local-{name}" if kind == "bucket" else grant["target"]
    if grant["target"] in ("subscription/on-message", "subscription/promote"):
        resource = f"trigger/{name}"
    shared = grant["who"].startswith("agent/")  # whose condition always holds, and only keeps deployments apart
    condition = {"condition": grant["only"]} if "only" in grant and not shared else {}
    return {"member": grant["who"], "role": grant["role"], "resource": resource, **condition}


def grants(*, micro_batching: bool = False) -> list[dict[str, str]]:
    """The grants of the inventory that the local stack uses, in the form of its stack file."""
    values = {"project_id": "any-project", "micro_batching": micro_batching, "notifications_secret": "any-secret"}
    system = inventory.load(values)
    return [local(grant) for grant in system["iam"] if not reason(grant)]


def text() -> str:
    """The content of iam.yaml."""
    lines = (yaml.safe_dump(grant, default_flow_style=True, sort_keys=False, width=200) for grant in grants())
    return _HEAD + "".join(f"- {line}" for line in lines)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
