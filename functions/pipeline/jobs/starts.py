"""Which execution a run has started for its jobs, in one object instead of in each of their claims.

runs/<id>.json   {execution, jobs}
"""

import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket


def write(work: "Bucket", run: str, execution: str, jobs: Sequence[str]) -> None:
    """Notes that a run's execution has been created for these jobs."""
    with contextlib.suppress(PreconditionFailed):  # the client repeated its own write
        put(_blob(work, run), json.dumps({"execution": execution, "jobs": jobs}), stamp(run), generation=0)


def execution(work: "Bucket", run: str, job: str) -> str | None:
    """The execution that a run has started for a job; None if it has not, or not for this one."""
    try:
        fields = json.loads(_blob(work, run).download_as_bytes())
    except NotFound:
        return None
    name: str = fields["execution"]
    return name if job in fields["jobs"] else None


def _blob(work: "Bucket", run: str) -> "Blob":
    blob: Blob = work.blob(f"runs/{run}.json")
    return blob
