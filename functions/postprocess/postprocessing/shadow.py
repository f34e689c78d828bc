"""Keeps what an experiment's candidate answered to an input that it did not serve: `shadow/<document>.json`."""

import contextlib
import json
from typing import Any

from google.api_core.exceptions import PreconditionFailed

from pipeline import schema
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError
from pipeline.jobs import observations
from pipeline.jobs.documents import Lineage
from pipeline.jobs.job import Experiment, Job, Model
from pipeline.storage import put, stamp
from pipeline.times import timestamp
from postprocessing import results
from postprocessing.failures import StepError

Fields = dict[str, Any]


def keep(deployment: Deployment, body: Fields) -> Fields:
    """Writes the answer or the error in `{argument, lineage, shadow: {prediction, error}}`, once for each input.

    Returns:
        {document}, the address of the object.

    Raises:
        MalformedError: the body does not have that shape, or the input is not shown to a candidate.
    """
    job, lineage, shadow = Job.parse(body.get("argument")), Lineage.parse(body.get("lineage")), body["shadow"]
    experiment = job.model.get("experiment") if job.model else None
    if job.model is None or experiment is None or "candidate" not in experiment:
        raise MalformedError("The input is not shown to a candidate.")
    answer, error = (shadow.get(name) for name in ("prediction", "error")) if isinstance(shadow, dict) else (None, None)
    if (answer is None) == (error is None):
        raise MalformedError("shadow must be an object with either prediction or error.")
    if answer is not None and (broken := schema.violation(answer, "answers", "prediction")):
        answer, error = None, {"code": "invalid_answer", "message": f"The answer does not follow its schema: {broken}"}
    document = {
        **_described(job, job.model, experiment),
        **(_answered(deployment, answer) if answer else _failed(error or {})),
        "timing": _timing(answer or {}),
        "lineage": _lineage(deployment, job, lineage, answer or {}),
    }
    observations.shadow(deployment.output, job, document)
    name = f"shadow/{job.document}.json"
    with contextlib.suppress(PreconditionFailed):  # written by another attempt
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        put(deployment.output.blob(name), text, stamp(job.id, hops=job.hops + 1), generation=0)
    return {"document": f"gs://{deployment.output.name}/{name}"}


def _described(job: Job, model: Model, experiment: Experiment) -> Fields:
    return {
        "schema": "shadow/v1",
        "job": job.id,
        "document": job.document,
        "input": job.input.json(),
        "kind": job.kind,
        "experiment": {
            "id": experiment["id"],
            "arm": "candidate",
            "share": experiment["share"],
            "mode": experiment["mode"],
        },
        "model": {"name": model["name"], "version": experiment["candidate"]},
    }


def _answered(deployment: Deployment, answer: Fields) -> Fields:
    seconds = results.gpu_seconds(answer)
    usd = round(seconds * deployment.settings.gpu_usd_per_second, 12)
    return {
        "model": results.served_model(answer.get("model")),
        "parameters": answer.get("parameters") or {},
        "predictions": results.shown(answer),
        "cost": {"device": {"seconds": seconds, "usd": usd}},
    }


def _failed(error: Fields) -> Fields:
    return {"error": StepError.parse(error).reason}


def _timing(answer: Fields) -> Fields:
    timing = answer.get("timing") or {}
    return {
        "finished_at": timestamp(),
        "queue_ms": timing.get("queue_ms"),
        "inference_ms": timing.get("inference_ms"),
    }


def _lineage(deployment: Deployment, job: Job, lineage: Lineage, answer: Fields) -> Fields:
    """The execution's, with the revision and device that the candidate answered on."""
    revisions = {"postprocess": deployment.settings.revision}
    if answer:
        revisions["gpu_service"] = str(answer.get("revision") or "unknown")
    return {**lineage.json(job), "service_revisions": revisions, "device": answer.get("device")}
