"""The grants of the local stack are those of a deployment, except the ones that it cannot use."""

from deploy import inventory
from deploy.local import iam
from emulator.iam.roles import ROLES
from emulator.stack.loader import load

SYSTEM = inventory.load({"project_id": "my-project", "hub_token_secret": "hf-token"})
TOGETHER = inventory.load({"project_id": "my-project", "hub_token_secret": "hf-token", "micro_batching": True})
EVERY_GRANT = [*SYSTEM["iam"], *(grant for grant in TOGETHER["iam"] if grant not in SYSTEM["iam"])]


def test_the_file_is_up_to_date():
    assert iam.FILE.read_text() == iam.text(), "run python -m deploy.local.iam"


def test_every_grant_of_the_inventory_is_used_or_has_a_reason_why_it_cannot_be():
    local = load(iam.FILE.with_name("stack.yaml"))
    assert local.iam
    used = [{"member": grant.member, "role": grant.role, "resource": grant.resource} for grant in local.iam.grants]
    for grant in EVERY_GRANT:
        assert (iam.local(grant) in used) != bool(iam.reason(grant)), grant


def test_every_reason_is_about_a_grant():
    for who, role in iam.ELSEWHERE:
        assert any(grant["who"] == who and role in ("", grant["role"]) for grant in EVERY_GRANT), (who, role)


def test_the_roles_that_are_granted_locally_are_known():
    assert {grant["role"] for grant in EVERY_GRANT if not iam.reason(grant)} <= set(ROLES)
