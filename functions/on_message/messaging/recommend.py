"""Writes what would be worth changing at the traffic of the last week: `recommendations/<date>.json`.

It measures on outcomes, which the work bucket keeps for a week. Their names begin with digests, so the first of a
listing are a random sample, and the last name says which part of all they are.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from pipeline import times
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.jobs import outcomes
from pipeline.settings import Settings
from pipeline.storage import put, stamp
from pipeline.verdicts import Verdict

if TYPE_CHECKING:
    from google.cloud.storage import Blob

    from event_inference.cost import scenario

PERIOD = timedelta(days=7)
SAMPLE = 500  # outcomes to read
CONCURRENCY = 8
DIGITS = 12  # of a name, which tell its position among all names


def check(value: object) -> None:
    """Raises RejectedError, `invalid_parameters`, unless the order is `{}`."""
    if value != {}:
        raise RejectedError("invalid_parameters", "recommend must be an empty object.")


def run(deployment: Deployment) -> Verdict:
    """Writes the document of today, anew if it exists."""
    from event_inference.cost import daily  # its import takes longer than handling most messages
    from event_inference.cost.prices import published

    now = times.utc_now()
    documents, share = _sample(deployment, now - PERIOD)
    oldest = min((times.parse(document["timing"]["received_at"]) for document in documents), default=now)
    content = daily.document(
        documents,
        since=min(oldest, now - daily.SHORTEST),
        until=now,
        share=share,
        settings=_scenario(deployment.settings),
        job_threshold=deployment.settings.job_threshold_records,
        prices=published(),
    )
    name = f"{daily.FOLDER}{content['date']}.json"
    put(deployment.output.blob(name), json.dumps(content, indent=2), stamp("recommend"), generation=None)
    counts: dict[str, object] = {
        "measured": len(documents),
        "recommendations": [each["name"] for each in content["recommendations"]],
        "missing": content["missing"],
    }
    return Verdict("accepted", document=name, reason="recommend", counts=counts)


def _sample(deployment: Deployment, since: datetime) -> tuple[list[dict[str, Any]], float]:
    """Documents decided since a moment, and the part of all documents that they are."""
    listed: list[Blob] = list(islice(outcomes.listed(deployment.work), SAMPLE + 1))
    share = 1.0
    if len(listed) > SAMPLE:
        digits = outcomes.job_of(listed[SAMPLE])[:DIGITS]
        share, listed = int(digits, 16) / 16**DIGITS, listed[:SAMPLE]
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        contents = [content for content in pool.map(_content, listed) if content]
    return [each for each in contents if times.parse(each["timing"]["received_at"]) >= since], share


def _content(blob: "Blob") -> dict[str, Any] | None:
    """The terminal document in an outcome; None if the bucket has just deleted it."""
    try:
        content: dict[str, Any] = json.loads(blob.download_as_bytes())["content"]
    except NotFound:
        return None
    return content


def _scenario(settings: Settings) -> "scenario.Settings":
    """The deployment as the cost model describes it."""
    from event_inference.cost import scenario

    gpu: Any = settings.gpu_type
    return scenario.Settings(
        region=settings.workflow.split("/")[3],
        gpu=gpu,
        cpu=settings.gpu_cpu,
        memory_gib=settings.gpu_memory_gib,
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        concurrency=settings.gpu_concurrency,
        max_wait=settings.max_wait_of(""),
        job_tasks=settings.job_tasks,
    )
