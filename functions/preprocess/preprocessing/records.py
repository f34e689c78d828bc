"""Reads inputs of many records as lines of shards: CSV rows, JSON lines or instances, items of a manifest, members of a
micro-batch.
"""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.formats import json_text, media_types, text
from pipeline.inputs import fields, microbatches, objects, parameters
from pipeline.inputs.objects import Head
from pipeline.inputs.pubsub import manifests
from pipeline.jobs.batches import Format
from pipeline.jobs.job import Job, Model, is_requested
from pipeline.kinds import MICROBATCH
from pipeline.tabular.columns import Column, same_name
from pipeline.tabular.reader import Record
from pipeline.tabular.request import Request
from pipeline.tabular.writer import PLAIN, Dialect
from preprocessing import single, staging, tables

MAX_DOCUMENT = 32 << 20  # bytes of a JSON document, which must be read whole
MAX_LINE_CHARS = 8 << 20
FIELDS = ("text", "image", "uri")
GENERATION = "generation"
WHOLE = re.compile(r"[0-9]{1,18}")
READERS = 4  # threads for a micro-batch's members, each with an input of up to 32 MiB


@dataclass(frozen=True, slots=True)
class Records:
    """An input being read.

    Args:
        lines: one line of JSON per record: an instance, and the fields to pass through to the result.
        format: of the result.
        header: the columns' names, for CSV.
        images: whether the records refer to images, which take longer than texts.
        dialect: the form of a CSV result.
        table: how a CSV, or JSON without the usual fields, was read, for its document.
        position: tells between two records where the next one begins, if reading can go on from there.
    """

    lines: Iterator[str]
    format: Format
    model: Model | None
    parameters: dict[str, Any]
    header: list[str] = field(default_factory=list)
    images: bool = False
    dialect: Dialect = PLAIN
    table: dict[str, Any] | None = None
    position: Callable[[], dict[str, Any]] | None = None


@contextmanager
def reader(deployment: Deployment, job: Job, head: Head, position: dict[str, Any] | None = None) -> Iterator[Records]:
    """Opens an input of many records, at a position that an earlier reading told if there is one.

    Raises:
        RejectedError: none of its records can be predicted on.
        MalformedError: inputs of its kind have no records.
    """
    source = job.content()
    if job.kind == "table":
        request = Request.of(job.parameters, frozenset(("table",)))
        with tables.opened(source, head, deployment.settings.max_bytes["table"], request, position) as table:
            yield _of_table(table, deployment.settings.input_bucket, job, request)
    elif job.kind == "manifest":
        yield _of_manifest(deployment.settings.input_bucket, job, manifests.load(deployment, job))
    elif job.kind == MICROBATCH:
        lines = _of_members(deployment, microbatches.members(deployment.work, job))
        yield Records(lines, "jsonl", job.model, job.parameters)
    elif job.kind != "records":
        raise MalformedError(f"Inputs of the kind {job.kind} have no records to prepare.")
    elif json_text.is_lines(text.decode_head(head.data, objects.charset(source), whole=head.whole), whole=head.whole):
        with objects.reader(source, deployment.settings.max_bytes["records"], packed=head.packed) as stream:
            codec, _ = text.encoding(head.data, objects.charset(source), whole=head.whole)
            lines = text.Lines(stream, codec, MAX_LINE_CHARS)
            if position:
                lines.seek(position["line"])
            sample = json_text.records(text.decode_head(head.data, codec, whole=head.whole), whole=head.whole)
            opened = _of_records(_decoded(lines), sample, deployment.settings.input_bucket, job)
            yield replace(opened, position=lambda: {"line": lines.position})
    else:
        content = text.decode(objects.read(source, MAX_DOCUMENT), objects.charset(source))
        values = json_text.of_document(json_text.parse(content))
        sample = [value for value in values[: json_text.SAMPLE_LINES] if isinstance(value, dict)]
        yield _of_records(iter(values), sample, deployment.settings.input_bucket, job)


def _of_records(values: Iterator[Any], sample: list[dict[str, Any]], bucket: str, job: Job) -> Records:
    """Those of JSON; a line that is none is a refusal among the values."""
    choice = fields.chosen(sample, job.parameters.get("text_column"))
    is_guess = choice.payload is not None and "text_column" not in job.parameters
    described = fields.description(choice) if is_guess else None
    lines = (
        _refused(value) if isinstance(value, RejectedError) else _instance(value, bucket, choice.payload)
        for value in values
    )
    are_objects = any("uri" in record and _field(record) == "uri" for record in sample)
    return Records(lines, "jsonl", job.model, job.parameters, images=are_objects, table=described)


def _of_table(opened: tables.OpenTable, bucket: str, job: Job, request: Request) -> Records:
    _check_score_columns(job.parameters, job.model, "csv")
    choice = opened.table.choice(request)
    column = choice.payload
    if column is None:
        names = ", ".join(column.name for column in opened.table.columns)
        message = f"The table has no column of texts or of gs:// images. Its columns are {names:.900}."
        raise RejectedError("no_usable_column", message, "table")
    images = column.type == "image"
    if images:
        generation = next((each.index for each in opened.table.columns if same_name(each.name, GENERATION)), None)
        generation = generation if same_name(column.name, "uri") else None
        lines = (_of_object_row(record, column.index, generation, bucket) for record in opened.records)
    else:
        lines = (_of_text_row(record, column.index) for record in opened.records)
    dialect = replace(opened.dialect, safe=bool(job.parameters.get("csv_safe")))
    described = tables.description(opened.table, choice)
    return Records(lines, "csv", job.model, job.parameters, opened.header, images, dialect, described, opened.position)


def _of_text_row(record: Record, index: int) -> str:
    if record.refusal:
        return _refused(record.refusal, row=record.cells)
    return json.dumps({"text": record.cells[index], "row": record.cells})


def _of_object_row(record: Record, index: int, generation: int | None, bucket: str) -> str:
    """The row of a table of objects; `generation` is the column that tells which one of each, if there is one."""
    if record.refusal:
        return _refused(record.refusal, row=record.cells)
    uri = record.cells[index].strip()
    if refusal := _refusal(uri, bucket):
        return _refused(refusal, row=record.cells)
    number = "" if generation is None else record.cells[generation].strip()
    if number and not WHOLE.fullmatch(number):
        refusal = RejectedError("invalid_manifest", f"generation must be a whole number, not {number!r:.100}.")
        return _refused(refusal, row=record.cells)
    return json.dumps({"uri": uri, **({GENERATION: number} if number else {}), "row": record.cells})


def _decoded(lines: Iterator[str]) -> Iterator[Any]:
    """The values of JSON lines, or why a line cannot be read."""
    for line in lines:
        if len(line) > MAX_LINE_CHARS:
            yield RejectedError("too_large", f"The line has more than {MAX_LINE_CHARS:,} characters.")
        elif line.strip():
            try:
                yield json_text.parse(line)
            except RejectedError as refusal:
                yield refusal


def _instance(record: Any, bucket: str, chosen: Column | None) -> str:
    """The record's id and the field that a model reads: the chosen one, or the first of those that all models know."""
    if isinstance(record, str):
        record, chosen = {"text": record}, None
    if not isinstance(record, dict):
        return json.dumps(record)
    field = chosen.name if chosen else _field(record)
    if field is None or field not in record:
        return _refused(fields.missing(record) if field is None else fields.without(record, field), **_id(record))
    name = field if chosen is None else "uri" if chosen.type == "image" else "text"
    instance = {name: record[field]}
    if field == "text" and chosen is None and record.get("text_pair") is not None:
        instance["text_pair"] = record["text_pair"]  # for models that read pairs
    if name == "uri" and GENERATION in record:
        instance[GENERATION] = record[GENERATION]
    beside = _id(record)
    if name == "uri" and (refusal := _refusal(record[field], bucket)):
        return _refused(refusal, uri=record[field], **beside)
    try:
        own = _own_parameters(record.get("parameters"), name)
    except RejectedError as refusal:
        return _refused(refusal, **beside)
    return json.dumps({**instance, **beside, **own})


def _field(record: dict[str, Any]) -> str | None:
    return next((name for name in FIELDS if name in record), None)


def _id(record: dict[str, Any]) -> dict[str, Any]:
    return {"id": record["id"]} if isinstance(record.get("id"), str | int | float) else {}


def _own_parameters(value: object, field: str) -> dict[str, Any]:
    """A record's own parameters beside its instance; an object, whose kind is not known yet, may have any."""
    own = {} if value is None else parameters.of_record(value, "manifest" if field == "uri" else field)
    return {"parameters": own} if own else {}


def _of_manifest(bucket: str, job: Job, manifest: manifests.Manifest) -> Records:
    lines = (_of_item(item, bucket, manifest.format) for item in manifest.items)
    model = job.model if manifest.model is None or is_requested(job.model) else manifest.model
    header = ["uri"] if manifest.format == "csv" else []
    requested = {**manifest.parameters, **job.parameters}
    _check_score_columns(requested, model, manifest.format)
    return Records(lines, manifest.format, model, requested, header, images=True)


def _check_score_columns(requested: dict[str, Any], model: Model | None, to: Format) -> None:
    if requested.get("score_columns") and (model is None or to != "csv"):
        message = "score_columns requires a model, whose labels become the columns, and the output format csv."
        raise RejectedError("invalid_parameters", message)


def _of_item(item: manifests.Item, bucket: str, to: Format) -> str:
    beside: dict[str, Any] = {"row": [item.uri]} if to == "csv" else {} if item.id is None else {"id": item.id}
    if refusal := _refusal(item.uri, bucket):
        return _refused(refusal, uri=item.uri, **beside)
    generation = {} if item.generation is None else {"generation": str(item.generation)}
    try:
        own = _own_parameters(item.parameters, "uri")
    except RejectedError as refusal:
        return _refused(refusal, uri=item.uri, **beside)
    return json.dumps({"uri": item.uri, **generation, **beside, **own})


def _refusal(uri: object, bucket: str) -> RejectedError | None:
    """Why a record may not refer to an object, judged by its address alone.

    The sender may have no access to any bucket but the input bucket. Nothing in a URI is decoded or resolved, so its
    beginning decides. The GPU service refuses what is no gs:// URI.
    """
    if not isinstance(uri, str) or not uri.startswith("gs://"):
        return None
    if not uri.startswith(f"gs://{bucket}/"):
        return RejectedError("foreign_bucket", f"The object is outside the input bucket gs://{bucket}.")
    if not media_types.families(uri, None) <= {"text", "image"}:
        message = "Records refer to texts and images only. Upload other files by themselves."
        return RejectedError("unknown_kind", message)
    return None


def _of_members(deployment: Deployment, members: list[Job]) -> Iterator[str]:
    """The instances that the members' own executions would have sent, or their rejections."""

    def line(member: Job) -> str:
        try:
            instance = single.instance(deployment.settings, member)
        except RejectedError as refusal:
            return _refused(refusal, id=member.id)
        if "image" in instance:
            instance = staging.stage(deployment.work, member, instance)
        return json.dumps({**instance, "id": member.id})

    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(members), READERS):
            yield from pool.map(line, members[start : start + READERS])


def _refused(refusal: RejectedError, **beside: Any) -> str:
    """The line of a record that is not sent to a model."""
    return json.dumps({"error": {"code": refusal.code, "message": refusal.message}, **beside})
