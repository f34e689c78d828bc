"""The cut job, which cuts one very large batch into shards: `python -m preprocessing.cut_job`.

A restarted task continues from the batch's checkpoint.
"""

import os
import sys

from pipeline import logs, settings
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.storage import failure_code
from preprocessing import handover, shards


def run(deployment: Deployment, argument: str) -> None:
    """Cuts the batch, or keeps why it can never be cut.

    Args:
        argument: the gs:// URI of the job's argument in the work bucket.

    Raises:
        MalformedError: there is no such argument.
    """
    job = handover.ordered(deployment, argument)
    with logs.bound(job=job.id, trace=job.trace):
        try:
            batch = shards.cut(deployment, job)
        except RejectedError as refusal:
            handover.refuse(deployment, job, refusal)
            logs.info("rejected", code=refusal.code)
        else:
            logs.info("cut", shards=batch["shards"], records=batch["records"])


def main() -> int:
    logs.setup()
    try:
        run(Deployment(settings.load()), os.environ.get("CUT_ARGUMENT", ""))
    except Exception as error:  # noqa: BLE001 - the process boundary: the task is repeated
        logs.exception("failed", error, code=failure_code(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
