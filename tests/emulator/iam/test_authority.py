"""Decisions by the policies of a resource and of what contains it, and the report of refusals."""

import logging

import pytest

from emulator.iam.authority import Authority
from emulator.iam.policies import Policies
from emulator.iam.roles import ROLES, granting

ME, OTHER = "me@p.iam.gserviceaccount.com", "other@p.iam.gserviceaccount.com"
BUCKET, OBJECT = "projects/_/buckets/b", "projects/_/buckets/b/objects/a/b.txt"
JOB = "projects/p/locations/l/jobs/j"
READ = "storage.objects.get"


def binding(role: str, member: str = f"serviceAccount:{ME}", condition: str = "") -> dict[str, object]:
    conditional = {"condition": {"title": "t", "expression": condition}} if condition else {}
    return {"role": role, "members": [member], **conditional}


def authority(**policies: dict[str, object]) -> Authority:
    made = Policies("p", {"projects/p/roles/getter": [READ]})
    for name, policy in policies.items():
        made.set({"bucket": BUCKET, "project": "projects/p", "job": JOB}[name], [policy])
    return Authority(made)


@pytest.mark.parametrize("level", ["bucket", "project"])
def test_a_grant_covers_the_resource_and_what_it_contains(level: str) -> None:
    me = authority(**{level: binding("roles/storage.objectViewer")}).account(ME)
    assert me.may(READ, OBJECT)
    assert not me.may("storage.objects.create", OBJECT)
    assert me.may(READ, "projects/_/buckets/other/objects/a") == (level == "project")


def test_a_grant_on_a_job_covers_its_executions_but_not_the_operations_of_the_location() -> None:
    me = authority(job=binding("roles/run.viewer")).account(ME)
    assert me.may("run.executions.get", f"{JOB}/executions/j-abcde")
    assert not me.may("run.operations.get", "projects/p/locations/l/operations/o")
    assert not me.may("run.executions.get", f"{JOB}x/executions/j-abcde")


@pytest.mark.parametrize(
    ("member", "me", "anonymous"),
    [("allUsers", True, True), ("allAuthenticatedUsers", True, False), (f"serviceAccount:{OTHER}", False, False)],
)
def test_members(member: str, me: bool, anonymous: bool) -> None:
    granted = authority(bucket=binding("roles/storage.objectViewer", member))
    assert (granted.account(ME).may(READ, OBJECT), granted.account("").may(READ, OBJECT)) == (me, anonymous)


def test_a_condition_is_asked_for_each_object() -> None:
    condition = f"resource.name.startsWith('{BUCKET}/objects/a/')"
    me = authority(bucket=binding("roles/storage.objectViewer", condition=condition)).account(ME)
    assert me.may(READ, OBJECT)
    assert not me.may(READ, f"{BUCKET}/objects/b.txt")
    assert not me.may("storage.objects.list", BUCKET)


def test_roles_of_the_stack_grant_their_permissions() -> None:
    me = authority(bucket=binding("projects/p/roles/getter")).account(ME)
    assert me.may(READ, OBJECT)
    assert not me.may("storage.objects.list", BUCKET)


@pytest.mark.parametrize(
    "policy",
    [
        binding("roles/unknown"),
        binding("roles/storage.objectViewer", condition="request.time < timestamp('2030-01-01T00:00:00Z')"),
        {"role": "roles/storage.objectViewer", "members": ["user:me@example.com", 5], "condition": "no object"},
    ],
)
def test_what_cannot_be_judged_grants_nothing(policy: dict[str, object]) -> None:
    assert not authority(bucket=policy).account(ME).may(READ, OBJECT)


def test_a_changed_policy_counts_at_once() -> None:
    granted = authority(bucket=binding("roles/storage.objectViewer"))
    assert granted.account(ME).may(READ, OBJECT)
    granted.policies.set(BUCKET, [])
    assert not granted.account(ME).may(READ, OBJECT)


def test_a_refusal_is_reported_with_the_role_that_would_do_once_for_each_bucket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    granted = authority(project=binding("roles/storage.objectCreator"))
    with caplog.at_level(logging.INFO):
        for name in ("1", "2"):
            granted.account(ME).denied(READ, f"{BUCKET}/objects/{name}")
        granted.policies.set(BUCKET, [])
        granted.account(ME).denied(READ, f"{BUCKET}/objects/3")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    first = vars(caplog.records[0])
    assert {key: first[key] for key in ("account", "permission", "resource", "role")} == {
        "account": ME,
        "permission": READ,
        "resource": f"{BUCKET}/objects/1",
        "role": "roles/storage.objectViewer",
    }


@pytest.mark.parametrize(
    ("permission", "role"),
    [
        ("storage.objects.create", "roles/storage.objectCreator"),
        ("storage.objects.delete", "roles/storage.objectUser"),
        ("pubsub.topics.publish", "roles/pubsub.publisher"),
        ("workflows.executions.create", "roles/workflows.invoker"),
        ("run.routes.invoke", "roles/run.invoker"),
        ("run.jobs.runWithOverrides", "roles/run.jobsExecutorWithOverrides"),
        ("compute.instances.create", ""),
    ],
)
def test_the_smallest_role_that_would_do(permission: str, role: str) -> None:
    assert granting(permission) == role


def test_roles_contain_only_permissions() -> None:
    assert all(len(permission.split(".")) == 3 for permissions in ROLES.values() for permission in permissions)
