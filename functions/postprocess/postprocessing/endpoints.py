"""Answers of Vertex AI's endpoints in the form of the GPU service's: of those, only the predictions came through."""

from typing import Any

from pipeline.errors import MalformedError
from pipeline.jobs.job import Job, on_endpoint

_DEVICE = "vertex_ai"  # which bills an endpoint by the hour, whatever it predicts


def completed(job: Job, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the model that gave it; that of the GPU service stays as it is.

    `revision` is the version in Vertex AI's registry, `source` the endpoint.

    Raises:
        MalformedError: the answer does not say which model gave it.
    """
    if job.model is None or not on_endpoint(job.model):
        return answer
    registered, number = answer.get("model"), answer.get("modelVersionId")
    if not isinstance(registered, str) or not isinstance(number, str):
        raise MalformedError("prediction must have the model and the modelVersionId of Vertex AI.")
    model = {
        "name": job.model["name"],
        "version": job.model["version"],
        "task": job.model.get("task"),
        "source": job.model["endpoint"],
        "revision": f"{registered.rpartition('/')[2]}@{number}",
    }
    return {"predictions": answer.get("predictions"), "model": model, "device": _DEVICE}
