"""What rules can ask about an upload or a message."""

import base64
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.errors import RejectedError
from pipeline.formats import compression, json_text, signatures
from pipeline.formats.text import decode_head
from pipeline.inputs import objects
from pipeline.inputs.objects import Head
from pipeline.jobs.job import Job
from pipeline.kinds import WORKBOOK
from pipeline.routing.rules import Facts
from pipeline.tabular import sniffer
from pipeline.tabular.request import Request

GENERIC = ("application/octet-stream", "binary/octet-stream", "")


def of_upload(job: Job, head: Head, metadata: Mapping[str, str]) -> Facts:
    """Of an upload whose kind is known. A workbook counts as the table that it probably holds."""
    source = job.object_input()
    name, declared = compression.described(source.name, source.content_type) if head.packed else (
        source.name, source.content_type,
    )  # fmt: skip
    return Facts(
        kind="table" if job.kind == WORKBOOK else str(job.kind),
        size=source.size,
        name=source.name,
        content_type=signatures.recognise(head.data) or _declared(name, declared),
        metadata=metadata,
        language=_language(lambda: _sample(job, head)),
    )


def of_instances(job: Job, instances: Sequence[Mapping[str, Any]]) -> Facts:
    """Of a message's instances, all of one kind."""
    texts = [str(instance["text"]) for instance in instances if "text" in instance]
    return Facts(
        kind=str(job.kind),
        size=job.input.size,
        content_type="text/plain" if texts else _image_type(instances[0]),
        language=_language(lambda: "\n".join(texts)),
    )


def _image_type(instance: Mapping[str, Any]) -> str | None:
    return signatures.recognise(base64.b64decode(instance["image"]["b64"][:4096]))


def of_manifest(job: Job) -> Facts:
    return Facts(kind="manifest", size=job.input.size, content_type="application/json")


def _declared(name: str, content_type: str | None) -> str | None:
    """The declared media type; of one that says nothing, what the name's extension tells."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type not in GENERIC:
        return media_type
    import mimetypes

    return mimetypes.guess_type(name.rpartition("/")[2])[0]


def _language(sample: Callable[[], str]) -> Callable[[], str | None]:
    @functools.cache
    def recognised() -> str | None:
        from pipeline.routing import languages

        return languages.language(sample())

    return recognised


def _sample(job: Job, head: Head) -> str:
    """Text of the kind that a model would read; empty where the first 64 KB show none."""
    if job.kind not in ("text", "table", "records"):
        return ""
    text = decode_head(head.data, objects.charset(job.object_input()), whole=head.whole)
    if job.kind == "text":
        return text
    request = Request.of(job.parameters, frozenset((job.kind,)))
    try:
        if job.kind == "table":
            column = sniffer.sniff(text, head.whole, request, declared=True).choice(request).payload
            return " ".join(column.sample) if column else ""
        field = request.text_column or "text"
        return " ".join(str(record.get(field, "")) for record in json_text.records(text, whole=head.whole))
    except RejectedError:
        return ""
