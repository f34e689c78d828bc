"""A job: one input to bring to its terminal document, and the workflow's argument that describes it."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Self, TypedDict, cast

from pipeline.errors import MalformedError, RejectedError
from pipeline.kinds import KINDS, MICROBATCH

MAX_OBJECT_NAME = 1024  # bytes of UTF-8, Cloud Storage's limit
LONGEST_DECORATION = len("rejected/.jsonl")
MARK = re.compile(r"~[0-9a-f]{32}\Z")

Engine = Literal["service", "job"]
"""What runs the inputs that are predicted on together: the GPU service or the GPU job."""

Parameters = dict[str, Any]
"""Checked prediction parameters by name; `inputs.parameters` defines them and the types of their values."""


class Experiment(TypedDict):
    """The experiment that an input takes part in, and the version ("arm") that it was assigned to.

    `stable` is the version to use if the candidate is not served; `candidate` is the version that answers too, unseen,
    of an input that a shadow experiment has sampled. Neither stands in documents.
    """

    id: str
    arm: Literal["stable", "candidate"]
    share: float
    mode: Literal["shadow", "split"]
    stable: NotRequired[str]
    candidate: NotRequired[str]


class Model(TypedDict):
    """The model of an input; without a version, the one that the GPU service serves by default.

    `chosen_by`, `rule` (its name) and `version_by` say why; `version_by` is absent where no one chose a version.
    `endpoint` is that of Vertex AI which predicts in place of the GPU service, with the model's `task`.
    """

    name: str
    version: str | None
    chosen_by: NotRequired[Literal["requested", "rule", "default"]]
    rule: NotRequired[str]
    version_by: NotRequired[Literal["requested", "traffic"]]
    experiment: NotRequired[Experiment]
    endpoint: NotRequired[str]
    task: NotRequired[str]


class InputFields(TypedDict):
    """An object as JSON; the generation is a string, as an int64 in Google's JSON."""

    bucket: str
    name: str
    generation: str
    size: int
    content_type: str | None
    encoding: NotRequired[str]


class MessageFields(TypedDict):
    topic: str
    message_id: str
    size: int


class Prepared(TypedDict):
    """What the GPU service is asked, in the form in which preprocess answers it."""

    mode: Literal["single"]
    instances: list[dict[str, Any]]
    parameters: Parameters


class Argument(TypedDict):
    """The workflow's argument."""

    job: str
    document: str
    event_id: str
    received_at: str
    input: InputFields | MessageFields
    kind: str | None
    model: Model | None
    parameters: Parameters
    trace: str | None
    hops: NotRequired[int]
    table: NotRequired[InputFields]
    notes: NotRequired[list[str]]
    regions: NotRequired[list[int]]
    probe: NotRequired[int]
    due: NotRequired[str]
    put_back: NotRequired[int]
    tenant: NotRequired[str]
    is_beyond_share: NotRequired[bool]
    run_by: NotRequired[Engine]


@dataclass(frozen=True, slots=True)
class Input:
    """One generation of an object; `size` in bytes, `encoding` of a text if it had to be guessed."""

    bucket: str
    name: str
    generation: int
    size: int
    content_type: str | None = None
    encoding: str | None = None

    @property
    def uri(self) -> str:
        return f"gs://{self.bucket}/{self.name}"

    def json(self) -> InputFields:
        fields: InputFields = {
            "bucket": self.bucket,
            "name": self.name,
            "generation": str(self.generation),
            "size": self.size,
            "content_type": self.content_type,
        }
        if self.encoding is not None:
            fields["encoding"] = self.encoding
        return fields

    @classmethod
    def parse(cls, value: object) -> Self:
        fields = _record(value, "input")
        content_type, encoding = fields.get("content_type"), fields.get("encoding")
        if not isinstance(content_type, str | None) or not isinstance(encoding, str | None):
            raise MalformedError("input.content_type and input.encoding must be strings or null.")
        return cls(
            bucket=_text(fields, "bucket"),
            name=_text(fields, "name"),
            generation=int64(fields.get("generation"), "input.generation"),
            size=int64(fields.get("size"), "input.size"),
            content_type=content_type,
            encoding=encoding,
        )


@dataclass(frozen=True, slots=True)
class MessageInput:
    """A message whose data was never stored as an object; `size` in bytes."""

    topic: str
    message_id: str
    size: int

    def json(self) -> MessageFields:
        return {"topic": self.topic, "message_id": self.message_id, "size": self.size}


@dataclass(frozen=True, slots=True)
class Job:
    """An input's identity and destination, and all that travels to the workflow.

    `document` is the terminal document's name without folder and suffix; `received_at` is RFC 3339; `hops` counts
    the pipelines that the input's content has passed through. `created_at` is when the object was written or the
    message published, if the event tells; it does not travel. `prepared` is what preprocess would answer, for
    an input that the handler has read whole. `table` is the CSV that stands for a workbook. `notes` say what was wrong
    with the files that decide on models. `regions` is the order in which the GPU service's regions are tried, by their
    places in the deployment's list, if it is another; `probe` one among them whose circuit was open. `due` is when an
    input that may wait must be started, in RFC 3339; `put_back` how often its execution met an outage and it waited for
    another; `run_by` what runs a micro-batch. `tenant` is a digest, and `is_beyond_share` tells whether the input waits
    for those that are within the shares of their tenants.
    """

    id: str
    document: str
    event_id: str
    received_at: str
    input: Input | MessageInput
    kind: str | None = None
    model: Model | None = None
    parameters: Parameters = field(default_factory=dict)
    trace: str | None = None
    hops: int = 0
    created_at: str | None = None
    prepared: Prepared | None = None
    table: Input | None = None
    notes: tuple[str, ...] = ()
    regions: tuple[int, ...] = ()
    probe: int | None = None
    due: str | None = None
    put_back: int = 0
    tenant: str | None = None
    is_beyond_share: bool = False
    run_by: Engine | None = None

    def argument(self) -> Argument:
        """The workflow's argument without `prepared`, as claims and outcomes keep it."""
        argument: Argument = {
            "job": self.id,
            "document": self.document,
            "event_id": self.event_id,
            "received_at": self.received_at,
            "input": self.input.json(),
            "kind": self.kind,
            "model": self.model,
            "parameters": self.parameters,
            "trace": self.trace,
        }
        if self.hops:
            argument["hops"] = self.hops
        if self.table is not None:
            argument["table"] = self.table.json()
        if self.notes:
            argument["notes"] = list(self.notes)
        if self.regions:
            argument["regions"] = list(self.regions)
        if self.probe is not None:
            argument["probe"] = self.probe
        if self.due is not None:
            argument["due"] = self.due
        if self.put_back:
            argument["put_back"] = self.put_back
        if self.tenant is not None:
            argument["tenant"] = self.tenant
        if self.is_beyond_share:
            argument["is_beyond_share"] = True
        if self.run_by is not None:
            argument["run_by"] = self.run_by
        return argument

    @classmethod
    def parse(cls, value: object) -> Self:
        """Reads a workflow's argument.

        Raises:
            MalformedError: a field is missing or of the wrong type.
        """
        fields = _record(value, "argument")
        kind, trace = _text(fields, "kind"), fields.get("trace")
        if kind not in KINDS and kind != MICROBATCH:
            raise MalformedError(f"kind must be one of {', '.join(KINDS)}.")
        if trace is not None and not isinstance(trace, str):
            raise MalformedError("trace must be a string or null.")
        model = fields.get("model")
        return cls(
            id=_text(fields, "job"),
            document=_text(fields, "document"),
            event_id=_text(fields, "event_id"),
            received_at=_text(fields, "received_at"),
            input=Input.parse(fields.get("input")),
            kind=kind,
            model=None if model is None else cast(Model, _record(model, "model")),
            parameters=_record(fields.get("parameters") or {}, "parameters"),
            trace=trace or None,
            hops=int64(fields.get("hops") or 0, "hops"),
            table=Input.parse(fields["table"]) if fields.get("table") else None,
            notes=tuple(map(str, fields.get("notes") or ())),
            regions=tuple(int64(region, "regions") for region in fields.get("regions") or ()),
            probe=None if fields.get("probe") is None else int64(fields["probe"], "probe"),
            due=_text(fields, "due") if "due" in fields else None,
            put_back=int64(fields.get("put_back") or 0, "put_back"),
            tenant=_text(fields, "tenant") if "tenant" in fields else None,
            is_beyond_share=fields.get("is_beyond_share") is True,
            run_by="job" if fields.get("run_by") == "job" else None,
        )

    def object_input(self) -> Input:
        if not isinstance(self.input, Input):
            raise MalformedError("The job's input is not an object.")
        return self.input

    def content(self) -> Input:
        """What is to be read: the CSV that stands for a workbook, else the input itself."""
        return self.table or self.object_input()

    def check_hops(self, limit: int) -> None:
        """Raises RejectedError, `too_many_hops`, for an input that the pipeline's own output led to too often."""
        if self.hops > limit:
            raise RejectedError("too_many_hops", f"The input has already passed through a pipeline {self.hops} times.")


def is_requested(model: Model | None) -> bool:
    """Whether the input itself names the model."""
    return model is not None and model.get("chosen_by", "requested") == "requested"


def on_endpoint(model: Model | None) -> bool:
    """Whether an endpoint of Vertex AI predicts, which takes single inputs alone."""
    return model is not None and "endpoint" in model


def of_object(bucket: str, name: str, generation: int) -> str:
    """The job id of an object's generation, the same for every event that announces it."""
    return _digest(f"{bucket}/{name}#{generation}")


def of_message(topic: str, message_id: str) -> str:
    return _digest(f"{topic}/{message_id}")


def of_manifest(manifest_id: str) -> str:
    return _digest(manifest_id)


def of_microbatch(members: Iterable[str]) -> str:
    return _digest(",".join(sorted(members)))


def document_of_object(name: str, generation: int) -> str:
    """The name of the object's terminal document; too long a name is cut, and a digest keeps it unique."""
    return fit(name, suffix=f"/{generation}")


def document_of_message(topic: str, message_id: str) -> str:
    """The name of a message's terminal document; no object has it, since those end in a generation."""
    return f"messages/{topic}/id-{message_id}"


def document_of_manifest(manifest_id: str) -> str:
    return f"manifests/id-{manifest_id}"


def fit(name: str, suffix: str = "") -> str:
    """`name + suffix`, cut so that a folder and an extension still fit into an object name.

    A digest keeps apart the names that are cut, and those that end as if they had been.
    """
    room = MAX_OBJECT_NAME - LONGEST_DECORATION - len(suffix.encode())
    encoded = name.encode()
    if len(encoded) <= room and not MARK.search(name):
        return name + suffix
    mark = "~" + _digest(name)
    return encoded[: room - len(mark)].decode(errors="ignore") + mark + suffix


def int64(value: object, name: str) -> int:
    """A non-negative int64 as events carry it, a JSON number or a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
        return value
    raise MalformedError(f"{name} must be a whole number.")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _record(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"{name} must be an object.")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{name} must be a non-empty string.")
    return value
