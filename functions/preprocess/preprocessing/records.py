"""Reads inputs of many records as the lines of shards: CSV rows, JSON lines, JSON instances, a manifest's items,
or the members of a micro-batch.
"""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.formats import json_text, media_types, text
from pipeline.inputs import manifests, microbatches, objects, parameters
from pipeline.inputs.objects import Head
from pipeline.jobs.batches import Format
from pipeline.jobs.job import MICROBATCH, Input, Job
from pipeline.settings import Settings
from pipeline.tabular import sniffer
from pipeline.tabular.reader import Record
from preprocessing import single, tables

MAX_DOCUMENT = 32 << 20  # bytes of a JSON document, which has to be read whole
MAX_LINE_CHARS = 8 << 20
FIELDS = ("text", "image", "uri")
READERS = 4  # of a micro-batch's members at once: each holds an input of up to 32 MiB


@dataclass(frozen=True, slots=True)
class Records:
    """An input being read.

    Args:
        lines: one line of JSON per record: an instance, with what is to be handed through beside it.
        format: of the result; for CSV, `header` holds the columns' names.
        images: whether the records name images, which take longer than texts.
    """

    lines: Iterator[str]
    format: Format
    model: parameters.Model | None
    parameters: dict[str, Any]
    header: list[str] = field(default_factory=list)
    images: bool = False


@contextmanager
def reader(deployment: Deployment, job: Job, head: Head) -> Iterator[Records]:
    """Opens an input of many records.

    Raises:
        RejectedError: nothing of it can be predicted on.
        MalformedError: it is of another kind.
    """
    source = job.object_input()
    if job.kind == "table":
        with tables.opened(source, head, deployment.settings.max_bytes["table"]) as table:
            yield _of_table(table, job)
    elif job.kind == "manifest":
        yield _of_manifest(deployment.settings.input_bucket, job, manifests.load(deployment, job))
    elif job.kind == MICROBATCH:
        lines = _of_members(deployment.settings, microbatches.members(deployment.work, job))
        yield Records(lines, "jsonl", job.model, job.parameters)
    elif job.kind != "records":
        raise MalformedError(f"Inputs of the kind {job.kind} are not prepared here.")
    elif json_text.is_lines(text.decode_head(head.data, whole=head.whole), whole=head.whole):
        with objects.reader(source, deployment.settings.max_bytes["records"], packed=head.packed) as stream:
            lines = text.lines(stream, text.encoding(head.data, whole=head.whole), MAX_LINE_CHARS)
            yield Records(_of_lines(lines, job.parameters), "jsonl", job.model, job.parameters)
    else:
        yield Records(_of_document(source, job.parameters), "jsonl", job.model, job.parameters)


def _of_table(opened: tables.OpenTable, job: Job) -> Records:
    column = _payload(opened.table, job.parameters)
    images = column.type == "image"
    name = "uri" if images else "text"
    lines = (_of_row(record, name, column.index) for record in opened.records)
    return Records(lines, "csv", job.model, job.parameters, opened.header, images)


def _of_row(record: Record, name: str, index: int) -> str:
    if record.refusal:
        return _refused(record.refusal, row=record.cells)
    return json.dumps({name: record.cells[index].strip(), "row": record.cells})


def _payload(table: sniffer.Table, asked: dict[str, Any]) -> sniffer.Column:
    wanted = asked.get("image_column") or asked.get("text_column")
    if wanted is None and table.payload is not None:
        return table.payload
    for column in table.columns:
        if wanted is not None and column.name.casefold() == wanted.strip().casefold():
            return column
    names = ", ".join(column.name for column in table.columns)
    said = f"no column {wanted!r}" if wanted else "no column of texts or of gs:// images"
    raise RejectedError("no_usable_column", f"The CSV has {said}; its columns are {names}."[:1000], "table")


def _of_lines(lines: Iterator[str], asked: dict[str, Any]) -> Iterator[str]:
    for line in lines:
        if len(line) > MAX_LINE_CHARS:
            yield _refused(RejectedError("too_large", f"The line has more than {MAX_LINE_CHARS:,} characters."))
        elif line.strip():
            try:
                record = json_text.parse(line)
            except RejectedError as refusal:
                yield _refused(refusal)
            else:
                yield _instance(record, asked)


def _of_document(source: Input, asked: dict[str, Any]) -> Iterator[str]:
    document = json_text.parse(text.decode(objects.read(source, MAX_DOCUMENT)))
    for record in document["instances"]:
        yield _instance(record, asked)


def _instance(record: Any, asked: dict[str, Any]) -> str:
    """A record with its id and nothing else but what a model reads; one without any of that stays as it is."""
    if isinstance(record, str):
        record = {"text": record}
    if not isinstance(record, dict):
        return json.dumps(record)
    wanted = asked.get("text_column")
    name = wanted or next((name for name in FIELDS if name in record), None)
    if name is None:
        instance = {key: value for key, value in record.items() if key not in ("id", "row", "error")}
    else:
        instance = {"text" if wanted else name: record.get(name)}
    if name == "uri" and "generation" in record:
        instance["generation"] = record["generation"]
    if isinstance(record.get("id"), str | int | float):
        instance["id"] = record["id"]
    return json.dumps(instance)


def _of_manifest(bucket: str, job: Job, manifest: manifests.Manifest) -> Records:
    lines = (_of_item(item, bucket, manifest.format) for item in manifest.items)
    model = job.model or manifest.model
    header = ["uri"] if manifest.format == "csv" else []
    return Records(lines, manifest.format, model, {**manifest.parameters, **job.parameters}, header, images=True)


def _of_item(item: manifests.Item, bucket: str, to: Format) -> str:
    beside: dict[str, Any] = {"row": [item.uri]} if to == "csv" else {} if item.id is None else {"id": item.id}
    if refusal := _refusal(item.uri, bucket):
        return _refused(refusal, uri=item.uri, **beside)
    generation = {} if item.generation is None else {"generation": str(item.generation)}
    return json.dumps({"uri": item.uri, **generation, **beside})


def _refusal(uri: str, bucket: str) -> RejectedError | None:
    """Why a manifest may not name an object, so far as its address tells."""
    if not uri.startswith(f"gs://{bucket}/"):
        return RejectedError("foreign_bucket", f"The object lies outside the input bucket gs://{bucket}.")
    if not media_types.families(uri, None) <= {"text", "image"}:
        return RejectedError("unknown_kind", "A manifest names texts and images; any other file is uploaded by itself.")
    return None


def _of_members(settings: Settings, members: list[Job]) -> Iterator[str]:
    """The very instances that the members' own executions would have sent, or the refusals."""
    decoding = threading.Lock()  # one image at a time: it may take 150 MB

    def line(member: Job) -> str:
        try:
            data = single.fetch(settings, member)
            with decoding:
                instance = single.instance(settings, member, data)
        except RejectedError as refusal:
            return _refused(refusal, id=member.id)
        return json.dumps({**instance, "id": member.id})

    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(members), READERS):
            yield from pool.map(line, members[start : start + READERS])


def _refused(refusal: RejectedError, **beside: Any) -> str:
    """The line of a record that no model need see."""
    return json.dumps({"error": {"code": refusal.code, "message": refusal.message}, **beside})
