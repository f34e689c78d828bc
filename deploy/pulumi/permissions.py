"""Permissions: one resource per row of the inventory's table, which gives the reasons."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from deploy.pulumi.events import Delivery
from deploy.pulumi.foundation import Foundation, wait
from deploy.pulumi.services import Services
from deploy.pulumi.system import System

Row = dict[str, str]


def before_services(system: System, base: Foundation) -> None:
    """Grants roles on the project, buckets, secrets and accounts, which builds, services and triggers need."""
    # Google's service agents must exist before roles are granted to them.
    agents: list[pulumi.Resource] = [
        gcp.projects.ServiceIdentity(name, service=name, opts=pulumi.ResourceOptions(depends_on=base.apis))
        for name in system["identities"]
    ]
    gcp.storage.get_project_service_account_output(opts=pulumi.InvokeOutputOptions(depends_on=base.apis))
    base.agents.append(wait(system, "agents", agents, system["identities"]))
    after = pulumi.ResourceOptions(depends_on=base.agents)
    for key, row, _ in _rows(system, "project"):
        member: pulumi.Resource = gcp.projects.IAMMember(
            key, project=system.project, condition=_condition(system, row), **_grant(system, base, row), opts=after
        )
        base.permissions.append(member)
    for key, row, name in _rows(system, "bucket"):
        member = gcp.storage.BucketIAMMember(key, bucket=base.buckets[name], **_grant(system, base, row))
        base.permissions.append(member)
    for key, row, name in _rows(system, "secret"):
        member = gcp.secretmanager.SecretIamMember(
            key, secret_id=system["secrets"][name]["secret"], **_grant(system, base, row)
        )
        base.permissions.append(member)
    for key, row, name in _rows(system, "account"):
        target = base.accounts[name].name
        member = gcp.serviceaccount.IAMMember(key, service_account_id=target, **_grant(system, base, row), opts=after)
        base.permissions.append(member)
    kinds = ("project", "bucket", "secret", "account")
    keys = [key for kind in kinds for key, _, _ in _rows(system, kind)]
    base.permissions.append(wait(system, "permissions", [*base.permissions], keys))


def after_services(system: System, base: Foundation, running: Services, delivery: Delivery) -> None:
    """Grants roles on services, jobs, topics and subscriptions."""
    for key, row, name in _rows(system, "service"):
        for region, service in running.names[name].items():
            gcp.cloudrunv2.ServiceIamMember(
                f"{key} {region}", location=region, name=service, **_grant(system, base, row)
            )
    for key, row, name in _rows(system, "job"):
        for region, job in running.names[name].items():
            gcp.cloudrunv2.JobIamMember(f"{key} {region}", location=region, name=job, **_grant(system, base, row))
    after = pulumi.ResourceOptions(depends_on=base.agents)
    for key, row, name in _rows(system, "topic"):
        topic = delivery.topics[name].name
        base.permissions.append(gcp.pubsub.TopicIAMMember(key, topic=topic, **_grant(system, base, row), opts=after))
    for key, row, name in [*_rows(system, "subscription"), *_rows(system, "trigger")]:
        subscription = delivery.subscriptions[name]
        gcp.pubsub.SubscriptionIAMMember(key, subscription=subscription, **_grant(system, base, row), opts=after)


def _rows(system: System, kind: str) -> list[tuple[str, Row, str]]:
    """A key, the row and the target's name, for each row whose target is of the kind."""
    rows = []
    for row in system["iam"]:
        target, _, name = row["target"].partition("/")
        if target == kind:
            rows.append((f"{row['who']} {row['role']} {row['target']}", row, name))
    return rows


def _grant(system: System, base: Foundation, row: Row) -> dict[str, Any]:
    who = row["who"]
    if who.startswith("agent/"):
        domain = system["agents"][who.removeprefix("agent/")]
        return {"role": row["role"], "member": f"serviceAccount:service-{system.number}@{domain}"}
    return {"role": row["role"], "member": pulumi.Output.concat("serviceAccount:", base.accounts[who].email)}


def _condition(system: System, row: Row) -> gcp.projects.IAMMemberConditionArgs | None:
    only = row.get("only")
    return gcp.projects.IAMMemberConditionArgs(title=system.prefix, expression=only) if only else None
