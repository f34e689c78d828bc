"""What became of an experiment's inputs, as one small object each, from which `promote` counts.

observations/<experiment>/<job>.served | .shadow | .label       content in the metadata, which a listing reads

A job's first outcome is written before its document and stays: retries, redeliveries and replays change nothing. Inputs
outside experiments leave none.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import PreconditionFailed

from pipeline.jobs.job import Argument, Job
from pipeline.kinds import SINGLE
from pipeline.storage import INPUT_GENERATION, put, stamp, supersede

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

KEY = "observation"
MAX_LABEL = 500  # characters, as many as a label may have
Fields = Mapping[str, Any]


def served(output: "Bucket", argument: Argument | None, document: Fields) -> None:
    """Notes what the sender of an experiment's input gets."""
    model: Fields = (argument and argument["model"]) or {}
    experiment: Fields | None = model.get("experiment")
    if not experiment:
        return
    fields = {
        "arm": experiment["arm"],
        "mode": experiment["mode"],
        "share": experiment["share"],
        "sampled": "candidate" in experiment,
        "outcome": _outcome(document),
        **_answer(document, document["kind"]),
    }
    if "unserved" in document.get("routing", {}):
        fields["unserved"] = True
    blob = _blob(output, experiment["id"], document["job"], "served")
    _write_once(blob, document["job"], fields)


def shadow(output: "Bucket", job: Job, answer: Fields) -> None:
    """Notes what the candidate answered beside the stable version.

    Args:
        answer: its document, `{timing, predictions and cost, or error}`.
    """
    model: Fields = job.model or {}
    experiment = model.get("experiment")
    if experiment:
        predictions = answer.get("predictions") or [{}]
        has_failed = "error" in answer or all("error" in prediction for prediction in predictions)
        fields = {"outcome": "failed" if has_failed else "succeeded", **_answer(answer, job.kind)}
        _write_once(_blob(output, experiment["id"], job.id, "shadow"), job.id, fields)


def label(output: "Bucket", document: Fields, fields: Fields, generation: int) -> None:
    """Notes what labels say of the answer to an experiment's input.

    Args:
        generation: of the object that holds the labels; those of a newer one stay.
    """
    experiment = document.get("routing", {}).get("experiment")
    if not experiment:
        return
    job = document["job"]
    blob = _blob(output, experiment["id"], job, "label")
    metadata = {**stamp(job), KEY: json.dumps(fields, ensure_ascii=False), INPUT_GENERATION: str(generation)}
    supersede(blob, (generation, 0), lambda current: put(blob, b"", metadata, generation=current))


def _outcome(document: Fields) -> str:
    """`succeeded`, `failed` or `rejected`, as the input's sender sees it; lost shards are failures of the service."""
    if document["status"] in ("failed", "rejected"):
        return str(document["status"])
    return "failed" if (document.get("data") or {}).get("lost") else "succeeded"


def _answer(document: Fields, kind: str | None) -> dict[str, Any]:
    """How long an answer took and what it says.

    Only single requests to the GPU service have times to compare: in a micro-batch each input has a part of a shard's,
    and Vertex AI reports none.
    """
    fields: dict[str, Any] = {}
    timing = document.get("timing") or {}
    is_timed = timing.get("queue_ms") is not None or "predictions" not in document  # a failure's time counts as none
    if kind in SINGLE and is_timed:
        parts = [timing[name] for name in ("queue_ms", "inference_ms") if timing.get(name) is not None]
        fields["ms"] = round(sum(parts), 3) if parts else None
    predictions = document.get("predictions") or []
    if len(predictions) == 1 and "label" in predictions[0]:
        fields["label"] = predictions[0]["label"][:MAX_LABEL]
        fields["confidence"] = predictions[0].get("score")
    fields["gpu_us"] = round(((document.get("cost") or {}).get("device") or {}).get("seconds", 0.0) * 1e6)
    return fields


def _blob(output: "Bucket", experiment: str, job: str, what: str) -> "Blob":
    blob: Blob = output.blob(f"observations/{experiment}/{job}.{what}")
    return blob


def _write_once(blob: "Blob", job: str, fields: Fields) -> None:
    try:
        put(blob, b"", {**stamp(job), KEY: json.dumps(fields, ensure_ascii=False)}, generation=0)
    except PreconditionFailed:
        return  # a retry, or a replay
