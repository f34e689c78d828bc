"""Tenants: whose input an upload is, and whether its tenant has used up its share of the hour.

An input within its tenant's share is handled as any other. One beyond it has no execution of its own; collections start
it after the inputs that are within the shares of their tenants.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from pipeline.jobs import quotas
from pipeline.jobs.job import Job
from pipeline.settings import Settings

FOLDER = "folder"
"""The value of TENANTS that names the first segment of an object's name; any other is a key of its metadata."""


def of(settings: Settings, name: str, metadata: Mapping[str, str]) -> str | None:
    """The tenant of an upload as a short digest; None if tenants are not told apart. Who names none is one tenant."""
    if not settings.tenants:
        return None
    if settings.tenants == FOLDER:
        tenant = name.partition("/")[0] if "/" in name else ""
    else:
        tenant = metadata.get(settings.tenants, "")
    return hashlib.sha256(tenant.encode()).hexdigest()[:16]


def share(settings: Settings) -> int:
    """The inputs per hour within a tenant's share; 0 for no limit."""
    cap = settings.max_executions_per_hour
    return max(1, int(cap * settings.tenant_share)) if cap else 0


def placed(settings: Settings, job: Job, metadata: Mapping[str, str]) -> Job:
    """The job of an upload with its tenant, of whose share it takes a part.

    Raises:
        InProgressError: too many processes take from the share at the same moment.
    """
    tenant = of(settings, job.object_input().name, metadata)
    if tenant is None:
        return job
    is_within = quotas.of_tenant(settings.work_bucket, share(settings), tenant).takes()
    return replace(job, tenant=tenant, is_beyond_share=not is_within)
