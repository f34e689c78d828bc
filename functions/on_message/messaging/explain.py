"""Explains which model an upload would go to, and why, by the code and the files that would decide."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline import intake
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs import facts, objects
from pipeline.inputs.events import Message, Receipt
from pipeline.inputs.objects import Head
from pipeline.inputs.uploads import Upload
from pipeline.jobs import documents
from pipeline.jobs.job import Input, Job
from pipeline.labels import files
from pipeline.routing import choice
from pipeline.routing.choice import Routing
from pipeline.routing.models import OF_KIND
from pipeline.storage import put, stamp
from pipeline.verdicts import Verdict

FOLDER = "explanations/"
FIELDS = {"name", "size", "head", "content_type", "metadata"}
SHAPE = "explain must have name, size and head (base64 of the first 64 KB), and may have content_type and metadata."


@dataclass(frozen=True, slots=True)
class Question:
    """An upload that might be: `head` is what it begins with."""

    name: str
    size: int
    head: bytes
    content_type: str | None
    metadata: Mapping[str, str]


def parse(value: Any) -> Question:
    """Checks `{"name", "size", "head", "content_type"?, "metadata"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    refusal = RejectedError("invalid_parameters", SHAPE)
    if not isinstance(value, dict) or value.keys() - FIELDS:
        raise refusal
    name, size, content_type = (value.get(key) for key in ("name", "size", "content_type"))
    metadata = value.get("metadata") or {}
    if not isinstance(metadata, dict) or not all(isinstance(part, str) for part in metadata.values()):
        raise refusal
    if not isinstance(name, str) or not name or type(size) is not int or not isinstance(content_type, str | None):
        raise refusal
    try:
        head = base64.b64decode(value.get("head", ""), validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise refusal from error
    if len(head) != min(size, objects.HEAD_BYTES):
        raise refusal
    return Question(name, size, head, content_type, metadata)


def run(deployment: Deployment, question: Question, message: Message, receipt: Receipt) -> Verdict:
    """Writes the explanation to `explanations/<message id>.json` of the output bucket."""
    content = json.dumps(explanation(deployment, question, receipt), ensure_ascii=False, indent=2) + "\n"
    put(deployment.output.blob(f"{FOLDER}{message.id}.json"), content, stamp("explanation"), generation=None)
    return Verdict("accepted", reason="explain")


def explanation(deployment: Deployment, question: Question, receipt: Receipt) -> dict[str, Any]:
    """`{kind, model, routing, rules, traffic, notes}` as the upload would be routed, or `{kind, rejected}`.

    A file of labels is not routed: it has the kind and notes alone.
    """
    settings = deployment.settings
    upload = Upload(settings.input_bucket, question.name, 0, question.size, question.content_type, question.metadata)
    try:
        head = objects.head_of(question.head, question.size)
        if files.is_labels(question.name):
            files.check(upload.job(receipt).object_input(), head)
            return {"kind": files.KIND, "notes": []}

        def opened(source: Input, limit: int) -> tuple[Input, Head]:
            objects.check_extent(source, limit)
            return source, head

        routed = intake.route(settings, upload.job(receipt), upload.metadata, opened)
    except RejectedError as refusal:
        return {"kind": refusal.kind, "rejected": {"code": refusal.code, "message": refusal.message}}
    routing = choice.current(settings)
    known = facts.of_upload(routed, head, question.metadata)
    requested = documents.routing(routed)["chosen_by"] == "requested"
    rules = [] if requested else routing.considered(known)
    return {
        "kind": routed.kind,
        "content_type": known.content_type,
        "model": _model(routing, routed),
        "routing": {key: value for key, value in documents.routing(routed).items() if key != "experiment"},
        "traffic": routing.described(_name(routing, routed)),
        "rules": [{"name": rule.name, "model": rule.model, "mismatch": mismatch} for rule, mismatch in rules],
        "notes": list(routed.notes),
    }


def _model(routing: Routing, job: Job) -> dict[str, str | None] | None:
    """The model with the version, null if it is the default one or depends on the job; null if the records decide."""
    name = _name(routing, job)
    if name is None:
        return None
    version = job.model["version"] if job.model and "experiment" not in job.model else None
    return {"name": name, "version": version}


def _name(routing: Routing, job: Job) -> str | None:
    if job.model is not None:
        return job.model["name"]
    content = OF_KIND.get(job.kind or "")
    default = routing.default(content) if content else None
    return default["name"] if default else None
