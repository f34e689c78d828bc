"""APIs, accounts, buckets and the registry; optional audit logs and budget."""

import hashlib
from dataclasses import dataclass, field

import pulumi
import pulumi_gcp as gcp
import pulumiverse_time

from deploy.pulumi.system import System

DAY = 86400


def wait(system: System, name: str, made: list[pulumi.Resource], keys: list[str]) -> pulumiverse_time.Sleep:
    """Waits until what was made has reached the whole project, and again when the keys change."""
    return pulumiverse_time.Sleep(
        name,
        create_duration=f"{system['waits'][name]}s",
        triggers={name: hashlib.sha256(" ".join(keys).encode()).hexdigest()},
        opts=pulumi.ResourceOptions(depends_on=made),
    )


@dataclass
class Foundation:
    """What other resources need, by the inventory's names; `buckets` are names, also of an existing one.

    Grants to Google's agents depend on `agents`, services and triggers on `permissions`.
    """

    apis: list[pulumi.Resource]
    accounts: dict[str, gcp.serviceaccount.Account]
    buckets: dict[str, pulumi.Output[str]]
    registry: pulumi.Output[str]
    agents: list[pulumi.Resource] = field(default_factory=list)
    permissions: list[pulumi.Resource] = field(default_factory=list)


def create(system: System) -> Foundation:
    apis: list[pulumi.Resource] = [
        gcp.projects.Service(name, service=name, disable_on_destroy=False) for name in system["apis"]
    ]
    after = pulumi.ResourceOptions(depends_on=apis)
    accounts = {
        name: gcp.serviceaccount.Account(name, account_id=system.name(name), display_name=about, opts=after)
        for name, about in system["accounts"].items()
    }
    existing = {"input": pulumi.Output.from_input(system.settings["input_bucket"])}
    buckets = existing | {name: _bucket(system, name, after).name for name in system["buckets"]}
    registry = system["registry"]
    images = gcp.artifactregistry.Repository(
        "images",
        repository_id=registry["name"],
        location=system.region,
        format=registry["format"],
        kms_key_name=system.key,
        opts=after,
    )
    _options(system)
    repositories = f"projects/{system.project}/locations/{system.region}/repositories/"
    return Foundation(apis, accounts, buckets, pulumi.Output.concat(repositories, images.repository_id))


def _bucket(system: System, name: str, after: pulumi.ResourceOptions) -> gcp.storage.Bucket:
    bucket = system["buckets"][name]
    rules = [
        gcp.storage.BucketLifecycleRuleArgs(
            action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
            condition=gcp.storage.BucketLifecycleRuleConditionArgs(**{condition: days}),
        )
        for condition, days in (
            ("age", bucket["delete_after"]),
            ("days_since_noncurrent_time", bucket["noncurrent_after"]),
        )
        if days
    ]
    return gcp.storage.Bucket(
        name,
        name=f"{system.project}-{system.name(name)}",
        location=system.region,
        storage_class=bucket["class"],
        encryption=gcp.storage.BucketEncryptionArgs(default_kms_key_name=system.key) if system.key else None,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        force_destroy=not (bucket["keep"] and system.settings["keep_data"]),
        versioning=gcp.storage.BucketVersioningArgs(enabled=bucket["versioning"]),
        soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(
            retention_duration_seconds=bucket["soft_delete"] * DAY
        ),
        lifecycle_rules=rules,
        opts=after,
    )


def _options(system: System) -> None:
    if system.settings["audit_logs"]:
        gcp.projects.IAMAuditConfig(
            "storage",
            project=system.project,
            service="storage.googleapis.com",
            audit_log_configs=[
                gcp.projects.IAMAuditConfigAuditLogConfigArgs(log_type=kind) for kind in ("DATA_READ", "DATA_WRITE")
            ],
        )
    if account := system.settings["billing_account"]:
        gcp.billing.Budget(
            "budget",
            billing_account=account,
            display_name=f"{system.project} {system.prefix}",  # a billing account may have several projects
            budget_filter=gcp.billing.BudgetBudgetFilterArgs(projects=[f"projects/{system.number}"]),
            amount=gcp.billing.BudgetAmountArgs(
                specified_amount=gcp.billing.BudgetAmountSpecifiedAmountArgs(
                    currency_code=system.settings["budget_currency"] or None,
                    units=str(system.settings["budget_amount"]),
                )
            ),
            threshold_rules=[gcp.billing.BudgetThresholdRuleArgs(threshold_percent=share) for share in (0.5, 0.9, 1.0)],
        )
