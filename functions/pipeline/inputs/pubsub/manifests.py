"""Manifests: one request for many objects of the input bucket, which form one batch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from google.api_core.exceptions import PreconditionFailed

from pipeline import schema
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.formats import json_text
from pipeline.formats.text import decode
from pipeline.inputs import objects, parameters
from pipeline.jobs.job import Job, Model, Parameters, document_of_manifest, int64, of_manifest
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


MAX_INPUTS = 100_000


@dataclass(frozen=True, slots=True)
class Item:
    """One object; `generation` None for the newest, `id` as the sender chose it, `parameters` unchecked."""

    uri: str
    generation: int | None = None
    id: str | int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest; `format` is that of the result."""

    id: str
    items: tuple[Item, ...]
    model: Model | None
    parameters: Parameters
    format: Literal["csv", "jsonl"] = "jsonl"


def load(deployment: Deployment, job: Job) -> Manifest:
    """Reads a job's manifest and registers its id for the job.

    Raises:
        RejectedError: `duplicate_manifest` if another job has the id, or any of `parse`.
    """
    source, limit = job.object_input(), deployment.settings.max_bytes["manifest"]
    try:
        manifest = parse(json_text.parse(decode(objects.read(source, limit), objects.charset(source))))
        _register(deployment.work, job, manifest)
    except RejectedError as error:
        error.kind = "manifest"
        raise
    return manifest


def parse(value: Any) -> Manifest:
    """Checks a manifest against its schema.

    Raises:
        RejectedError: `invalid_manifest` or `invalid_parameters`.
    """
    inputs = value.get("inputs") if isinstance(value, dict) else None
    if isinstance(inputs, list) and len(inputs) > MAX_INPUTS:
        message = (
            f"The manifest has {len(inputs):,} inputs; at most {MAX_INPUTS:,} fit into one. Upload JSON lines such as "
            '{"uri": "gs://…"}, or a CSV with the column uri, instead.'
        )
        raise RejectedError("invalid_manifest", message, "manifest")
    if violation := schema.violation(value, "manifest"):
        raise RejectedError("invalid_manifest", violation, "manifest")
    model, requested = parameters.of_document({name: value[name] for name in ("model", "parameters") if name in value})
    parameters.check_kind("manifest", model, requested)
    output_format = value.get("output", {}).get("format", "jsonl")
    return Manifest(value["id"], tuple(map(_item, value["inputs"])), model, requested, output_format)


def job_of(job: Job, manifest_id: str) -> Job:
    """The job of a manifest that came as a message, identified by the manifest's id, which may be older than that."""
    document = document_of_manifest(manifest_id)
    return replace(job, id=of_manifest(manifest_id), document=document, kind="manifest", created_at=None)


def _register(work: "Bucket", job: Job, manifest: Manifest) -> None:
    """Registers the job under the manifest's id, for as long as the work bucket keeps objects."""
    blob = work.blob(f"manifests/{manifest.id}.json")
    try:
        put(blob, json.dumps({"job": job.id, "document": job.document}), stamp(job.id), generation=0)
    except PreconditionFailed:
        first = json.loads(blob.download_as_bytes())
        if first["job"] != job.id:
            message = f"The manifest {manifest.id} was accepted before; its document is {first['document']}."
            raise RejectedError("duplicate_manifest", message) from None


def _item(value: Any) -> Item:
    if isinstance(value, str):
        return Item(value)
    generation = value.get("generation")
    number = None if generation is None else int64(generation, "generation")
    return Item(value["uri"], number, value.get("id"), value.get("parameters", {}))
