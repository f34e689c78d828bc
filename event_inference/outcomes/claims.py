"""The claim on a job in the work bucket: what it waits for, and the execution that it shares with other jobs."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


@dataclass(frozen=True, slots=True)
class Claim:
    """How far a job without a document is.

    Attributes:
        state: `claimed`, `waiting`, `started` or `concluded`.
        due: when its execution starts at the latest; None if it does not wait for other inputs.
        execution: resource name.
    """

    state: str
    due: datetime | None
    execution: str | None


def of_job(work: "Bucket", job: str) -> Claim | None:
    """The claim on a job; None if there is none, or if the caller may not read the work bucket."""
    from google.api_core.exceptions import Forbidden, NotFound

    try:
        content = json.loads(work.blob(f"claims/{job}.json").download_as_bytes())
    except (NotFound, Forbidden):
        return None
    state, execution = content["state"], content["execution"]
    if state == "claimed" and (shared := _of_run(work, content.get("run"), job)):
        state, execution = "started", shared
    due = content["argument"].get("due") if state == "waiting" else None
    return Claim(state, datetime.fromisoformat(due) if due else None, execution)


def _of_run(work: "Bucket", run: str | None, job: str) -> str | None:
    """The execution of the run that a claim names; None if it has not started."""
    from google.api_core.exceptions import NotFound

    if run is None:
        return None
    try:
        content = json.loads(work.blob(f"runs/{run}.json").download_as_bytes())
    except NotFound:
        return None
    execution: str = content["execution"]
    return execution if job in content["jobs"] else None
