"""Starts claimed inputs together: one execution for those of the same kind, model and parameters."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline import intake, logs
from pipeline.deployment import Deployment
from pipeline.errors import ThrottledError
from pipeline.inputs import microbatches
from pipeline.inputs.events import Receipt
from pipeline.intake import Reserved
from pipeline.jobs import executions
from pipeline.jobs.claims import Claims
from pipeline.jobs.job import Engine
from pipeline.verdicts import Verdict


def launch(
    deployment: Deployment,
    group: Sequence[Reserved],
    receipt: Receipt,
    pool: ThreadPoolExecutor,
    run_by: Engine = "service",
    run: str | None = None,
) -> Sequence[Verdict | Exception]:
    """Starts one execution for the whole group, and returns each member's result.

    Args:
        run: named by every claim of the group, and by no other; None to record the execution in each claim instead.
    """
    claims = Claims(deployment.work, deployment.settings.claim_lease)
    members = [reserved.job for reserved in group]
    try:
        if len(group) == 1 and run_by == "service":
            return [intake.launch(deployment, group[0])]
        with claims.releasing(*(reserved.claim for reserved in group)):
            job = microbatches.write(deployment.work, members, receipt, run_by)
            execution = executions.start(deployment.settings, intake.in_regions(deployment.settings, job, members[0]))
    except ThrottledError as reason:
        return [intake.throttled(job, reason) for job in members]
    except Exception as error:  # noqa: BLE001 - the caller's other groups go on
        return [error for _ in group]
    if run:
        claims.confirm_run(run, [job.id for job in members], execution)
    else:
        list(pool.map(lambda reserved: _confirm(claims, reserved, execution), group))
    return [Verdict("accepted", job.id, job.document, job.kind, execution) for job in members]


def _confirm(claims: Claims, reserved: Reserved, execution: str) -> None:
    with logs.bound(job=reserved.job.id):
        claims.confirm(reserved.claim, reserved.job, execution)
