"""Concludes a job: settles its outcome with what the workflow hands over, then reports a batch as done."""

from dataclasses import replace
from typing import Any, Literal

from pipeline import logs, schema, waiting
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.jobs import documents, outcomes
from pipeline.jobs.documents import Lineage
from pipeline.jobs.job import Job
from pipeline.jobs.outcomes import Outcome
from pipeline.kinds import BATCHED
from pipeline.routing import regions
from postprocessing import costs, endpoints, failures, progress, results
from postprocessing.costs import Effort
from postprocessing.failures import StepError

Shape = Literal["prediction", "batch", "error"]
SHAPES: tuple[Shape, ...] = ("prediction", "batch", "error")


def conclude(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Concludes the job of `{argument, prediction | batch | error, lineage}`.

    Returns:
        {status, document, job} of the outcome that holds, which an earlier call may have settled. The status is
        `waiting`, without a document, if the GPU service did not take the input; a collection then starts it again.

    Raises:
        MalformedError: the body does not have that shape.
    """
    job = Job.parse(body.get("argument"))
    lineage = Lineage.parse(body.get("lineage"))
    shapes = [shape for shape in SHAPES if body.get(shape) is not None]
    if len(shapes) != 1 or not isinstance(body[shapes[0]], dict):
        raise MalformedError("The body must have exactly one of prediction, batch and error, and it must be an object.")
    if shapes[0] == "error":
        error = StepError.parse(body["error"])
        report(deployment, job, error)
        if error.is_temporary and waiting.put_back(deployment, job, lineage.execution):
            return {"status": "waiting", "document": None, "job": job.id}
    outcome = settle(deployment, job, lineage, shapes[0], body[shapes[0]])
    if shapes[0] == "prediction":
        answer = body["prediction"]
        regions.report(deployment.settings, job, regions.failed(answer), unloaded=regions.unloaded(answer))
    return {
        "status": outcome.status,
        "document": f"gs://{deployment.settings.output_bucket}/{outcome.document}",
        "job": job.id,
    }


def report(deployment: Deployment, job: Job, error: StepError) -> None:
    """Opens the circuits of all regions that an execution tried, if its error is that none could be reached."""
    if error.is_outage:
        tried = job.regions or range(len(deployment.settings.gpu_regions))
        regions.report(deployment.settings, job, tried)


def settle(
    deployment: Deployment,
    job: Job,
    lineage: Lineage,
    shape: Shape,
    answer: dict[str, Any],
    effort: Effort | None = None,
) -> Outcome:
    """Settles the outcome and writes its document; a batch's status follows, so that it never claims more.

    Args:
        effort: what a member of a micro-batch took.

    Raises:
        MalformedError: the answer does not have the shape.
    """
    revisions = {**lineage.service_revisions, "postprocess": deployment.settings.revision}
    lineage = replace(lineage, service_revisions=revisions)
    try:
        outcome = _settle(deployment, job, lineage, shape, answer, effort)
    except RejectedError as reason:
        outcome = outcomes.settle(deployment, job, documents.rejected(job, reason, lineage))
    logs.info("concluded", **costs.logged(outcome.content))
    if job.kind in BATCHED:
        progress.finish(deployment, job, lineage, outcome)
    return outcome


def _settle(
    deployment: Deployment,
    job: Job,
    lineage: Lineage,
    shape: Shape,
    answer: dict[str, Any],
    effort: Effort | None,
) -> Outcome:
    if shape == "error":
        error = StepError.parse(answer)
        return outcomes.settle(deployment, job, failures.document(deployment.settings, job, lineage, error))
    if shape == "prediction" and job.kind != "timeseries":
        answer = endpoints.completed(job, answer)
        schema.check_answer("prediction", answer)
        document = results.of_prediction(deployment.settings, job, lineage, answer, effort)
        return outcomes.settle(deployment, job, document)
    schema.check_answer("batch" if shape == "batch" else "forecast", answer)
    if settled := outcomes.resume(deployment, job):  # else its data would be staged again needlessly
        return settled
    build = results.of_batch if shape == "batch" else results.of_forecast
    return outcomes.settle(deployment, job, *build(deployment, job, lineage, answer))
