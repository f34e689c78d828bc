"""The grants of the local stack are those of a deployment, except the ones that it cannot use."""

from typing import Any

import pytest

from deploy import inventory
from deploy.local import iam
from emulator.iam.roles import ROLES


def deployed(**values: object) -> list[dict[str, Any]]:
    system = inventory.load(
        {"project_id": "my-project", "hub_token_secret": "hf-token", "notifications_secret": "endpoints", **values}
    )
    return list(system["iam"])


def test_the_file_is_up_to_date():
    assert iam.FILE.read_text() == iam.text(), "run python -m deploy.local.iam"


@pytest.mark.parametrize("micro_batching", [False, True])
def test_every_grant_of_the_inventory_is_used_or_has_a_reason_why_it_cannot_be(micro_batching: bool):
    used = iam.grants(micro_batching=micro_batching)
    for grant in deployed(micro_batching=micro_batching):
        assert (iam.local(grant) in used) != bool(iam.reason(grant)), grant


def test_every_reason_is_about_a_grant():
    for who, target in iam.ELSEWHERE:
        assert any(grant["who"] == who and target in ("", grant["target"]) for grant in deployed()), (who, target)


def test_the_roles_that_are_granted_locally_are_known():
    assert {grant["role"] for grant in iam.grants()} <= set(ROLES)
